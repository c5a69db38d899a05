"""The commands and their options, as typed dataclasses. Imports no torch, so that help is quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from saccade.tasks.options import TranslateOptions


@dataclass(frozen=True)
class Demo:
    """Train on made-up clock times (or dates), and show what the model looked at; no files, no network."""

    data: Literal["times", "dates"] = "times"
    """What to learn: clock times to HH:MM, or dates to ISO 8601; both in English and Chinese."""
    out: Path = Path("runs/demo")
    """Folder of the run, its picture and its page; only a folder that a demo made is replaced."""
    seed: int = 1
    """Decides the data and the training."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Sample:
    """Print made-up pairs, human TAB machine: clock times or dates, English and Chinese."""

    data: Positional[Literal["times", "dates"]]
    """What to make."""
    count: int = 10000
    """How many pairs, all different."""
    seed: int = 1
    """Same seed, same bytes."""


@dataclass(frozen=True)
class TrainTranslate:
    """Learn to turn one kind of text into another from a file of pairs.

    The file is source TAB target, CSV or JSON lines with the columns source and target, or two aligned text files;
    each may be gzipped (.gz).
    """

    out: Path
    """Folder of the run: new or empty, or with --resume the one to go on with."""
    train: tuple[Path, ...] = ()
    """The training pairs: one file, or two aligned ones."""
    valid: tuple[Path, ...] = ()
    """Pairs to validate on, in the same form; without them a part of --train is held out."""
    columns: str = "source,target"
    """Names of the source and the target column in CSV and JSON lines."""
    resume: bool = False
    """Go on from the last complete checkpoint, with the options and files the run began with."""
    from_: Annotated[Path | None, arg(name="from", metavar="RUN")] = None
    """Fine-tune a copy of this run on the new pairs."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    training: OmitArgPrefixes[TranslateOptions] = field(default_factory=TranslateOptions)


@dataclass(frozen=True)
class Evaluate:
    """Measure a run on pairs: loss, exact match, token accuracy, BLEU, chrF."""

    run: Positional[Path]
    """The run folder."""
    data: tuple[Path, ...]
    """The pairs: one file, or two aligned ones."""
    columns: str = "source,target"
    """Names of the source and the target column in CSV and JSON lines."""
    json: bool = False
    """Print one JSON object."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Predict:
    """Answer texts: those given, or one a line from standard input; one answer a line, in order."""

    run: Positional[Path]
    """The run folder."""
    texts: Positional[tuple[str, ...]] = ()
    """The inputs; without any they are read from standard input."""
    beam: int = 1
    """Width of the beam; 1 is greedy."""
    nbest: int = 1
    """Lines for each input, best first; a line is empty where the search found fewer."""
    scores: bool = False
    """Put a TAB and the answer's log-probability (nats) after it."""
    attention: Annotated[Path | None, arg(metavar="FILE.jsonl")] = None
    """Also write tokens, answers and weights, one JSON object an input."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Show:
    """Draw what each output token looked at: in the terminal, and as a picture or a page where asked."""

    run: Positional[Path]
    """The run folder."""
    text: Positional[str]
    """The input."""
    terminal: bool = False
    """Draw in the terminal too when a file is written."""
    png: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a picture: .png, .svg or .pdf."""
    page: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a self-contained HTML page."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Mechanisms:
    """List the attention mechanisms: what each computes, who published it, what it carries and costs."""

    name: Positional[str | None] = None
    """One of them, to be told everything about it."""


@dataclass(frozen=True)
class Kernels:
    """Tell which kernels for additive attention there are on this machine, and which would be chosen."""

    batch: int = 64
    """Sentences."""
    queries: int = 50
    """Queries of each."""
    keys: int = 50
    """Slots of each memory."""
    dim: int = 128
    """Width of the additive network."""
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    """Of queries and keys."""
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    """Where they are."""
    context_alone: bool = False
    """Whether nobody wants the weights."""


@dataclass(frozen=True)
class Describe:
    """Tell what a run is: layers, shapes, parameters, options, data and scores."""

    run: Positional[Path]
    """The run folder."""


Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Sample, subcommand("sample")]
    | Annotated[TrainTranslate, subcommand("train translate")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Describe, subcommand("describe")]
    | Annotated[Mechanisms, subcommand("mechanisms")]
    | Annotated[Kernels, subcommand("kernels")]
)
