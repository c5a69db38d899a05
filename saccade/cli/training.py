"""What the training of each task is told. Imports no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.course import Course, Strategy
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.presets import PresetName


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
    processes: int = 1
    """Train with so many processes on this machine: of each batch every one takes some rows, on a GPU of its own or
    its share of the cores. Those that torchrun starts, on several machines too, are found without it."""
    strategy: Strategy = "ddp"
    """Of several processes: each has the whole model (ddp), or a part of it (fsdp, for Transformers)."""
    columns: str = ""
    training: Course


@dataclass(frozen=True, kw_only=True)
class TrainTranslate(Train):
    """Learn to turn one kind of text into another from a file of pairs.

    The file is source TAB target, CSV or JSON lines with the columns source and target, or two aligned text files;
    each may be gzipped (.gz). It may also be Parquet, or hf:NAME, hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT: a folder or a
    data set of the Hugging Face hub, which is streamed. With --copy it summarises too: words of the input come through.
    """

    columns: str = "source,target"
    """Names of the source and the target column in CSV, JSON lines, Parquet and data sets; in the last three they may
    stand within a column called translation (de,en)."""
    preset: PresetName | None = None
    """Sizes from a paper in place of the defaults, which options beside it change: rnn-small (Wiseman and Rush 2016),
    rnn (Bahdanau et al. 2015), transformer-tiny (Wu et al. 2021, for Multi30k), transformer-base (Vaswani et al.
    2017)."""
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
class TrainCaption(Train):
    """Learn to say what an image shows, or what a line of text says, from a list of images with their texts.

    The list is file TAB text, CSV or JSON lines with the columns image and caption (in JSON lines one text or a list of
    them); the files lie beside it, or in --folder.
    """

    columns: str = "image,caption"
    """Names of the file and the text in CSV, JSON lines and TSV with a header."""
    training: OmitArgPrefixes[CaptionOptions] = field(default_factory=CaptionOptions)


@dataclass(frozen=True, kw_only=True)
class TrainTranscribe(Train):
    """Learn to write down what is said, from a list of recordings with their texts.

    The list is file TAB text, CSV or JSON lines with the columns audio and text; the files (WAV, FLAC, or features
    ready in .npy) lie beside it, or in --folder.
    """

    columns: str = "audio,text"
    """Names of the file and the text in CSV, JSON lines and TSV with a header."""
    training: OmitArgPrefixes[TranscribeOptions] = field(default_factory=TranscribeOptions)
