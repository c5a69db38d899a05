"""What a decoder can look at an image with, by name. Imports no torch."""

from saccade.attention.catalogue import MECHANISMS, Parts, named, parse

VISUAL = ("visual", "sca-cnn")
"""What only images are read with, beside every mechanism of a decoder; `visual` may be joined with a normaliser."""


def parse_visual(name: str) -> Parts:
    """What a name such as `visual+reinforce`, or one of `catalogue.parse`, stands for.

    Raises:
        ValueError: an unknown part, or parts that do not combine.

    >>> parse_visual("visual+reinforce")
    Parts(mechanism='visual', normalizer='reinforce', window=None)
    """
    parts = name.split("+")
    if not {*parts} <= {*VISUAL, *MECHANISMS}:
        choices = ", ".join((*VISUAL, *MECHANISMS))
        raise ValueError(f"attention must be of {choices}, or some joined by +; got {name!r}")
    own = [part for part in parts if part in VISUAL]
    if not own:
        return parse(name)
    others = [part for part in parts if part not in VISUAL] or ["softmax"]
    if len(own) + len(others) > 2 or others[0] not in named("normalizer") or (own[0] == "sca-cnn" and len(parts) > 1):
        raise ValueError(f"attention must join visual with one normaliser alone, sca-cnn with nothing; got {name!r}")
    return Parts(own[0], others[0], None)


def check_visual(name: str) -> None:
    """Refuse what no image is looked at with.

    Raises:
        ValueError: naming the choices.

    >>> check_visual("general+sparsemax")
    """
    parse_visual(name)
