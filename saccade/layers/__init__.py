"""Encoders and decoder cells. This file names the choices and imports no torch."""

from typing import Literal

CellName = Literal["lstm", "gru"]
