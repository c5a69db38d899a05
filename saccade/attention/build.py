"""A mechanism by its name."""

from saccade.attention.additive import AdditiveAttention, ConcatAttention
from saccade.attention.base import Attention
from saccade.attention.catalogue import NAMES, AttentionName
from saccade.attention.multiplicative import DotAttention, GeneralAttention, ScaledDotAttention
from saccade.attention.none import NoAttention


def build(name: AttentionName, *, query_dim: int, key_dim: int, hidden_dim: int) -> Attention:
    """The mechanism called `name` for a query and keys of these widths; `hidden_dim` is for those that have one.

    Raises:
        ValueError: an unknown name, or a dot product of a query and keys of different widths.

    >>> build("general", query_dim=4, key_dim=6, hidden_dim=5)
    GeneralAttention(
      (key): Linear(in_features=6, out_features=4, bias=False)
    )
    """
    if name in ("dot", "scaled-dot") and query_dim != key_dim:
        raise ValueError(f"{name} attention needs query_dim = key_dim; got {query_dim} and {key_dim}")
    match name:
        case "additive":
            return AdditiveAttention(query_dim, key_dim, hidden_dim)
        case "concat":
            return ConcatAttention(query_dim, key_dim, hidden_dim)
        case "dot":
            return DotAttention(query_dim)
        case "scaled-dot":
            return ScaledDotAttention(query_dim)
        case "general":
            return GeneralAttention(query_dim, key_dim)
        case "none":
            return NoAttention(query_dim, key_dim)
    raise ValueError(f"attention must be one of {', '.join(NAMES)}; got {name!r}")
