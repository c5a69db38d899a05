"""Encoders and decoder cells. This file names the choices and imports no torch."""

from typing import Literal

CellName = Literal["lstm", "gru"]
HalfName = Literal["lstm", "gru", "transformer"]
"""What reads or writes: a recurrent cell, or a Transformer."""
Order = Literal["before", "after"]
"""Whether a decoder attends before its cell takes a step, or after."""
PositionName = Literal["sinusoidal", "learned", "rotary", "alibi", "buckets", "relative"]
"""How a Transformer knows places: added to its input (the first two), or in the heads of its self-attention."""
NormOrder = Literal["first", "last"]
"""Whether a Transformer's norms stand before attention and network, or after the sums."""
GateName = Literal["none", "cbam", "squeeze-excitation"]
"""What weighs the channels and places of an image between the stages of its encoder."""
