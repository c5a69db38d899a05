"""A mechanism, a pooling or a self-attention by its name."""

from torch import nn

from saccade.attention.additive import AdditiveAttention, ConcatAttention, TanhSumAttention
from saccade.attention.base import Attention
from saccade.attention.catalogue import parse
from saccade.attention.content import ContentAttention
from saccade.attention.feedback import CoverageAttention, LocationSensitiveAttention
from saccade.attention.images import VisualAttention
from saccade.attention.location import FixedSlotAttention, LocationAttention
from saccade.attention.mixture import GaussianMixtureAttention, GaussianMixtureV2bAttention
from saccade.attention.mocha import MonotonicChunkwiseAttention
from saccade.attention.monotonic import MonotonicAttention
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.multiplicative import DotAttention, GeneralAttention, ScaledDotAttention
from saccade.attention.none import NoAttention
from saccade.attention.pointer import PointerAttention
from saccade.attention.pooling import (
    BagPooling,
    ContextVectorPooling,
    GatedBagPooling,
    MultiHopPooling,
    StructuredSelfAttention,
)
from saccade.attention.poolings import check_pooling, check_self_attention
from saccade.attention.selfattention import SelfAttention
from saccade.attention.similarity import CosineAttention, GaussianKernelAttention
from saccade.attention.spatialchannel import SpatialChannelReading
from saccade.attention.unweighted import LastPooling, MeanPooling
from saccade.attention.visual import parse_visual
from saccade.attention.windows import LocalMonotonic, LocalPredictive, Window
from saccade.normalizers import (
    Argmax,
    Entmax,
    Entmax15,
    Gumbel,
    Normalizer,
    Sample,
    Sigmoid,
    Softmax,
    Sparsemax,
    StraightThrough,
)

_NORMALIZERS: dict[str, type[Normalizer]] = {
    "softmax": Softmax,
    "sparsemax": Sparsemax,
    "entmax15": Entmax15,
    "entmax": Entmax,
    "sigmoid": Sigmoid,
    "argmax": Argmax,
    "straight-through": StraightThrough,
    "gumbel": Gumbel,
    "reinforce": Sample,
}
_SAME_WIDTH = ("dot", "scaled-dot", "cosine", "gaussian-kernel")


def build(
    name: str, *, query_dim: int, key_dim: int, hidden_dim: int, slots: int = 1000, half_width: int = 10
) -> Attention:
    """The mechanism called `name`, or several parts joined by plus signs: see `saccade.attention.catalogue`.

    Args:
        query_dim, key_dim: widths of the query and of the keys.
        hidden_dim: width of a hidden layer, for those that have one.
        slots: how long a memory can be, for `location` and `fixed-slot`.
        half_width: of a local window.

    Raises:
        ValueError: an unknown name, parts that do not combine, or widths that do not fit.

    >>> build("general+local-m", query_dim=4, key_dim=6, hidden_dim=5)
    GeneralAttention(
      (normalizer): Softmax(temperature=1)
      (window): LocalMonotonic(half_width=10)
      (key): Linear(in_features=6, out_features=4, bias=False)
    )
    """
    parts = parse(name)
    if parts.mechanism in _SAME_WIDTH and query_dim != key_dim:
        raise ValueError(f"{parts.mechanism} attention needs query_dim = key_dim; got {query_dim} and {key_dim}")
    match parts.mechanism:
        case "location-sensitive":
            return LocationSensitiveAttention(query_dim, key_dim, hidden_dim)
        case "coverage":
            return CoverageAttention(query_dim, key_dim, hidden_dim)
        case "gaussian-mixture":
            return GaussianMixtureAttention(query_dim, key_dim)
        case "gaussian-mixture-v2b":
            return GaussianMixtureV2bAttention(query_dim, key_dim, hidden_dim)
        case "monotonic":
            return MonotonicAttention(query_dim, key_dim, hidden_dim)
        case "mocha":
            return MonotonicChunkwiseAttention(query_dim, key_dim, hidden_dim)
        case "pointer":
            return PointerAttention(query_dim, key_dim, hidden_dim)
        case "none":
            return NoAttention(query_dim, key_dim)
    normalizer = _NORMALIZERS[parts.normalizer]()
    window: Window | None = None
    if parts.window == "local-m":
        window = LocalMonotonic(half_width)
    elif parts.window == "local-p":
        window = LocalPredictive(query_dim, hidden_dim, half_width)
    return _content(parts.mechanism, (query_dim, key_dim, hidden_dim), slots, normalizer, window)


