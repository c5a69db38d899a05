"""What a task is: files into batches, a model with what it is trained for, and the trained model in use."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saccade import decoding
from saccade.data.corpus import Corpus
from saccade.data.heldout import HeldOut
from saccade.data.schedule import Epochs, Schedule, in_order_of_length
from saccade.errors import OptionError, RunError
from saccade.runs import CONFIG, Run, take_weights
from saccade.tasks.course import Course, flag
from saccade.tasks.devices import pick_device
from saccade.tasks.hub import Origin, Shared

Say = Callable[[str], None]
Figures = dict[str, float]
"""What a validation measures, by name; `loss`, in nats, is always among it."""

OptionsT = TypeVar("OptionsT", bound=Course)
ExampleT = TypeVar("ExampleT")
CodecT = TypeVar("CodecT")
BatchT = TypeVar("BatchT")
InputT = TypeVar("InputT")
ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def say(line: str) -> None:
    """Tell the person something, on standard error."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Start:
    """Where a training starts from."""

    train: Any
    """The examples to train on, as the task's `files` gives them."""
    valid: Any | None
    """Those to validate on; without them a part of `train` is held out."""
    parent: Path | None = None
    """The run to fine-tune, or None."""
    resume: bool = False
    extra: tuple[tuple[str, Any], ...] = ()
    """What else to write into the configuration."""


class Objective(NamedTuple):
    """What a step minimises, and what is told of it.

    loss:  to be minimised, a scalar.
    total: the plain loss, nats, summed over what is counted.
    counted: how many those are: target tokens, examples.
    over:  what `loss` is a mean over, where that is not `counted`: the sum of weights.
    """

    loss: Tensor
    total: Tensor
    counted: Tensor
    over: Tensor | None = None


