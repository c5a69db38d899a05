"""Saccade: attention mechanisms for PyTorch. Add one to a model, train with it, see what it looked at.

Everything here is imported when it is first used, so that nobody waits for what they do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from saccade import decoding, kernels, masks, migrate, normalizers
    from saccade.attention.additive import AdditiveAttention, ConcatAttention, TanhSumAttention
    from saccade.attention.base import Attention
    from saccade.attention.build import build
    from saccade.attention.content import ContentAttention
    from saccade.attention.contentheads import ContentHeadAttention
    from saccade.attention.feedback import CoverageAttention, LocationSensitiveAttention
    from saccade.attention.fused import fused_multihead
    from saccade.attention.gates import (
        BlockGated,
        ChannelGate,
        ConvolutionalBlockAttention,
        EfficientChannelGate,
        SpatialGate,
        SqueezeExcitation,
    )
    from saccade.attention.images import NonLocalBlock, SpatialChannelAttention, VisualAttention, regions
    from saccade.attention.linear import LinearAttention
    from saccade.attention.location import FixedSlotAttention, LocationAttention
    from saccade.attention.losses import (
        coverage_loss,
        doubly_stochastic_loss,
        quantity_loss,
        redundancy_penalty,
        reinforce_loss,
    )
    from saccade.attention.mixture import GaussianMixtureAttention, GaussianMixtureV2bAttention, mixture_weights
    from saccade.attention.mocha import MonotonicChunkwiseAttention, chunk_weights
    from saccade.attention.monotonic import MonotonicAttention, expected_alignment, hard_alignment
    from saccade.attention.multihead import MultiHeadAttention, multihead
    from saccade.attention.multiplicative import DotAttention, GeneralAttention, ScaledDotAttention, dot_scores
    from saccade.attention.none import NoAttention
    from saccade.attention.pointer import PointerAttention, PointerGenerator, copy_log_probabilities
    from saccade.attention.pooling import (
        BagPooling,
        ContextVectorPooling,
        GatedBagPooling,
        MultiHopPooling,
        StructuredSelfAttention,
    )
    from saccade.attention.positions import Alibi, BucketedBias, RelativeVectors, Rotary
    from saccade.attention.results import Attended, Gated, Memory, Windowed
    from saccade.attention.selfattention import SelfAttention
    from saccade.attention.similarity import (
        CosineAttention,
        GaussianKernelAttention,
        cosine_scores,
        gaussian_kernel_scores,
    )
    from saccade.attention.spatialchannel import SpatialChannelReading
    from saccade.attention.windows import LocalMonotonic, LocalPredictive
    from saccade.data.labelled import LabelledFile
    from saccade.data.listed import ListFile
    from saccade.data.pairs import PairFile
    from saccade.data.seriescorpus import SeriesFile
    from saccade.data.tagged import TaggedFile
    from saccade.kernels import additive_attention, additive_scores
    from saccade.layers.characters import CharacterEncoder
    from saccade.layers.crf import ConditionalRandomField
    from saccade.layers.hierarchical import HierarchicalEncoder
    from saccade.layers.positions import LearnedPositions, SinusoidalPositions
    from saccade.layers.transformer import (
        TransformerDecoder,
        TransformerDecoderLayer,
        TransformerEncoder,
        TransformerEncoderLayer,
    )
    from saccade.lens.capture.look import look
    from saccade.lens.capture.seen import Seen
    from saccade.lens.capture.site import Site
    from saccade.lens.show import draw, show, show_weights
    from saccade.models.classifier import Classifier
    from saccade.models.forecaster import Forecaster
    from saccade.models.tagger import Tagger
    from saccade.tasks.caption.captioner import ImageCaptioner
    from saccade.tasks.caption.options import CaptionOptions
    from saccade.tasks.classify.classifier import TextClassifier
    from saccade.tasks.classify.options import ClassifyOptions
    from saccade.tasks.load import from_pretrained, load
    from saccade.tasks.regress.options import RegressOptions
    from saccade.tasks.regress.regressor import Regressor
    from saccade.tasks.tag.options import TagOptions
    from saccade.tasks.tag.tagger import WordTagger
    from saccade.tasks.transcribe.options import TranscribeOptions
    from saccade.tasks.transcribe.transcriber import Transcriber
    from saccade.tasks.translate.aligning import align
    from saccade.tasks.translate.options import TranslateOptions
    from saccade.tasks.translate.translator import Translator
    from saccade.training.fit import train

_WHERE = {
    "AdditiveAttention": "attention.additive",
    "Alibi": "attention.positions",
    "Attended": "attention.results",
    "Attention": "attention.base",
    "BagPooling": "attention.pooling",
    "BlockGated": "attention.gates",
    "BucketedBias": "attention.positions",
    "CaptionOptions": "tasks.caption.options",
    "ChannelGate": "attention.gates",
    "CharacterEncoder": "layers.characters",
    "Classifier": "models.classifier",
    "ClassifyOptions": "tasks.classify.options",
    "ConcatAttention": "attention.additive",
    "ConditionalRandomField": "layers.crf",
    "ContentAttention": "attention.content",
    "ContentHeadAttention": "attention.contentheads",
    "ContextVectorPooling": "attention.pooling",
    "ConvolutionalBlockAttention": "attention.gates",
    "CosineAttention": "attention.similarity",
    "CoverageAttention": "attention.feedback",
    "DotAttention": "attention.multiplicative",
    "EfficientChannelGate": "attention.gates",
    "FixedSlotAttention": "attention.location",
    "Forecaster": "models.forecaster",
    "Gated": "attention.results",
    "GatedBagPooling": "attention.pooling",
    "GaussianKernelAttention": "attention.similarity",
    "GaussianMixtureAttention": "attention.mixture",
    "GaussianMixtureV2bAttention": "attention.mixture",
    "GeneralAttention": "attention.multiplicative",
    "HierarchicalEncoder": "layers.hierarchical",
    "ImageCaptioner": "tasks.caption.captioner",
    "LabelledFile": "data.labelled",
    "LearnedPositions": "layers.positions",
    "LinearAttention": "attention.linear",
    "ListFile": "data.listed",
    "LocalMonotonic": "attention.windows",
    "LocalPredictive": "attention.windows",
    "LocationAttention": "attention.location",
    "LocationSensitiveAttention": "attention.feedback",
    "Memory": "attention.results",
    "MonotonicAttention": "attention.monotonic",
    "MonotonicChunkwiseAttention": "attention.mocha",
    "MultiHeadAttention": "attention.multihead",
    "MultiHopPooling": "attention.pooling",
    "NoAttention": "attention.none",
    "NonLocalBlock": "attention.images",
    "PairFile": "data.pairs",
    "PointerAttention": "attention.pointer",
    "PointerGenerator": "attention.pointer",
    "RegressOptions": "tasks.regress.options",
    "Regressor": "tasks.regress.regressor",
    "RelativeVectors": "attention.positions",
    "Rotary": "attention.positions",
    "ScaledDotAttention": "attention.multiplicative",
    "Seen": "lens.capture.seen",
    "SelfAttention": "attention.selfattention",
    "SeriesFile": "data.seriescorpus",
    "SinusoidalPositions": "layers.positions",
    "Site": "lens.capture.site",
    "SpatialChannelAttention": "attention.images",
    "SpatialChannelReading": "attention.spatialchannel",
    "SpatialGate": "attention.gates",
    "SqueezeExcitation": "attention.gates",
    "StructuredSelfAttention": "attention.pooling",
    "TagOptions": "tasks.tag.options",
    "TaggedFile": "data.tagged",
    "Tagger": "models.tagger",
    "TanhSumAttention": "attention.additive",
    "TextClassifier": "tasks.classify.classifier",
    "TranscribeOptions": "tasks.transcribe.options",
    "Transcriber": "tasks.transcribe.transcriber",
    "TransformerDecoder": "layers.transformer",
    "TransformerDecoderLayer": "layers.transformer",
    "TransformerEncoder": "layers.transformer",
    "TransformerEncoderLayer": "layers.transformer",
    "TranslateOptions": "tasks.translate.options",
    "Translator": "tasks.translate.translator",
    "VisualAttention": "attention.images",
    "Windowed": "attention.results",
    "WordTagger": "tasks.tag.tagger",
    "additive_attention": "kernels",
    "additive_scores": "kernels",
    "align": "tasks.translate.aligning",
    "build": "attention.build",
    "chunk_weights": "attention.mocha",
    "copy_log_probabilities": "attention.pointer",
    "cosine_scores": "attention.similarity",
    "coverage_loss": "attention.losses",
    "dot_scores": "attention.multiplicative",
    "doubly_stochastic_loss": "attention.losses",
    "quantity_loss": "attention.losses",
    "draw": "lens.show",
    "expected_alignment": "attention.monotonic",
    "from_pretrained": "tasks.load",
    "fused_multihead": "attention.fused",
    "gaussian_kernel_scores": "attention.similarity",
    "hard_alignment": "attention.monotonic",
    "load": "tasks.load",
    "look": "lens.capture.look",
    "mixture_weights": "attention.mixture",
    "multihead": "attention.multihead",
    "redundancy_penalty": "attention.losses",
    "regions": "attention.images",
    "reinforce_loss": "attention.losses",
    "show": "lens.show",
    "show_weights": "lens.show",
    "train": "training.fit",
}
_MODULES = ("decoding", "kernels", "masks", "migrate", "normalizers")

__all__ = [
    "AdditiveAttention",
    "Alibi",
    "Attended",
    "Attention",
    "BagPooling",
    "BlockGated",
    "BucketedBias",
    "CaptionOptions",
    "ChannelGate",
    "CharacterEncoder",
    "Classifier",
    "ClassifyOptions",
    "ConcatAttention",
    "ConditionalRandomField",
    "ContentAttention",
    "ContentHeadAttention",
    "ContextVectorPooling",
    "ConvolutionalBlockAttention",
    "CosineAttention",
    "CoverageAttention",
    "DotAttention",
    "EfficientChannelGate",
    "FixedSlotAttention",
    "Forecaster",
    "Gated",
    "GatedBagPooling",
    "GaussianKernelAttention",
    "GaussianMixtureAttention",
    "GaussianMixtureV2bAttention",
    "GeneralAttention",
    "HierarchicalEncoder",
    "ImageCaptioner",
    "LabelledFile",
    "LearnedPositions",
    "LinearAttention",
    "ListFile",
    "LocalMonotonic",
    "LocalPredictive",
    "LocationAttention",
    "LocationSensitiveAttention",
    "Memory",
    "MonotonicAttention",
    "MonotonicChunkwiseAttention",
    "MultiHeadAttention",
    "MultiHopPooling",
    "NoAttention",
    "NonLocalBlock",
    "PairFile",
    "PointerAttention",
    "PointerGenerator",
    "RegressOptions",
    "Regressor",
    "RelativeVectors",
    "Rotary",
    "ScaledDotAttention",
    "Seen",
    "SelfAttention",
    "SeriesFile",
    "SinusoidalPositions",
    "Site",
    "SpatialChannelAttention",
    "SpatialChannelReading",
    "SpatialGate",
    "SqueezeExcitation",
    "StructuredSelfAttention",
    "TagOptions",
    "TaggedFile",
    "Tagger",
    "TanhSumAttention",
    "TextClassifier",
    "TranscribeOptions",
    "Transcriber",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "TranslateOptions",
    "Translator",
    "VisualAttention",
    "Windowed",
    "WordTagger",
    "additive_attention",
    "additive_scores",
    "align",
    "build",
    "chunk_weights",
    "copy_log_probabilities",
    "cosine_scores",
    "coverage_loss",
    "decoding",
    "dot_scores",
    "doubly_stochastic_loss",
    "draw",
    "expected_alignment",
    "from_pretrained",
    "fused_multihead",
    "gaussian_kernel_scores",
    "hard_alignment",
    "kernels",
    "load",
    "look",
    "masks",
    "migrate",
    "mixture_weights",
    "multihead",
    "normalizers",
    "quantity_loss",
    "redundancy_penalty",
    "regions",
    "reinforce_loss",
    "show",
    "show_weights",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"saccade.{_WHERE[name]}"), name)
    if name in _MODULES:
        return import_module(f"saccade.{name}")
    raise AttributeError(f"module 'saccade' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
