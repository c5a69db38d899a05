"""Encoders and decoder cells. This file names the choices and imports no torch."""

from typing import Literal

CellName = Literal["lstm", "gru"]
Order = Literal["before", "after"]
"""Whether a decoder attends before its cell takes a step, or after."""
GateName = Literal["none", "cbam", "squeeze-excitation"]
"""What weighs the channels and places of an image between the stages of its encoder."""
