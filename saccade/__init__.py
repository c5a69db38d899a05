"""Saccade: attention mechanisms for PyTorch. Add one to a model, train with it, see what it looked at.

Everything here is imported when it is first used, so that nobody waits for what they do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from saccade import decoding, masks, normalizers
    from saccade.attention.additive import AdditiveAttention, ConcatAttention, additive_scores
    from saccade.attention.base import Attended, Attention, Memory
    from saccade.attention.multiplicative import DotAttention, GeneralAttention, ScaledDotAttention, dot_scores
    from saccade.attention.none import NoAttention
    from saccade.lens.show import show
    from saccade.tasks.translate import Translator, load

_WHERE = {
    "AdditiveAttention": "attention.additive",
    "Attended": "attention.base",
    "Attention": "attention.base",
    "ConcatAttention": "attention.additive",
    "DotAttention": "attention.multiplicative",
    "GeneralAttention": "attention.multiplicative",
    "Memory": "attention.base",
    "NoAttention": "attention.none",
    "ScaledDotAttention": "attention.multiplicative",
    "Translator": "tasks.translate",
    "additive_scores": "attention.additive",
    "dot_scores": "attention.multiplicative",
    "load": "tasks.translate",
    "show": "lens.show",
}
_MODULES = ("decoding", "masks", "normalizers")

__all__ = [
    "AdditiveAttention",
    "Attended",
    "Attention",
    "ConcatAttention",
    "DotAttention",
    "GeneralAttention",
    "Memory",
    "NoAttention",
    "ScaledDotAttention",
    "Translator",
    "additive_scores",
    "decoding",
    "dot_scores",
    "load",
    "masks",
    "normalizers",
    "show",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"saccade.{_WHERE[name]}"), name)
    if name in _MODULES:
        return import_module(f"saccade.{name}")
    raise AttributeError(f"module 'saccade' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
