"""The commands and their options, as typed dataclasses. Imports no torch, so that help is quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.course import Course
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.translate.options import TranslateOptions


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


@dataclass(frozen=True, kw_only=True)
class Train:
    """What the training of every task is told."""

    out: Path
    """Folder of the run: new or empty, or with --resume the one to go on with."""
    train: tuple[Path, ...] = ()
    """The files to train on."""
    valid: tuple[Path, ...] = ()
    """Files to validate on, in the same form; without them a part of --train is held out."""
    resume: bool = False
    """Go on from the last complete checkpoint, with the options and files the run began with."""
    from_: Annotated[Path | None, arg(name="from", metavar="RUN")] = None
    """Fine-tune a copy of this run on the new files."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    columns: str = ""
    training: Course


@dataclass(frozen=True, kw_only=True)
class TrainTranslate(Train):
    """Learn to turn one kind of text into another from a file of pairs.

    The file is source TAB target, CSV or JSON lines with the columns source and target, or two aligned text files;
    each may be gzipped (.gz). With --copy it summarises too: words of the input come through.
    """

    columns: str = "source,target"
    """Names of the source and the target column in CSV and JSON lines."""
    training: OmitArgPrefixes[TranslateOptions] = field(default_factory=TranslateOptions)


@dataclass(frozen=True, kw_only=True)
class TrainClassify(Train):
    """Learn to give texts or documents a label, or several.

    The file is label TAB text, CSV or JSON lines with a label and a text, or in JSON lines a list of sentences; each
    may be gzipped (.gz).
    """

    columns: str = "text,label"
    """Names of the text and the label in CSV and JSON lines."""
    training: OmitArgPrefixes[ClassifyOptions] = field(default_factory=ClassifyOptions)


@dataclass(frozen=True, kw_only=True)
class TrainTag(Train):
    """Learn to give each word of a sentence its tag: parts of speech, names of people and places.

    The file is CoNLL columns (a word a line, a blank line after each sentence), CoNLL-U, or JSON lines with words and
    tags; each may be gzipped (.gz).
    """

    columns: str = ""
    """Where words and tags stand: numbers of columns from 1 (the first and the last), names in CoNLL-U (form,upos),
    names in JSON lines (words,tags)."""
    training: OmitArgPrefixes[TagOptions] = field(default_factory=TagOptions)


@dataclass(frozen=True, kw_only=True)
class TrainRegress(Train):
    """Learn numbers about numeric sequences, or with --horizon their next steps.

    Sequences are two .npy files (inputs, answers) or one .npz of x and y; a table to forecast is a CSV with a header
    (.gz too) or one .npy.
    """

    columns: str = ""
    """Which variables of a table are forecast; without it all of them."""
    training: OmitArgPrefixes[RegressOptions] = field(default_factory=RegressOptions)


@dataclass(frozen=True, kw_only=True)
class TranslateChoices(TranslateOptions):
    """As to train a translator, with several attentions."""

    attention: str = "additive,general,scaled-dot,none"
    """The mechanisms to compare, with commas between, as `saccade train translate` takes each."""

    def __post_init__(self) -> None:
        """Checked when the options of each training are made."""


@dataclass(frozen=True, kw_only=True)
class ClassifyChoices(ClassifyOptions):
    """As to train a classifier, with several poolings."""

    attention: str = "context-vector,bag,structured-self-attention,none"
    """The poolings to compare, with commas between, as `saccade train classify` takes each."""

    def __post_init__(self) -> None:
        """Checked when the options of each training are made."""


@dataclass(frozen=True, kw_only=True)
class TagChoices(TagOptions):
    """As to train a tagger, with several self-attentions."""

    attention: str = "multi-head,additive,none"
    """The self-attentions to compare, with commas between, as `saccade train tag` takes each."""

    def __post_init__(self) -> None:
        """Checked when the options of each training are made."""


@dataclass(frozen=True, kw_only=True)
class RegressChoices(RegressOptions):
    """As to train a model of sequences, with several attentions."""

    attention: str = "context-vector,self,additive,none"
    """What to compare, with commas between, as `saccade train regress` takes each."""

    def __post_init__(self) -> None:
        """Checked when the options of each training are made."""


