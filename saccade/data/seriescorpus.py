"""Numeric examples, standardised by the training part: windows of a table, or whole sequences."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.arrays import Array
from saccade.data.records import format_of
from saccade.data.series import Sequences, Table, read_sequences, read_table
from saccade.data.windows import Scaler, Windows
from saccade.errors import DataError, OptionError, RunError


class SeriesBatch(NamedTuple):
    """Some examples side by side, standardised, float32.

    past:   what is read, `[batch, time, variable]`.
    answer: what it should give, `[batch, output]`, or the next steps `[batch, horizon, target]`.
    """

    past: Tensor
    answer: Tensor


@dataclass
class SeriesFile:
    """A table, or sequences with their answers, from a person's files; read once.

    Args:
        paths: of a table one file, CSV or `.npy`; of sequences two `.npy`, inputs and answers, or one `.npz`.
        columns: the variables of a table that are predicted; none: all of them.
        forecast: whether it is a table.
        time: the column of times.
        answered: whether sequences have answers.
    """

    paths: tuple[Path, ...]
    columns: tuple[str, ...] = ()
    forecast: bool = True
    time: str | None = None
    answered: bool = True
    skipped: int = 0

    def __post_init__(self) -> None:
        self._found: Table | Sequences | None = None

    def __str__(self) -> str:
        return " + ".join(map(str, self.paths))

    def table(self) -> Table:
        """The table.

        Raises:
            DataError: a file that is none.
        """
        if not isinstance(self._found, Table):
            if len(self.paths) != 1:
                raise DataError(f"expected one file with a table; got {len(self.paths)} files")
            if format_of(self.paths[0]) not in (".csv", ".npy"):
                raise DataError(f"{self.paths[0]}: expected a table, .csv or .npy; got another kind of file")
            self._found = read_table(self.paths[0], time=self.time)
        return self._found

    def sequences(self) -> Sequences:
        """The sequences.

        Raises:
            DataError: files that are none.
        """
        if not isinstance(self._found, Sequences):
            if self.columns or self.time is not None:
                option = "--columns" if self.columns else "--time"
                raise OptionError(f"{option} is for tables, which are forecast with --horizon; got sequences")
            if any(format_of(path) == ".csv" for path in self.paths):
                raise DataError(f"{self}: expected sequences, .npy or .npz; a table is forecast with --horizon")
            self._found = read_sequences(self.paths, answered=self.answered)
        return self._found


class Shape(NamedTuple):
    """How a table is cut into examples: see `Windows`."""

    window: int
    horizon: int
    stride: int = 1


@dataclass(frozen=True)
class SeriesPart:
    """Some rows of a table, with the rows before them as their past; or some sequences."""

    file: SeriesFile
    rows: range | NDArray[np.int64]


@dataclass(frozen=True)
class SeriesCodec:
    """What stands between a person's numbers and a model's.

    names:   of the variables that are read.
    targets: of a table, the variables that are predicted, as places among the names.
    steps:   how many steps are read.
    inputs:  the scale of the variables.
    outputs: the scale of the answers.
    """

    names: tuple[str, ...]
    targets: tuple[int, ...]
    steps: int
    inputs: Scaler
    outputs: Scaler

    def to_json(self) -> str:
        """All of it as JSON, exactly."""
        scales = {"inputs": json.loads(self.inputs.to_json()), "outputs": json.loads(self.outputs.to_json())}
        return json.dumps({"names": self.names, "targets": self.targets, "steps": self.steps, **scales}) + "\n"

    @classmethod
    def load(cls, path: Path) -> "SeriesCodec":
        """Read what `to_json` wrote.

        Raises:
            RunError: no such file, or another one.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
            scales = (
                Scaler(*(np.array(found[side][name], np.float64) for name in ("mean", "std")))
                for side in ("inputs", "outputs")
            )
            return cls(tuple(found["names"]), tuple(found["targets"]), int(found["steps"]), *scales)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: expected the scale of a series; got {error}") from None


def learn_codec(part: SeriesPart, *, forecast: bool, window: int) -> SeriesCodec:
    """Names, and the scale of the training part alone."""
    if not forecast:
        found = part.file.sequences()
        assert found.targets is not None
        inputs, outputs = found.inputs[part.rows], found.targets[part.rows]
        names = tuple(f"x{i + 1}" for i in range(inputs.shape[2]))
        return SeriesCodec(names, (), inputs.shape[1], Scaler.fit(inputs), Scaler.fit(outputs))
    table = part.file.table()
    assert isinstance(part.rows, range)
    targets, scale = table.places(part.file.columns), Scaler.fit(table.values[part.rows.start : part.rows.stop])
    return SeriesCodec(table.names, targets, window, scale, scale.of(targets))


class SeriesCorpus:
    """Standardised windows of a part of a table, or standardised sequences of it.

    Raises:
        DataError: other variables than the codec's, or sequences of another shape.
        OptionError: no window that fits.
    """

    def __init__(self, part: SeriesPart, codec: SeriesCodec, shape: Shape | None):
        self._windows: Windows | None = None
        digest = hashlib.sha256()
        if shape is not None:
            values = codec.inputs.transform(numbers(part.file, codec))
            assert isinstance(part.rows, range)
            window, horizon, stride = shape
            try:
                self._windows = Windows(
                    values, part.rows, window=window, horizon=horizon, stride=stride, targets=codec.targets
                )
            except OptionError as error:
                raise OptionError(f"{part.file}: {error}") from None
            digest.update(values.tobytes() + repr((part.rows, shape, codec.targets)).encode())
            self._count = len(self._windows)
        else:
            found = part.file.sequences()
            assert found.targets is not None
            self._inputs = codec.inputs.transform(checked(part.file, found.inputs, codec)[part.rows])
            expected, got = len(codec.outputs.mean), found.targets.shape[1]
            if got != expected:
                raise DataError(f"{part.file}: expected {expected} numbers for each sequence; got {got}")
            self._answers = codec.outputs.transform(found.targets[part.rows])
            digest.update(self._inputs.tobytes() + self._answers.tobytes())
            self._count = len(self._inputs)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return self._count

    @property
    def sizes(self) -> NDArray[np.int64]:
        """All examples are as long as each other."""
        return np.ones(self._count, np.int64)

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> SeriesBatch:
        """The examples at these indices."""
        if self._windows is not None:
            past, answer = self._windows.batch(indices)
        else:
            past, answer = self._inputs[indices], self._answers[indices]
        return SeriesBatch(torch.from_numpy(past), torch.from_numpy(answer))


def numbers(file: SeriesFile, codec: SeriesCodec) -> Array:
    """The numbers of a table with the variables of a codec.

    Raises:
        DataError: other variables.
        OptionError: others of them to be predicted.
    """
    table = file.table()
    if table.names != codec.names:
        expected, came = ", ".join(codec.names), ", ".join(table.names)
        raise DataError(f"{file}: expected the variables of the training, {expected}; got {came}")
    if file.columns and table.places(file.columns) != codec.targets:
        expected = ",".join(codec.names[i] for i in codec.targets)
        raise OptionError(f"--columns must stay {expected}, as in training; got {','.join(file.columns)}")
    return table.values


def checked(file: SeriesFile, inputs: Array, codec: SeriesCodec) -> Array:
    """Sequences of the shape of a codec.

    Raises:
        DataError: another shape.
    """
    expected = [codec.steps, len(codec.names)]
    if list(inputs.shape[1:]) != expected:
        got = list(inputs.shape[1:])
        raise DataError(f"{file}: expected sequences of [time, variable] = {expected}, as in training; got {got}")
    return inputs
