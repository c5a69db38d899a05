"""Encoders and decoder cells. This file names the choices and imports no torch."""

from typing import Literal

CellName = Literal["lstm", "gru"]
Order = Literal["before", "after"]
"""Whether a decoder attends before its cell takes a step, or after."""