@dataclass(frozen=True, kw_only=True)
class Compare:
    """What every comparison is told."""

    task: ClassVar[str]
    out: Path
    """Folder of the comparison: new or empty, or with --resume the one to go on with."""
    train: tuple[Path, ...] = ()
    """The files to train on, in the forms of `saccade train`."""
    valid: tuple[Path, ...] = ()
    """Files to validate on; without them a part of --train is held out, the same for all."""
    test: tuple[Path, ...] = ()
    """Files to measure on; without them quality is that on the part that is validated on."""
    seeds: int = 3
    """Trainings of each attention, with the seeds --seed, --seed + 1 ..."""
    resume: bool = False
    """Go on with a comparison that was stopped; what is finished stays, attentions and seeds may be added."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    columns: str = ""
    training: Course


@dataclass(frozen=True, kw_only=True)
class CompareTranslate(Compare):
    """Train a translator with each of several attentions and some seeds, and compare what comes out."""

    task: ClassVar[str] = "translate"
    columns: str = TrainTranslate.columns
    """Names of the source and the target column in CSV and JSON lines."""
    training: OmitArgPrefixes[TranslateChoices] = field(default_factory=TranslateChoices)


@dataclass(frozen=True, kw_only=True)
class CompareClassify(Compare):
    """Train a classifier with each of several poolings and some seeds, and compare what comes out."""

    task: ClassVar[str] = "classify"
    columns: str = TrainClassify.columns
    """Names of the text and the label in CSV and JSON lines."""
    training: OmitArgPrefixes[ClassifyChoices] = field(default_factory=ClassifyChoices)


@dataclass(frozen=True, kw_only=True)
class CompareTag(Compare):
    """Train a tagger with each of several self-attentions and some seeds, and compare what comes out."""

    task: ClassVar[str] = "tag"
    columns: str = TrainTag.columns
    """Where words and tags stand, as for `saccade train tag`."""
    training: OmitArgPrefixes[TagChoices] = field(default_factory=TagChoices)


@dataclass(frozen=True, kw_only=True)
class CompareRegress(Compare):
    """Train a model of numeric sequences with each of several attentions and some seeds, and compare what comes out."""

    task: ClassVar[str] = "regress"
    columns: str = TrainRegress.columns
    """Which variables of a table are forecast; without it all of them."""
    training: OmitArgPrefixes[RegressChoices] = field(default_factory=RegressChoices)


@dataclass(frozen=True)
class Evaluate:
    """Measure a run on examples that it did not see, in the files it takes for training."""

    run: Positional[Path]
    """The run folder."""
    data: tuple[Path, ...]
    """The files."""
    columns: str = ""
    """Names of the columns; without them those the run was trained with."""
    json: bool = False
    """Print one JSON object."""
    png: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a picture of which label was taken for which (.png, .svg or .pdf); for runs of one label a text."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Predict:
    """Answer texts: those given, or one a line from standard input; one answer a line, in order."""

    run: Positional[Path]
    """The run folder."""
    texts: Positional[tuple[str, ...]] = ()
    """The inputs; without any, and without --data, they are read from standard input."""
    data: tuple[Path, ...] = ()
    """Files of inputs, in the forms of the training files; they need no labels."""
    columns: str = ""
    """Names of the columns; without them those the run was trained with."""
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
    """Draw what an answer looked at: in the terminal, and as a picture or a page where asked."""

    run: Positional[Path]
    """The run folder."""
    text: Positional[str | None] = None
    """The input."""
    data: tuple[Path, ...] = ()
    """Files of inputs, in place of a text; they need no labels."""
    item: int = 1
    """Which one of them, from 1."""
    heads: bool = False
    """Draw every head of every attention that was at work, layer by layer; without it, what the answer is given with.
    Answers are greedy."""
    terminal: bool = False
    """Draw in the terminal too when a file is written."""
    png: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a picture: .png, .svg or .pdf."""
    page: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a self-contained HTML page."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Look:
    """See what a model of the Hugging Face library looked at: every layer and head, at full speed and exactly."""

    model: Positional[Path]
    """A folder with the model: config.json, safetensors and a tokenizer. Nothing is downloaded or unpickled."""
    text: Positional[str]
    """What it reads."""
    generate: int = 0
    """Let it write so many tokens; a model that reads one text and writes another writes 64 where this is 0."""
    beams: int = 1
    """Hypotheses that are kept while it writes."""
    site: str | None = None
    """Of which attention: a name, with * for anything; all where none is said."""
    head: str | None = None
    """Which head, by its number, or mean or max."""
    rows: str | None = None
    """Which tokens' looking is drawn: a place (-1 is the last) or a stretch (-100: are the last hundred, 0:50 the first
    fifty); all where none is said."""
    words: bool = False
    """Put the pieces of words together."""
    rollout: int | None = None
    """In place of maps: how much of each token is in this position of the last layer (Abnar and Zuidema 2020); -1 is
    the last."""
    measure: str = "entropy"
    """Figures of each head: entropy, entropy_normalised, coverage, distance, sink, special; commas between."""
    faithful: bool = False
    """Also measure what explanations of the answer are worth: of a classifier or a language model."""
    terminal: bool = False
    """Draw in the terminal too when a file is written."""
    png: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a picture: .png, .svg or .pdf."""
    page: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a self-contained HTML page of every layer and head."""
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
    | Annotated[TrainClassify, subcommand("train classify")]
    | Annotated[TrainTag, subcommand("train tag")]
    | Annotated[TrainRegress, subcommand("train regress")]
    | Annotated[CompareTranslate, subcommand("compare translate")]
    | Annotated[CompareClassify, subcommand("compare classify")]
    | Annotated[CompareTag, subcommand("compare tag")]
    | Annotated[CompareRegress, subcommand("compare regress")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Describe, subcommand("describe")]
    | Annotated[Look, subcommand("look")]
    | Annotated[Mechanisms, subcommand("mechanisms")]
    | Annotated[Kernels, subcommand("kernels")]
)
