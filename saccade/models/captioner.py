"""Images to text: Show, Attend and Tell, and lines of text read column by column."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.dropout import Dropout
from saccade.layers.augment import RandomWarp
from saccade.layers.backbone import Backbone
from saccade.layers.convolutional import ConvolutionalEncoder, columns
from saccade.layers.positions import SinusoidalPositions2d
from saccade.layers.recurrent import BidirectionalEncoder
from saccade.layers.standardize import Standardize
from saccade.models.writer import Slots, Writer, WritingConfig, mean_of_slots, slots_of


@dataclass(frozen=True)
class CaptionerConfig:
    """The shape of a `Captioner`."""

    channels: int
    """1 for grey, 3 for colour."""
    filters: int
    """Of the first stage; each stage after it has twice as many, up to four times."""
    halvings: int
    """Stages that halve the image."""
    depth: int
    """Convolutions of a stage."""
    gates: Literal["none", "cbam", "squeeze-excitation"]
    backbone: str | None
    """The name of a timm model in place of our stages."""
    read: Literal["regions", "columns"]
    """Whether the decoder sees the image region by region, or as a line of text, column by column."""
    rows: int
    """How high images are at most, in pixels: what the width of a column depends on."""
    hidden: int
    layers: int
    """Of the recurrent encoder over columns."""
    warp: float
    dropout: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of the channels, 0 to 255: what images are standardised by."""
    writing: WritingConfig


class Captioner(Writer):
    """Show, Attend and Tell (Xu et al. 2015, §3): a convolutional encoder, and a decoder that attends to its map.

    Regions carry where they are (2-D sinusoidal positions), and are projected to the decoder's width. Read as columns,
    a map's rows are joined and a bidirectional network goes over the columns, so that the image is a sequence from left
    to right, for which CTC can be trained too.

    >>> writing = WritingConfig(9, "visual", "lstm", 4, 8, 1, 1, 0.0, ctc=0.0)
    >>> config = CaptionerConfig(3, 4, 2, 1, "none", None, "regions", 32, 8, 1, 0.0, 0.0, (0,) * 3, (1,) * 3, writing)
    >>> image, sizes = torch.zeros(2, 32, 20, 3, dtype=torch.uint8), torch.tensor([[32, 20], [16, 9]])
    >>> Captioner(config)(image, sizes, torch.tensor([[1, 4], [1, 5]])).forced.weights.shape
    torch.Size([2, 2, 40])
    """

    def __init__(self, config: CaptionerConfig):
        super().__init__(config.hidden, config.writing)
        self.config = config
        self.standardize = Standardize(config.mean, config.std)
        self.warp = _warp(config)
        self.image = _image_encoder(config)
        dim = self.image.dim
        if config.read == "columns":
            rows = int(self.image.grid(torch.tensor([[config.rows, 1]]))[0, 0])
            self.columns = BidirectionalEncoder(
                "lstm", dim * rows, config.hidden, layers=config.layers, dropout=config.dropout
            )
        else:
            self.project, self.positions = nn.Linear(dim, config.hidden), SinusoidalPositions2d(config.hidden)
        self.dropout = Dropout(config.dropout)

    def encode(self, input: Tensor, sizes: Tensor) -> Slots:
        """The regions or columns of images `[batch, height, width, channels]`."""
        image = self.standardize(input, sizes).permute(0, 3, 1, 2)
        found = self.image(self.warp(image, sizes), sizes)
        if self.config.read == "columns":
            states, lengths = columns(found)
            states, summary = self.columns(self.dropout(states), lengths)
            return slots_of(self.dropout(states), lengths, summary)
        placed = self.positions(self.project(found.map.permute(0, 2, 3, 1))).flatten(1, 2)
        # What is seen and where are rectified together: apart, a decoder learns to go from place to place far later.
        states, mask = _packed(self.dropout(torch.relu(placed)), found.mask.flatten(1))
        return Slots(states, mask, mean_of_slots(states, mask))

    def grid(self, sizes: Tensor) -> Tensor:
        """How many rows and columns of slots images of these sizes have, `[batch, 2]`."""
        grid = self.image.grid(sizes)
        return grid if self.config.read == "regions" else torch.stack([torch.ones_like(grid[:, 1]), grid[:, 1]], 1)


def _packed(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The slots that there are first, row by row: mechanisms that know places see each image as it is alone."""
    if bool(mask.all()):
        return states, mask
    order = mask.logical_not().byte().argsort(dim=1, stable=True)
    states = states.gather(1, order[..., None].expand_as(states))
    mask = mask.gather(1, order)
    return states * mask[..., None], mask


def _warp(config: CaptionerConfig) -> RandomWarp:
    if config.read == "columns":  # a line that is turned or moved by a share of its length would leave the image
        return RandomWarp(shear=config.warp)
    return RandomWarp(rotation=math.degrees(config.warp), scale=config.warp, shear=config.warp, shift=config.warp)


def _image_encoder(config: CaptionerConfig) -> ConvolutionalEncoder | Backbone:
    if config.backbone is not None:
        return Backbone(config.backbone, channels=config.channels)
    widths = [config.filters * min(2**stage, 4) for stage in range(config.halvings + 1)]
    strides = [(2, 2)] * config.halvings + [(1, 1)]
    if config.read == "columns":  # rows are halved on, columns are as many as letters need
        strides = [(2, 2 if stage < 2 else 1) for stage in range(config.halvings)] + [(1, 1)]
    return ConvolutionalEncoder(
        config.channels, widths, strides=strides, depth=config.depth, gates=config.gates, dropout=config.dropout
    )
