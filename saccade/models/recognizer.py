"""Speech to text: Listen, Attend and Spell, with CTC beside the decoder."""

from dataclasses import dataclass

from torch import Tensor, nn

from saccade.attention.monotonic import MonotonicAttention
from saccade.dropout import Dropout
from saccade.layers import CellName
from saccade.layers.pyramidal import PyramidalEncoder
from saccade.layers.specaugment import SpecAugment
from saccade.layers.standardize import Standardize
from saccade.models.writer import Slots, Writer, WritingConfig, slots_of

NOISE, OFFSET = 2.0, -3.0
"""Of monotonic attention over recordings, chosen on held-out strings of spoken digits; see LOG.md."""


@dataclass(frozen=True)
class RecognizerConfig:
    """The shape of a `Recognizer`."""

    features: int
    """Width of a frame."""
    encoder: CellName
    hidden: int
    """Width of the encoder's states, all directions together."""
    layers: int
    halvings: int
    """How often time is halved."""
    dropout: float
    streaming: bool
    """Whether the encoder reads in one direction, and nothing waits for the end."""
    frequency_mask: int
    time_mask: int
    masks: int
    """SpecAugment in training: the widest masks of both kinds, in features and frames, and how many of each."""
    copies: int
    """How often the features stand side by side, with their deltas."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of the features: what frames are standardised by."""
    writing: WritingConfig


class Recognizer(Writer):
    """Listen, Attend and Spell (Chan et al. 2016, §3) with joint CTC (Watanabe et al. 2017).

    A pyramidal encoder reads frames of features and halves time between its layers; a decoder attends to its states.
    In training frames and features are masked (SpecAugment, Park et al. 2019). The decoder begins with the encoder's
    last states, or with nothing where it has to write before the end is heard.

    >>> import torch
    >>> writing = WritingConfig(9, "location-sensitive", "lstm", 4, 6, 1, 1, 0.0, ctc=0.3)
    >>> config = RecognizerConfig(13, "lstm", 6, 3, 2, 0.0, False, 4, 10, 2, 1, (0,) * 13, (1,) * 13, writing)
    >>> frames, sizes = torch.zeros(2, 21, 13), torch.tensor([[21], [8]])
    >>> forced, ctc, lengths = Recognizer(config)(frames, sizes, torch.tensor([[1, 4], [1, 5]]))
    >>> forced.logits.shape, ctc.shape, lengths.tolist()
    (torch.Size([2, 2, 9]), torch.Size([2, 6, 9]), [6, 2])
    """

    def __init__(self, config: RecognizerConfig):
        super().__init__(config.hidden, config.writing)
        self.config = config
        self.standardize = Standardize(config.mean, config.std)
        self.augment = SpecAugment(
            frequency=config.frequency_mask,
            frequency_masks=config.masks,
            time=config.time_mask,
            time_masks=config.masks,
            share=0.25,
            copies=config.copies,
        )
        self.encoder = PyramidalEncoder(
            config.encoder,
            config.features,
            config.hidden,
            layers=config.layers,
            halvings=config.halvings,
            dropout=config.dropout,
            directions=1 if config.streaming else 2,
        )
        self.dropout = Dropout(config.dropout)
        attention = getattr(self.decoder, "attention", None)
        if isinstance(attention, MonotonicAttention):
            # Memories are long and most slots no token's: it begins by stopping nowhere, and learns to be sure.
            attention.noise = NOISE
            nn.init.constant_(attention.r, OFFSET)

    def encode(self, input: Tensor, sizes: Tensor) -> Slots:
        """The states of the pyramid's top."""
        lengths = sizes[:, 0]
        states, summary, lengths = self.encoder(self.augment(self.standardize(input, sizes), lengths), lengths)
        summary = summary.new_zeros(summary.shape) if self.config.streaming else summary
        return slots_of(self.dropout(states), lengths, summary)
