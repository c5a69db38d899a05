"""How sequences are read into one vector each: the options of a reader, and what does not go together. No torch."""

from dataclasses import dataclass
from typing import Literal

from saccade.attention.poolings import check_pooling, check_self_attention
from saccade.errors import at_least_one

EncoderName = Literal["lstm", "gru", "transformer", "none"]


@dataclass(frozen=True)
class Reading:
    """How a sequence is read.

    Raises:
        ValueError: an unknown name, sizes below one, or the last state of what has none.

    >>> Reading("transformer", pooling="last")
    Traceback (most recent call last):
    ...
    ValueError: pooling last needs the states of an lstm or gru alone; got encoder transformer, self_attention none
    """

    encoder: EncoderName = "lstm"
    """What makes states of a sequence; none: it is its own states."""
    layers: int = 1
    """Layers of the encoder."""
    self_attention: str = "none"
    """How states read each other before they are pooled: a name of `saccade.attention.poolings`."""
    heads: int = 4
    """Of a Transformer, and of `multi-head` self-attention."""
    pooling: str = "context-vector"
    """What makes one vector of the states: a name of `saccade.attention.poolings`."""
    hops: int = 4
    """How many views, or readings, a pooling takes that takes several."""
    dropout: float = 0.0
    """Between the layers of the encoder, inside a Transformer, and of what self-attention adds."""

    def __post_init__(self) -> None:
        check_pooling(self.pooling)
        check_self_attention(self.self_attention)
        at_least_one({"layers": self.layers, "heads": self.heads, "hops": self.hops})
        if self.pooling == "last" and (self.encoder not in ("lstm", "gru") or self.self_attention != "none"):
            came = f"encoder {self.encoder}, self_attention {self.self_attention}"
            raise ValueError(f"pooling last needs the states of an lstm or gru alone; got {came}")