class Learner(nn.Module, ABC, Generic[BatchT]):
    """A model, and what it is trained for."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def rates(self, options: Course) -> list[dict[str, Any]]:
        """The parameters that are trained, with the highest learning rate of each group."""
        return [{"params": list(self.parameters()), "lr": options.learning_rate}]

    def at(self, share: float) -> None:
        """What share of the training is over, 0 to 1, is said before each step: for what changes on the way."""
        return

    @abstractmethod
    def objective(self, batch: BatchT) -> Objective:
        """What a step on this batch minimises."""

    @abstractmethod
    def check(self, batch: BatchT) -> Any:
        """What is measured on a batch of held-out examples."""

    @abstractmethod
    def figures(self, checks: Sequence[Any]) -> Figures:
        """The figures of a validation, from what was measured on its batches."""


class Trained(Shared, ABC, Generic[InputT]):
    """A trained model in use."""

    model: nn.Module

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @abstractmethod
    def parse(self, line: str) -> InputT:
        """An input from a line of text, as `saccade predict` reads it.

        Raises:
            DataError: a line that is no input.
        """

    def readable(self, given: InputT) -> str:
        """An input as a person reads it."""
        return str(given)

    def each(self, files: Any) -> Iterator[InputT]:
        """The inputs in files, as `Task.inputs` gives them."""
        return iter(files)

    @abstractmethod
    def answer(self, inputs: Sequence[InputT]) -> Sequence[Any]:
        """The answer to each input."""

    def answers(
        self,
        inputs: Sequence[InputT],
        *,
        beam: int = 1,
        nbest: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
    ) -> list[list[Any]]:
        """The answer to each input, in a list: who writes texts can search for several.

        Raises:
            OptionError: several are asked of a model that has one.
        """
        if (beam, nbest) != (1, 1):
            raise OptionError(f"--beam and --nbest are for runs that write texts; got {beam} and {nbest}")
        if manner != decoding.SEARCHED:
            raise OptionError("--length-penalty and --sample are for runs that write texts; this one writes none")
        return [[answer] for answer in self.answer(inputs)]

    def __call__(self, given: InputT) -> Any:
        """The answer to one input."""
        return self.answer([given])[0]

    @abstractmethod
    def record(self, given: InputT, answers: Sequence[Any]) -> dict[str, Any]:
        """An input and its answers with all that was looked at, as JSON."""

    @abstractmethod
    def doubts(self, given: InputT) -> list[str]:
        """What a person should know before trusting the answer to an input: one line each, none for an ordinary one."""

    @abstractmethod
    def evaluate(self, examples: Any) -> Any:
        """Measure on labelled examples; a dataclass of figures."""

    @abstractmethod
    def sample(self) -> dict[str, Any]:
        """Two made-up examples of the largest size, as the arguments of the model: for a table of its layers."""


class Searching(Trained[InputT]):
    """A trained model that writes texts, and can search for the likeliest one."""

    @abstractmethod
    def answers(
        self,
        inputs: Sequence[InputT],
        *,
        beam: int = 1,
        nbest: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
    ) -> list[list[Any]]:
        """The `nbest` best answers to each input, best first; fewer where the search found fewer. Or so many that are
        drawn, each decided by the seed and the input alone.
        """

    @abstractmethod
    def evaluate(self, examples: Any, *, beam: int = 1, manner: decoding.Manner = decoding.SEARCHED) -> Any:
        """Measure the best of so many hypotheses, or one that is drawn; 1 is greedy."""

    def joined(self, others: Sequence[Any]) -> Any:
        """One model of this and others, whose answers are those of `decoding.Ensemble`.

        Raises:
            OptionError: they cannot be.
        """
        raise OptionError(f"--ensemble is for runs that translate texts; got one of {type(self).__name__}")


class Task(ABC, Generic[OptionsT, ExampleT, CodecT, BatchT]):
    """One kind of job. What a training asks of it stands here; how it is used, in its `Trained`.

    A codec is what stands between a person's words and a model's numbers: vocabularies, labels, a scale.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    """What an example is called, in the plural."""
    options: type[OptionsT]
    columns: ClassVar[tuple[str, ...]]
    """The names of the columns of its files, where nobody gives others."""
    reopens: ClassVar[bool] = False
    """Whether `reopen` finds what `corpus` wrote, so that it is worth keeping for a training that goes on."""

    @abstractmethod
    def files(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: OptionsT) -> Any:
        """The labelled examples in files."""

    @abstractmethod
    def inputs(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: OptionsT) -> Any:
        """Files of the same forms, which need no labels: `Trained.each` gives the inputs in them."""

    @abstractmethod
    def parts(self, start: Start, options: OptionsT, say: Say) -> tuple[Iterable[ExampleT], Iterable[ExampleT]]:
        """The examples to train on and those to validate on."""

    @abstractmethod
    def learn(self, start: Start, training: Iterable[ExampleT], options: OptionsT) -> CodecT:
        """The codec of the training examples."""

    @abstractmethod
    def write_codec(self, run: Run, codec: CodecT) -> None:
        """Write the codec into a run folder."""

    @abstractmethod
    def read_codec(self, run: Run) -> CodecT:
        """The codec of a run."""

    @abstractmethod
    def corpus(
        self, folder: Path, name: str, examples: Iterable[ExampleT], codec: CodecT, options: OptionsT
    ) -> Corpus[BatchT]:
        """Encoded examples."""

    def reopen(self, folder: Path, name: str, codec: CodecT, options: OptionsT) -> Corpus[BatchT] | None:
        """Encoded examples that `corpus` wrote into a folder, where all of them are there; None where they are not."""
        return None

    def schedule(self, corpus: Any, options: OptionsT) -> Epochs:
        """Which examples stand side by side in each step of a training."""
        return Schedule(corpus.sizes, options.batch_size, options.seed)

    def measured(self, corpus: Any, options: OptionsT) -> Sequence[NDArray[np.int64]]:
        """Which examples stand side by side in a validation: each once."""
        return in_order_of_length(corpus.sizes, 8 * options.batch_size)

    @abstractmethod
    def report(self, start: Start, options: OptionsT, parts: tuple[Any, Any], say: Say) -> None:
        """Say what is odd about the encoded parts.

        Raises:
            SaccadeError: nothing is left to train on.
        """

    @abstractmethod
    def described(self, start: Start, parts: tuple[Any, Any]) -> dict[str, Any]:
        """What a configuration says of the data beside files and counts."""

    @abstractmethod
    def new_model(self, options: OptionsT, codec: CodecT) -> nn.Module:
        """An untrained model; `torch.manual_seed` decides its weights."""

    def begin(self, model: Any, options: OptionsT, codec: CodecT, say: Say) -> None:
        """Give an untrained model what it shall begin with, beside chance: nothing, where a task has nothing."""
        return

    @abstractmethod
    def learner(self, model: Any, options: OptionsT, codec: CodecT) -> Learner[BatchT]:
        """The model with what it is trained for."""

    @abstractmethod
    def trained(self, model: Any, codec: CodecT, options: OptionsT, run: Run) -> Trained[Any]:
        """The model of a run in use."""

    @abstractmethod
    def headline(self, figures: Figures) -> str:
        """The figures that a person watches, in a few words."""

    def rank(self, figures: Figures) -> tuple[float, ...]:
        """What decides which validation is the best: the lowest, first number first."""
        return (figures["loss"],)

    def load(self, folder: Path | str, *, device: str = "cpu") -> Any:
        """The trained model in a run folder: reads JSON and safetensors only.

        Raises:
            RunError: no run there, a run of another task, or a broken file, which is named.
        """
        run = Run(folder)
        config = run.read_config()
        options, codec = self.read_options(run, config), self.read_codec(run)
        model = self.new_model(options, codec)
        self.give_weights(model, codec, run)
        trained = self.trained(model.to(pick_device(device)), codec, options, run)
        trained.origin = Origin(self, config, codec)
        return trained

    def give_weights(self, model: nn.Module, codec: CodecT, run: Run) -> None:
        """Give a model the weights of a run.

        Raises:
            RunError: weights of another shape, naming the first, or of another codec.
        """
        weights = run.read_weights()
        self.check_codec(run, codec, weights)
        take_weights(model, weights, run)

    def check_codec(self, run: Run, codec: CodecT, weights: Mapping[str, Tensor]) -> None:
        """Refuse a codec that cannot be the one of these weights, where a task can tell.

        Raises:
            RunError: naming the file.
        """
        return

    def read_options(self, run: Run, config: dict[str, Any]) -> OptionsT:
        """The options of a run; those that an older format did not have yet take their defaults.

        Raises:
            RunError: a run of another task, or without options of this version.
        """
        if config.get("task") != self.name:
            raise RunError(f"{run}: expected a run of the task {self.name}; got {config.get('task')}")
        options, data = (config.get(part) for part in ("options", "data"))
        if not isinstance(options, dict) or not isinstance(data, dict):
            raise RunError(f"{run.path(CONFIG)}: expected the options and the data of a training; got none")
        strange = sorted(options.keys() - self.options.defaults().keys())
        if strange:
            raise RunError(f"{run}: expected options of this version; got {strange[0]}")
        return self.options(**options)

    def refuse_others(self, run: Run, before: OptionsT, given: OptionsT, verb: str, free: set[str]) -> None:
        """Refuse options that a person gave and that differ; those left at their defaults are taken from the run."""
        for name, default in self.options.defaults().items():
            was, now = getattr(before, name), getattr(given, name)
            if name not in free and now not in (default, was):
                raise OptionError(f"{flag(name)} must stay {was}, with which {run} {verb}; got {now}")

    def inherited(self, parent: Run, options: OptionsT) -> OptionsT:
        """The parent's shape with this training's course."""
        before, free = self.read_options(parent, parent.read_config()), self.options.free()
        self.refuse_others(parent, before, options, "was made", free)
        return replace(before, **{name: getattr(options, name) for name in free})


