"""The commands and their options, as typed dataclasses. Imports no torch, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from saccade.alignments import Method
from saccade.cli.comparing import (
    CompareCaption,
    CompareClassify,
    CompareRegress,
    CompareTag,
    CompareTranscribe,
    CompareTranslate,
)
from saccade.cli.training import (
    TrainCaption,
    TrainClassify,
    TrainRegress,
    TrainTag,
    TrainTranscribe,
    TrainTranslate,
)
from saccade.export import Target
from saccade.metrics import Tokenize


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
class Finding:
    """How the answers of runs that write texts are found."""

    length_penalty: float = 0.0
    """Rank the answers of a beam by log-probability / length^alpha, so that short ones do not always win: 0 ranks by
    the whole, 1 by the mean of the tokens."""
    penalty: Literal["power", "wu"] = "power"
    """What is divided by: length^alpha, or ((5 + length) / 6)^alpha (Wu et al. 2016)."""
    early: bool = False
    """With --length-penalty: give beginnings up once they would rank behind what has ended with one more token, and not
    only when they can never win: in about half the time, and few answers differ."""
    sample: bool = False
    """Draw answers from the model in place of searching: with --nbest so many. The same input and --seed have the same
    answers, whatever stands beside it."""
    temperature: float = 1.0
    """Of drawing: below 1 likely tokens become likelier, above 1 less so."""
    top_k: int = 0
    """Draw from so many of the likeliest tokens; 0: from all."""
    top_p: float = 1.0
    """Draw from the fewest likeliest tokens that have this probability together (Holtzman et al. 2020); 1: from all."""
    seed: int = 1
    """Decides what is drawn."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What answers are calculated in: with bfloat16 large models answer faster on processors that have it; some answers
    differ, and few of them depend on what stands beside them."""


@dataclass(frozen=True)
class Evaluate(Finding):
    """Measure a run on examples that it did not see, in the files it takes for training."""

    run: Positional[Path]
    """The run folder."""
    data: tuple[Path, ...]
    """The files."""
    columns: str = ""
    """Names of the columns; without them those the run was trained with."""
    folder: Path | None = None
    """Where the files are that lists of images or recordings name; without it where they were in training: beside the
    list, or in the --folder that was given then."""
    beam: int = 1
    """Hypotheses that are kept while a text is searched for; 1 is greedy."""
    tokenize: Tokenize = "auto"
    """What parts the texts of a translator into the words of BLEU, of sacreBLEU; auto takes zh for Chinese, char for
    other scripts without spaces, 13a for all else, by the letters of the references, and says so."""
    lowercase: bool = False
    """Let BLEU and chrF of a translator take capital letters for small ones."""
    json: bool = False
    """Print one JSON object."""
    png: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write a picture of which label was taken for which (.png, .svg or .pdf); for runs of one label a text."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Predict(Finding):
    """Answer texts: those given, or one a line from standard input; one answer a line, in order."""

    run: Positional[Path]
    """The run folder."""
    texts: Positional[tuple[str, ...]] = ()
    """The inputs; without any, and without --data, they are read from standard input."""
    data: tuple[Path, ...] = ()
    """Files of inputs, in the forms of the training files; they need no labels."""
    columns: str = ""
    """Names of the columns; without them those the run was trained with."""
    folder: Path | None = None
    """Where the files are that lists of images or recordings name; without it where they were in training: beside the
    list, or in the --folder that was given then."""
    beam: int = 1
    """Width of the beam; 1 is greedy."""
    ensemble: str = ""
    """Other runs with commas between, of the same task and vocabulary: answers are those of the mean of their
    probabilities and this run's."""
    nbest: int = 1
    """Lines for each input, best first; a line is empty where the search found fewer."""
    scores: bool = False
    """Put a TAB and the answer's log-probability (nats) after it."""
    attention: Annotated[Path | None, arg(metavar="FILE.jsonl")] = None
    """Also write tokens, answers and weights, one JSON object an input."""
    engine: Literal["saccade"] | Target | None = None
    """What answers: our own models, or the engine that the run was exported to; without it our own for a run, and for
    an exported folder its engine."""
    stream: bool = False
    """Hear recordings as if they were being spoken, or raw 16-bit mono sound from standard input, and print words as
    they come; for runs of transcribe that were trained with --streaming."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:N or mps."""


@dataclass(frozen=True)
class Export:
    """Write a translator for another engine, which answers without our models: CTranslate2 for Transformers, ONNX or a
    program of torch.export for all. Its greedy answers to a hundred sentences must be the run's, token for token.
    """

    run: Positional[Path]
    """The run folder."""
    to: Target
    """The engine."""
    out: Path | None = None
    """Where to; without it into the run folder, under the name of the engine. A former export there is replaced."""
    text: Annotated[Path | None, arg(metavar="FILE")] = None
    """Sentences to verify with, one a line; without it those of the training files."""


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
    folder: Path | None = None
    """Where the files are that lists of images or recordings name; without it where they were in training: beside the
    list, or in the --folder that was given then."""
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
class Align:
    """Say which words of a text and its translation belong together, by what a translator looks at when it is given
    both: links such as 0-0 1-2 (source and target word, counted from 0), one line a pair, in order.
    """

    run: Positional[Path]
    """The run folder of a translator."""
    source: Path | None = None
    """A file of sentences, one a line, words parted by white space; plain or .gz."""
    target: Path | None = None
    """Their translations, line by line."""
    gold: Annotated[Path | None, arg(metavar="FILE.jsonl")] = None
    """Links that people drew: src, tgt, sure and possible on each line. Prints precision, recall and alignment error
    rate, on standard error unless --out takes the links; without --source and --target its own words are linked."""
    reverse: Path | None = None
    """A run of the other direction, whose links are put together with those of the first."""
    symmetrize: Method | None = None
    """How they are put together; grow-diag-final-and where nothing else is said."""
    layer: int | None = None
    """Of a Transformer's decoder the layer whose weights are taken, from 0 or from the end, -1 the last."""
    head: int | None = None
    """The head of that layer, from 0; without it the mean of all."""
    shift: bool = False
    """Take what was looked at when a word was read in place of when it was predicted (Chen et al. 2020, Shift-Att)."""
    posterior: bool = False
    """Let each word tell which of the weights it came of, by how likely each source word alone makes it (Shankar and
    Sarawagi 2019); for recurrent decoders with --attend after."""
    choose: bool = False
    """Choose layer, head, shift and posterior: those with the lowest error on --gold, or else those of the run and of
    --reverse, without heads, whose links of --source and --target agree most. The run folders keep the choice, and
    whatever is aligned afterwards is aligned with it, unless one of the four is given."""
    threshold: float | None = None
    """Link words of at least this weight; without it each target word and the source word of its largest."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write the links to this file, whole or not at all, in place of standard output."""
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
    | Annotated[TrainCaption, subcommand("train caption")]
    | Annotated[TrainTranscribe, subcommand("train transcribe")]
    | Annotated[CompareTranslate, subcommand("compare translate")]
    | Annotated[CompareClassify, subcommand("compare classify")]
    | Annotated[CompareTag, subcommand("compare tag")]
    | Annotated[CompareRegress, subcommand("compare regress")]
    | Annotated[CompareCaption, subcommand("compare caption")]
    | Annotated[CompareTranscribe, subcommand("compare transcribe")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Align, subcommand("align")]
    | Annotated[Describe, subcommand("describe")]
    | Annotated[Look, subcommand("look")]
    | Annotated[Mechanisms, subcommand("mechanisms")]
    | Annotated[Kernels, subcommand("kernels")]
)
