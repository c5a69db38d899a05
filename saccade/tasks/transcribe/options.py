"""The options of a recogniser, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.attention import catalogue
from saccade.errors import OptionError
from saccade.layers import CellName
from saccade.tasks.write.options import WriteOptions


@dataclass(frozen=True, kw_only=True)
class TranscribeOptions(WriteOptions):
    """How to train a recogniser. The defaults work untouched."""

    learning_rate: float = 0.002
    dropout: float = 0.2
    attention: str = "location-sensitive"
    """What the decoder looks with: `saccade mechanisms` lists them; monotonic and mocha for --streaming."""
    ctc: float = 0.3
    encoder: CellName = "lstm"
    """The recurrent cell of the encoder."""
    encoder_layers: int = 3
    """Layers of the encoder."""
    halvings: int = 2
    """After how many of its layers two neighbouring states become one."""
    streaming: bool = False
    """Read in one direction and write before the end is heard; needs monotonic or mocha attention."""
    quantity: float = 1.0
    """Weight of how far each token is from looking once in all, for monotonic and mocha attention; 0: none."""
    rate: int = 16000
    """Samples a second; recordings of other rates are resampled to it."""
    mels: int = 80
    """Mel bands of a frame; of .npy files, which are features already, their own width counts."""
    deltas: int = 0
    """Orders of differences over time that are added to the features: 0, 1 or 2."""
    normalize: Literal["recording", "training", "none"] = "recording"
    """What features are standardised by: each recording by itself, or what the training recordings have in all."""
    frequency_mask: int = 8
    """Features that a mask of SpecAugment covers at most, in training."""
    time_mask: int = 10
    """Frames that a mask covers at most."""
    masks: int = 2
    """Masks of each kind; 0: none."""

    FREE: ClassVar[tuple[str, ...]] = (*WriteOptions.FREE, "quantity", "frequency_mask", "time_mask", "masks")

    @property
    def share_of_greedy(self) -> float:
        """A streaming run writes as it listens, without CTC, whose share needs the whole recording."""
        return 0.0 if self.streaming else self.ctc

    @property
    def monotonic(self) -> bool:
        """Whether attention goes from left to right and stops at each token."""
        return catalogue.parse(self.attention).mechanism in ("monotonic", "mocha")

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"encoder_layers": 1, "quantity": 0, "halvings": 0, "rate": 1000, "mels": 1, "deltas": 0}
        self.at_least({**least, "frequency_mask": 0, "time_mask": 0, "masks": 0})
        if self.deltas > 2:
            raise OptionError(f"--deltas must be 0, 1 or 2; got {self.deltas}")
        if self.halvings >= self.encoder_layers:
            came = f"{self.halvings} and {self.encoder_layers}"
            raise OptionError(f"--halvings must be below --encoder-layers, between which they lie; got {came}")
        if self.streaming:
            self._check_streaming()

    def _check_streaming(self) -> None:
        if self.decoder not in ("lstm", "gru"):
            raise OptionError(f"--streaming needs a recurrent --decoder; got {self.decoder}")
        if not self.monotonic:
            raise OptionError(f"--streaming needs --attention monotonic or mocha; got {self.attention}")
        if self.normalize == "recording":
            raise OptionError("--streaming needs --normalize training: a recording is not known before its end")
        if self.deltas:
            raise OptionError(f"--streaming needs --deltas 0: differences look at frames to come; got {self.deltas}")