def answered(
    run: Callable[[list[ItemT]], Iterable[AnswerT]], items: Sequence[ItemT], length: Callable[[ItemT], int]
) -> list[AnswerT]:
    """What `run` gives for each item, in their order; those of like length are run together, 64 at a time.

    >>> answered(lambda some: [word.upper() for word in some], ["see", "a"], len)
    ['SEE', 'A']
    """
    found: dict[int, AnswerT] = {}
    for some in in_order_of_length([length(item) for item in items], 64):
        found.update(zip(some.tolist(), run([items[i] for i in some]), strict=True))
    return [found[i] for i in range(len(items))]


def rounded(weights: NDArray[np.float32] | None) -> list[Any] | None:
    """Weights as nested lists, to six places.

    >>> rounded(np.array([[0.25, 0.75]], np.float32))
    [[0.25, 0.75]]
    """
    return None if weights is None else np.round(weights.astype(np.float64), 6).tolist()


def held_out(
    start: Start, seed: int, key: Callable[[Any], str], noun: str, say: Say, *, share: int = 20
) -> tuple[Iterable[Any], Iterable[Any]]:
    """The two parts of a training that holds out inputs by chance, or the files that were given."""
    if start.valid is not None:
        return start.train, start.valid
    held = HeldOut(start.train, seed, key, share=share)
    what = "too few different inputs to hold any out: it also validates on" if held.shared else "holding out"
    say(f"{start.train}: {what} {held.count} {noun} for validation (give others with --valid)")
    return held.training, held.held_out


def skipped_lines(start: Start, say: Say) -> None:
    """Say how many empty lines the last pass over each file met."""
    for file in filter(None, (start.train, start.valid)):
        if file.skipped:
            say(f"{file}: skipped {file.skipped} empty line{'s' * (file.skipped > 1)}")