def build_visual(
    name: str, *, query_dim: int, key_dim: int, hidden_dim: int, slots: int = 1000, half_width: int = 10
) -> Attention:
    """What a decoder looks at the regions of an image with: see `saccade.attention.visual`. Arguments as for `build`.

    Raises:
        ValueError: an unknown name, parts that do not combine, or widths that do not fit.

    >>> build_visual("visual+sparsemax", query_dim=4, key_dim=6, hidden_dim=5).normalizer
    Sparsemax()
    """
    parts = parse_visual(name)
    match parts.mechanism:
        case "visual":
            return VisualAttention(query_dim, key_dim, hidden_dim, normalizer=_NORMALIZERS[parts.normalizer]())
        case "sca-cnn":
            return SpatialChannelReading(query_dim, key_dim, hidden_dim)
    return build(name, query_dim=query_dim, key_dim=key_dim, hidden_dim=hidden_dim, slots=slots, half_width=half_width)


def build_pooling(name: str, dim: int, *, hidden_dim: int, hops: int) -> nn.Module:
    """The pooling called `name`: see `saccade.attention.poolings`.

    Args:
        dim: width of the states.
        hidden_dim: width of the hidden layer, for those that have one.
        hops: how many views, or how many readings, for those that have several.

    Raises:
        ValueError: an unknown name.

    >>> build_pooling("multi-hop", 6, hidden_dim=5, hops=2).hops
    2
    """
    check_pooling(name)
    match name:
        case "context-vector":
            return ContextVectorPooling(dim, hidden_dim)
        case "structured-self-attention":
            return StructuredSelfAttention(dim, hidden_dim, hops)
        case "multi-hop":
            return MultiHopPooling(dim, hops)
        case "bag":
            return BagPooling(dim, hidden_dim)
        case "gated-bag":
            return GatedBagPooling(dim, hidden_dim)
        case "none":
            return MeanPooling(dim)
        case "last":
            return LastPooling(dim)
    raise ValueError(f"{name} has no builder")


def build_self_attention(name: str, dim: int, *, heads: int, hidden_dim: int) -> SelfAttention:
    """The self-attention called `name`, but for none: see `saccade.attention.poolings`.

    Args:
        dim: width of the sequence.
        heads: of `multi-head`.
        hidden_dim: width of a hidden layer, for those that have one.

    Raises:
        ValueError: an unknown name, or a width that does not fit.

    >>> build_self_attention("multi-head", 6, heads=2, hidden_dim=5).dim
    6
    """
    check_self_attention(name)
    if name == "multi-head":
        return SelfAttention(MultiHeadAttention(dim, dim, heads=heads))
    return SelfAttention(build(name, query_dim=dim, key_dim=dim, hidden_dim=hidden_dim))


def _content(
    mechanism: str, widths: tuple[int, int, int], slots: int, normalizer: Normalizer, window: Window | None
) -> ContentAttention:
    query_dim, key_dim = widths[:2]
    match mechanism:
        case "additive" | "additive-normed":
            normed = mechanism == "additive-normed"
            return AdditiveAttention(*widths, weight_norm=normed, normalizer=normalizer, window=window)
        case "tanh-sum":
            return TanhSumAttention(*widths, normalizer=normalizer, window=window)
        case "concat":
            return ConcatAttention(*widths, normalizer=normalizer, window=window)
        case "dot":
            return DotAttention(query_dim, normalizer=normalizer, window=window)
        case "scaled-dot":
            return ScaledDotAttention(query_dim, normalizer=normalizer, window=window)
        case "general":
            return GeneralAttention(query_dim, key_dim, normalizer=normalizer, window=window)
        case "cosine":
            return CosineAttention(query_dim, normalizer=normalizer, window=window)
        case "gaussian-kernel":
            return GaussianKernelAttention(query_dim, normalizer=normalizer, window=window)
        case "location":
            return LocationAttention(query_dim, key_dim, slots, normalizer=normalizer)
        case "fixed-slot":
            return FixedSlotAttention(
                query_dim, key_dim, slots, value_dim=key_dim, output_dim=key_dim, normalizer=normalizer
            )
    raise ValueError(f"{mechanism} has no builder")
