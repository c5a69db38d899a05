"""The options of a captioner, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.data import Level
from saccade.errors import OptionError
from saccade.tasks.write.options import WriteOptions


@dataclass(frozen=True, kw_only=True)
class CaptionOptions(WriteOptions):
    """How to train a captioner. The defaults work untouched."""

    learning_rate: float = 0.001
    dropout: float = 0.2
    level: Level = "word"
    """What a token of the texts is: a character, a word, or a piece: byte-pair, or of a unigram language model."""
    attention: str = "visual"
    """What the decoder looks with: visual (soft, with a gate), visual+reinforce (hard), sca-cnn, any mechanism of
    `saccade mechanisms`; none gives it the mean of the image."""
    read: Literal["regions", "columns"] = "regions"
    """Whether images are scenes, read region by region, or lines of text, read column by column, which --ctc needs."""
    height: int = 72
    """Images are scaled to fit into so many pixels of height, their aspect kept."""
    width: int = 72
    """And of width; 0: every image becomes as high as --height says, and its width follows."""
    grey: bool = False
    """Read images without their colours."""
    filters: int = 32
    """Of the first convolution; each later stage has twice as many, up to four times."""
    halvings: int = 3
    """How often the image is halved on its way to regions."""
    depth: int = 1
    """Convolutions between two halvings."""
    gates: Literal["none", "cbam", "squeeze-excitation"] = "none"
    """Attention within the convolutional encoder, over channels and places (cbam) or channels alone."""
    backbone: str | None = None
    """A model of timm by its name, in place of our convolutions."""
    backbone_weights: str | None = None
    """A safetensors file that the backbone begins with."""
    encoder_layers: int = 1
    """Layers of the bidirectional network over columns."""
    warp: float = 0.0
    """How strongly images are turned, moved, slanted and scaled at random in training, lines slanted alone: 0.1 is a
    tenth of their size."""
    doubly_stochastic: float = 0.0
    """Weight of the loss for places that are not looked at once in all (Xu 2015, where it is 1)."""

    FREE: ClassVar[tuple[str, ...]] = (*WriteOptions.FREE, "warp", "doubly_stochastic")

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"height": 1, "width": 0, "filters": 1, "halvings": 1, "depth": 1, "encoder_layers": 1}
        self.at_least({**least, "warp": 0, "doubly_stochastic": 0})
        if self.read == "regions" and self.ctc:
            raise OptionError(f"--ctc needs slots in order: --read columns; got --ctc {self.ctc:g} with regions")
        if self.read == "regions" and self.hidden % 4:
            raise OptionError(f"--hidden must be a multiple of 4, for places in two directions; got {self.hidden}")
        if self.attention == "none" and self.doubly_stochastic:
            raise OptionError(f"--doubly-stochastic needs weights, which none has; got {self.doubly_stochastic:g}")
        if self.backbone_weights is not None and self.backbone is None:
            raise OptionError(f"--backbone-weights needs a --backbone; got {self.backbone_weights}")
