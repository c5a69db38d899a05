"""How a sequence can be pooled, and read by itself before, by name. Imports no torch."""

from saccade.attention.catalogue import OTHERS, Parts, named, parse

POOLINGS: tuple[str, ...] = tuple(name for name, entry in OTHERS.items() if entry.kind == "pooling")
"""Poolings by attention: those of the catalogue."""

PLAIN = ("none", "last")
"""Poolings without attention, to see what attention buys: the mean of the states, and the last state."""

SELF_ATTENTIONS = ("none", "multi-head", *(name for name in named("score") if name not in ("location", "fixed-slot")))
"""What a sequence can be given to read itself with; scores may be joined with a normaliser by plus signs."""


def check_pooling(name: str) -> None:
    """Refuse what is no pooling.

    Raises:
        ValueError: naming the choices.

    >>> check_pooling("context-vector")
    """
    if name not in (*POOLINGS, *PLAIN):
        raise ValueError(f"pooling must be of {', '.join((*POOLINGS, *PLAIN))}; got {name!r}")


def check_self_attention(name: str) -> None:
    """Refuse what a sequence cannot read itself with: windows, weights that are drawn, scores of places, states.

    Raises:
        ValueError: naming the choices.

    >>> check_self_attention("general+sparsemax")
    """
    if name in ("none", "multi-head"):
        return
    try:
        parts: Parts | None = parse(name)
    except ValueError:
        parts = None
    if (
        parts is None
        or parts.mechanism not in SELF_ATTENTIONS[2:]
        or parts.window is not None
        or parts.normalizer == "reinforce"
    ):
        choices = f"{', '.join(SELF_ATTENTIONS)}, or a score and a normaliser joined by +"
        raise ValueError(f"self_attention must be of {choices}; got {name!r}")
