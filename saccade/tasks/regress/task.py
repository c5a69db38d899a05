"""The task of giving numeric sequences their numbers, or their next steps."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
from safetensors import SafetensorError

from saccade.data.seriescorpus import SeriesBatch, SeriesCodec, SeriesCorpus, SeriesFile, SeriesPart, Shape, learn_codec
from saccade.data.windows import constant, parts
from saccade.errors import OptionError, RunError
from saccade.files import write_atomic
from saccade.models.forecaster import Forecaster, ForecasterConfig
from saccade.models.linear import LinearBaseline, linear_baseline
from saccade.runs import Run
from saccade.tasks.base import Figures, Say, Start, Task
from saccade.tasks.regress.learner import RegressLearner
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.regress.regressor import Regressor

SCALE, BASELINE = "scale.json", "baseline.safetensors"
Parts = tuple[SeriesCorpus, SeriesCorpus]


class Fitted(NamedTuple):
    """The codec of the training part, and the linear baseline that was fitted to it."""

    codec: SeriesCodec
    baseline: LinearBaseline


class Regress(Task[RegressOptions, Any, Fitted, SeriesBatch]):
    """Tables or sequences, a forecaster, and numbers."""

    name, noun, options, columns = "regress", "examples", RegressOptions, ()

    def files(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: RegressOptions) -> SeriesFile:
        """A table, or sequences with their answers."""
        return SeriesFile(paths, columns, forecast=bool(options.horizon), time=options.time)

    def inputs(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: RegressOptions) -> SeriesFile:
        """A table, or sequences that need no answers."""
        return SeriesFile(paths, columns, forecast=bool(options.horizon), time=options.time, answered=False)

    def parts(self, start: Start, options: RegressOptions, say: Say) -> tuple[Any, Any]:
        """Of a table the end is kept to validate on, of sequences some by chance; or the files that were given."""
        file: SeriesFile = start.train
        rows = len(file.table().values) if options.horizon else len(file.sequences().inputs)
        if start.valid is not None:
            return SeriesPart(file, _all(file, options)), SeriesPart(start.valid, _all(start.valid, options))
        if options.horizon:
            split = parts(rows, validation=options.validation)
            say(f"{file}: the last {len(split.validation)} of {rows} rows are kept for validation (--validation)")
            return SeriesPart(file, split.training), SeriesPart(file, split.validation)
        kept = len(parts(rows, validation=options.validation).validation)
        if not kept:
            raise OptionError(f"--validation must leave sequences on both sides; got {kept} of {rows}")
        order = np.random.default_rng([options.seed, 1]).permutation(rows)
        say(f"{file}: holding out {kept} of {rows} sequences for validation (--validation)")
        return SeriesPart(file, np.sort(order[kept:])), SeriesPart(file, np.sort(order[:kept]))

    def learn(self, start: Start, training: Any, options: RegressOptions) -> Fitted:
        """The scale, and the linear baseline, of the training part alone."""
        codec = learn_codec(training, forecast=bool(options.horizon), window=options.window)
        corpus = SeriesCorpus(training, codec, _shape(options))
        batches = (corpus.batch(np.arange(i, min(i + 512, len(corpus)))) for i in range(0, len(corpus), 512))
        return Fitted(codec, linear_baseline(batches, targets=codec.targets if options.horizon else None))

    def write_codec(self, run: Run, codec: Fitted) -> None:
        """The scale as JSON, the baseline as safetensors."""
        baseline = {"weight": codec.baseline.weight.contiguous(), "bias": codec.baseline.bias.contiguous()}
        write_atomic(run.path(BASELINE), safetensors.torch.save(baseline))
        write_atomic(run.path(SCALE), codec.codec.to_json())

    def read_codec(self, run: Run) -> Fitted:
        """The scale and the baseline."""
        codec, path = SeriesCodec.load(run.path(SCALE)), run.path(BASELINE)
        try:
            found = safetensors.torch.load_file(path)
            return Fitted(codec, LinearBaseline(found["weight"], found["bias"], codec.targets or None))
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise RunError(f"{path}: expected a whole safetensors file; got {error}") from None

    def corpus(self, folder: Path, name: str, examples: Any, codec: Fitted, options: RegressOptions) -> SeriesCorpus:
        """Standardised examples."""
        shape = _shape(options)
        if shape is not None and name != "training":
            shape = shape._replace(stride=1)
        return SeriesCorpus(examples, codec.codec, shape)

    def report(self, start: Start, options: RegressOptions, parts: Parts, say: Say) -> None:
        """What is odd about the table."""
        if not options.horizon:
            return
        table = start.train.table()
        for doubt in table.doubts:
            say(f"{start.train}: {doubt}")
        still = [table.names[i] for i in constant(table.values)]
        if still:
            say(f"{start.train}: {', '.join(still)} never changes")

    def described(self, start: Start, parts: Parts) -> dict[str, Any]:
        """Nothing beside files and counts."""
        return {}

    def new_model(self, options: RegressOptions, codec: Fitted) -> Forecaster:
        """An untrained forecaster."""
        return new_model(options, codec.codec)

    def learner(self, model: Forecaster, options: RegressOptions, codec: Fitted) -> RegressLearner:
        """Mean squared error."""
        return RegressLearner(model, codec.baseline)

    def trained(self, model: Forecaster, codec: Fitted, options: RegressOptions, run: Run) -> Regressor:
        """A regressor."""
        return Regressor(model, codec.codec, codec.baseline, options)

    def headline(self, figures: Figures) -> str:
        """Squared and absolute error beside the baseline's."""
        ours, theirs = (f"{figures[kind + 'mse']:.4f} mae {figures[kind + 'mae']:.4f}" for kind in ("", "linear_"))
        return f"mse {ours} (linear: {theirs})"


def new_model(options: RegressOptions, codec: SeriesCodec) -> Forecaster:
    """An untrained forecaster; `torch.manual_seed` decides its weights."""
    forecast = options.horizon > 0
    patch = min(options.patch, codec.steps) if forecast else 1
    return Forecaster(
        ForecasterConfig(
            variables=len(codec.names),
            window=codec.steps,
            outputs=options.horizon or len(codec.outputs.mean),
            encoder=options.encoder,
            attention=options.attention,
            hidden=options.hidden,
            layers=options.layers,
            dropout=options.dropout,
            targets=codec.targets,
            query=options.query,
            hops=options.hops,
            heads=options.heads,
            patch=patch,
            stride=max(patch // 2, 1),
            instance_norm=forecast and options.instance_norm,
            independent=forecast and options.independent,
            direct=options.direct,
        )
    )


def _shape(options: RegressOptions) -> Shape | None:
    return Shape(options.window, options.horizon, options.stride) if options.horizon else None


def _all(file: SeriesFile, options: RegressOptions) -> Any:
    if options.horizon:
        return range(len(file.table().values))
    return np.arange(len(file.sequences().inputs))
