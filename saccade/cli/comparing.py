"""What the comparison of each task is told. Imports no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tyro.conf import OmitArgPrefixes

from saccade.cli.training import (
    TrainCaption,
    TrainClassify,
    TrainRegress,
    TrainTag,
    TrainTranscribe,
    TrainTranslate,
)
from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.course import Course
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.presets import PresetName


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
class CaptionChoices(CaptionOptions):
    """As to train a captioner, with several attentions."""

    attention: str = "visual,visual+reinforce,sca-cnn,none"
    """The mechanisms to compare, with commas between, as `saccade train caption` takes each."""

    def __post_init__(self) -> None:
        """Checked when the options of each training are made."""


@dataclass(frozen=True, kw_only=True)
class TranscribeChoices(TranscribeOptions):
    """As to train a recogniser, with several attentions."""

    attention: str = "location-sensitive,additive,mocha,none"
    """The mechanisms to compare, with commas between, as `saccade train transcribe` takes each."""

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
    preset: PresetName | None = None
    """Sizes from a paper in place of the defaults, as `saccade train translate` takes them."""
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


@dataclass(frozen=True, kw_only=True)
class CompareCaption(Compare):
    """Train a captioner with each of several attentions and some seeds, and compare what comes out."""

    task: ClassVar[str] = "caption"
    columns: str = TrainCaption.columns
    """Names of the file and the text, as for `saccade train caption`."""
    training: OmitArgPrefixes[CaptionChoices] = field(default_factory=CaptionChoices)


@dataclass(frozen=True, kw_only=True)
class CompareTranscribe(Compare):
    """Train a recogniser with each of several attentions and some seeds, and compare what comes out."""

    task: ClassVar[str] = "transcribe"
    columns: str = TrainTranscribe.columns
    """Names of the file and the text, as for `saccade train transcribe`."""
    training: OmitArgPrefixes[TranscribeChoices] = field(default_factory=TranscribeChoices)
