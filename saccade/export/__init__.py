"""Trained translators for production: other engines run them, without our models. Imports no torch."""

from typing import Literal, get_args

Target = Literal["ctranslate2", "onnx", "pt2"]
"""What a run is exported to: CTranslate2's own format, ONNX, or a program of torch.export."""
TARGETS: tuple[Target, ...] = get_args(Target)
