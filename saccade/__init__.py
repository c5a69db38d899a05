"""Saccade: attention mechanisms for PyTorch. Add one to a model, train with it, see what it looked at.

Everything here is imported when it is first used, so that nobody waits for what they do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from saccade import decoding, kernels, masks, normalizers
    from saccade.attention.additive import AdditiveAttention, ConcatAttention, TanhSumAttention
    from saccade.attention.base import Attention
    from saccade.attention.build import build
    from saccade.attention.content import ContentAttention
    from saccade.attention.feedback import CoverageAttention, LocationSensitiveAttention
    from saccade.attention.gates import SqueezeExcitation
    from saccade.attention.location import FixedSlotAttention, LocationAttention
    from saccade.attention.losses import coverage_loss, redundancy_penalty, reinforce_loss
    from saccade.attention.mixture import GaussianMixtureAttention, GaussianMixtureV2bAttention, mixture_weights
    from saccade.attention.mocha import MonotonicChunkwiseAttention, chunk_weights
    from saccade.attention.monotonic import MonotonicAttention, expected_alignment, hard_alignment
    from saccade.attention.multihead import MultiHeadAttention, SelfAttention
    from saccade.attention.multiplicative import DotAttention, GeneralAttention, ScaledDotAttention, dot_scores
    from saccade.attention.none import NoAttention
    from saccade.attention.pointer import PointerAttention, PointerGenerator, copy_log_probabilities
    from saccade.attention.pooling import StructuredSelfAttention
    from saccade.attention.results import Attended, Gated, Memory, Windowed
    from saccade.attention.similarity import (
        CosineAttention,
        GaussianKernelAttention,
        cosine_scores,
        gaussian_kernel_scores,
    )
    from saccade.attention.windows import LocalMonotonic, LocalPredictive
    from saccade.kernels import additive_attention, additive_scores
    from saccade.lens.show import show, show_weights
    from saccade.tasks.translate import Translator, load

_WHERE = {
    "AdditiveAttention": "attention.additive",
    "Attended": "attention.results",
    "Attention": "attention.base",
    "ConcatAttention": "attention.additive",
    "ContentAttention": "attention.content",
    "CosineAttention": "attention.similarity",
    "CoverageAttention": "attention.feedback",
    "DotAttention": "attention.multiplicative",
    "FixedSlotAttention": "attention.location",
    "Gated": "attention.results",
    "GaussianKernelAttention": "attention.similarity",
    "GaussianMixtureAttention": "attention.mixture",
    "GaussianMixtureV2bAttention": "attention.mixture",
    "GeneralAttention": "attention.multiplicative",
    "LocalMonotonic": "attention.windows",
    "LocalPredictive": "attention.windows",
    "LocationAttention": "attention.location",
    "LocationSensitiveAttention": "attention.feedback",
    "Memory": "attention.results",
    "MonotonicAttention": "attention.monotonic",
    "MonotonicChunkwiseAttention": "attention.mocha",
    "MultiHeadAttention": "attention.multihead",
    "NoAttention": "attention.none",
    "PointerAttention": "attention.pointer",
    "PointerGenerator": "attention.pointer",
    "ScaledDotAttention": "attention.multiplicative",
    "SelfAttention": "attention.multihead",
    "SqueezeExcitation": "attention.gates",
    "StructuredSelfAttention": "attention.pooling",
    "TanhSumAttention": "attention.additive",
    "Translator": "tasks.translate",
    "Windowed": "attention.results",
    "additive_attention": "kernels",
    "additive_scores": "kernels",
    "build": "attention.build",
    "chunk_weights": "attention.mocha",
    "copy_log_probabilities": "attention.pointer",
    "cosine_scores": "attention.similarity",
    "coverage_loss": "attention.losses",
    "dot_scores": "attention.multiplicative",
    "expected_alignment": "attention.monotonic",
    "gaussian_kernel_scores": "attention.similarity",
    "hard_alignment": "attention.monotonic",
    "load": "tasks.translate",
    "mixture_weights": "attention.mixture",
    "redundancy_penalty": "attention.losses",
    "reinforce_loss": "attention.losses",
    "show": "lens.show",
    "show_weights": "lens.show",
}
_MODULES = ("decoding", "kernels", "masks", "normalizers")

__all__ = [
    "AdditiveAttention",
    "Attended",
    "Attention",
    "ConcatAttention",
    "ContentAttention",
    "CosineAttention",
    "CoverageAttention",
    "DotAttention",
    "FixedSlotAttention",
    "Gated",
    "GaussianKernelAttention",
    "GaussianMixtureAttention",
    "GaussianMixtureV2bAttention",
    "GeneralAttention",
    "LocalMonotonic",
    "LocalPredictive",
    "LocationAttention",
    "LocationSensitiveAttention",
    "Memory",
    "MonotonicAttention",
    "MonotonicChunkwiseAttention",
    "MultiHeadAttention",
    "NoAttention",
    "PointerAttention",
    "PointerGenerator",
    "ScaledDotAttention",
    "SelfAttention",
    "SqueezeExcitation",
    "StructuredSelfAttention",
    "TanhSumAttention",
    "Translator",
    "Windowed",
    "additive_attention",
    "additive_scores",
    "build",
    "chunk_weights",
    "copy_log_probabilities",
    "cosine_scores",
    "coverage_loss",
    "decoding",
    "dot_scores",
    "expected_alignment",
    "gaussian_kernel_scores",
    "hard_alignment",
    "kernels",
    "load",
    "masks",
    "mixture_weights",
    "normalizers",
    "redundancy_penalty",
    "reinforce_loss",
    "show",
    "show_weights",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"saccade.{_WHERE[name]}"), name)
    if name in _MODULES:
        return import_module(f"saccade.{name}")
    raise AttributeError(f"module 'saccade' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
