"""Regress: numbers about a sequence, or its own next steps, with the steps that were looked at."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from saccade.data.arrays import Array
from saccade.data.records import json_of
from saccade.data.seriescorpus import SeriesCodec, SeriesCorpus, SeriesFile, SeriesPart, Shape, checked, numbers
from saccade.errors import DataError
from saccade.models.forecaster import Forecaster
from saccade.models.linear import LinearBaseline
from saccade.tasks.base import Trained, rounded
from saccade.tasks.regress.learner import count, figures
from saccade.tasks.regress.options import RegressOptions

_AT_ONCE = 256


class Stretch(NamedTuple):
    """What is read: numbers `[time, variable]` as they are in the file; of a table also what stands at each row as its
    time, and what came after `[horizon, target]` where that is known.
    """

    values: Array
    times: tuple[str, ...] | None = None
    truth: Array | None = None

    def __str__(self) -> str:
        return f"{len(self.values)} steps" + (f" to {self.times[-1]}" if self.times else "")


class Foreseen(NamedTuple):
    """An answer.

    values:  `[output]`, or of a forecast `[horizon, target]`, in the units of the file.
    past:    what was read, `[time, variable]`, in the units of the file.
    names:   of the variables that were read.
    targets: which of them are predicted; none: answers are other numbers.
    weights: how much each step was looked at, float32 `[variable, row, time]`: there is one variable where all are read
             together, and a row for each output or hop, or one for all; None where nothing looks.
    times:   of the rows that were read, where they are known.
    truth:   what came, of the shape of values, where it is known.
    """

    values: Array
    past: Array
    names: tuple[str, ...]
    targets: tuple[int, ...]
    weights: NDArray[np.float32] | None
    times: tuple[str, ...] | None
    truth: Array | None

    @property
    def source(self) -> tuple[str, ...]:
        """The names of the variables that were read."""
        return self.names

    @property
    def text(self) -> str:
        """The numbers; of a forecast a line for each step."""
        return "\n".join(",".join(f"{number:.6g}" for number in row) for row in np.atleast_2d(self.values).tolist())

    def line(self, scores: bool) -> str:
        """The numbers with commas between; of a forecast a line for each step."""
        return self.text


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measures; errors are of standardised numbers, where a deviation of the training part is 1."""

    mse: float
    """Mean squared error."""
    mae: float
    """Mean absolute error."""
    linear_mse: float
    """That of the linear baseline, which the same training part was given."""
    linear_mae: float
    per_output: dict[str, dict[str, float]]
    """Mean absolute errors of each number of the answer, or each variable, in the units of the file."""
    examples: int
    seconds: float


class Regressor(Trained[Stretch]):
    """A trained model of numeric sequences; an input is a `Stretch`, or an array `[time, variable]`."""

    model: Forecaster

    def __init__(self, model: Forecaster, codec: SeriesCodec, baseline: LinearBaseline, options: RegressOptions):
        self.model, self.codec, self.baseline, self.options = model.eval(), codec, baseline, options

    @property
    def shape(self) -> Shape | None:
        """How a table is cut; None where examples are whole sequences."""
        return Shape(self.options.window, self.options.horizon) if self.options.horizon else None

    def parse(self, line: str) -> Stretch:
        """A sequence as a JSON list of rows, each a list of numbers (or one number)."""
        try:
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
                values = np.array(json_of(line), np.float32)
        except (ValueError, TypeError, OverflowError):
            raise DataError(f"expected a JSON list of rows of numbers; got {line[:40]!r}") from None
        if values.ndim == 1 and len(self.codec.names) == 1:
            values = values[:, None]
        return self._checked(Stretch(values))

    def _checked(self, given: Stretch | Array) -> Stretch:
        stretch = given if isinstance(given, Stretch) else Stretch(np.asarray(given, np.float32))
        expected, got = [self.codec.steps, len(self.codec.names)], list(stretch.values.shape)
        if got != expected:
            raise DataError(f"expected numbers of [time, variable] = {expected}, as in training; got {got}")
        if not np.isfinite(stretch.values).all():
            raise DataError(f"expected finite numbers; got {stretch.values[~np.isfinite(stretch.values)][0]}")
        return stretch

    def each(self, files: SeriesFile) -> Iterator[Stretch]:
        """Each sequence; of a table the last window, whose future nobody knows yet, and then those before it, a horizon
        apart, with what came.
        """
        if not self.options.horizon:
            for values in checked(files, files.sequences().inputs, self.codec):
                yield Stretch(values)
            return
        window, horizon, targets = self.options.window, self.options.horizon, list(self.codec.targets)
        values, times = numbers(files, self.codec), files.table().times
        if len(values) < window:
            raise DataError(f"{files}: expected at least --window {window} rows; got {len(values)}")
        for end in range(len(values), window - 1, -horizon):
            truth = values[end : end + horizon, targets] if end < len(values) else None
            labels = None if times is None else times[end - window : end]
            yield Stretch(values[end - window : end], labels, truth)

    def answer(self, inputs: Sequence[Stretch | Array]) -> list[Foreseen]:
        """The answer to each input; it does not depend on the others."""
        stretches = [self._checked(given) for given in inputs]
        found = []
        for begin in range(0, len(stretches), _AT_ONCE):
            some = stretches[begin : begin + _AT_ONCE]
            past = torch.from_numpy(np.stack([self.codec.inputs.transform(one.values) for one in some]))
            values, weights = self._said(past)
            for i, stretch in enumerate(some):
                looked = None if weights is None else weights[i]
                found.append(self._foreseen(stretch, values[i], looked))
        return found

    @torch.inference_mode()
    def _said(self, past: torch.Tensor) -> tuple[Array, NDArray[np.float32] | None]:
        said = self.model(past.to(self.device))
        weights = None if said.weights is None else self.model.over_time(said.weights).float().cpu().numpy()
        return said.values.float().cpu().numpy(), weights

    def _foreseen(self, stretch: Stretch, values: Array, weights: NDArray[np.float32] | None) -> Foreseen:
        return Foreseen(
            self.codec.outputs.inverse(values),
            stretch.values,
            self.codec.names,
            self.codec.targets,
            weights,
            stretch.times,
            stretch.truth,
        )

    def record(self, given: Stretch | Array, answers: Sequence[Foreseen]) -> dict[str, Any]:
        """What was read, the answer, and the weights, as JSON."""
        (answer,) = answers
        return {
            "names": answer.names,
            "past": answer.past.tolist(),
            "answer": answer.values.tolist(),
            "weights": rounded(answer.weights),
        }

    def sample(self) -> dict[str, Any]:
        """Two sequences of zeros."""
        return {"x": torch.zeros(2, self.codec.steps, len(self.codec.names))}

    def doubts(self, given: Stretch | Array) -> list[str]:
        """Variables that are far from all that the training had."""
        standard = self.codec.inputs.transform(self._checked(given).values)
        far = [name for name, column in zip(self.codec.names, standard.T, strict=True) if np.abs(column).max() > 10]
        return [f"more than 10 deviations from the mean of the training: {', '.join(far[:10])}"] if far else []

    def evaluate(self, examples: SeriesFile) -> Scores:
        """Measure on every window of a table, or on sequences, beside the linear baseline."""
        started = time.perf_counter()
        rows = len(examples.table().values) if self.shape else len(examples.sequences().inputs)
        part = SeriesPart(examples, range(rows) if self.shape else np.arange(rows))
        corpus = SeriesCorpus(part, self.codec, self.shape)
        checks, errors = [], []
        for begin in range(0, len(corpus), _AT_ONCE):
            batch = corpus.batch(np.arange(begin, min(begin + _AT_ONCE, len(corpus))))
            values, baseline = torch.from_numpy(self._said(batch.past)[0]), self.baseline(batch.past)
            checks.append(count(values, baseline, batch.answer))
            axes = tuple(range(values.dim() - 1))
            errors.append([(said - batch.answer).abs().double().sum(axes) for said in (values, baseline)])
        ours, theirs = torch.stack([torch.stack(pair) for pair in errors]).sum(0).numpy()
        each = sum(counts.numbers for counts in checks) // len(self.codec.outputs.std)
        return Scores(
            **figures(checks),
            per_output=self._per_output(ours / each, theirs / each),
            examples=len(corpus),
            seconds=time.perf_counter() - started,
        )

    def _per_output(self, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, dict[str, float]]:
        places = self.codec.targets or range(len(ours))
        names = [self.codec.names[i] if self.codec.targets else f"y{i + 1}" for i in places]
        deviations = self.codec.outputs.std
        return {
            name: {"mae": float(mine * std), "linear_mae": float(other * std)}
            for name, mine, other, std in zip(names, ours, theirs, deviations, strict=True)
        }
