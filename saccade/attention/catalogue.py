"""Every mechanism by name: where it lives, what it computes, who published it, what it costs. Imports no torch.

A name may join parts with a plus: a content score, a normaliser and a window, in any order, as in
`general+sparsemax+local-p`. What is not named takes its default: no normaliser is softmax, no window is the whole
memory, and no score is general where there is a window (as in Luong et al. 2015) and additive elsewhere.
"""

import tomllib
from importlib import resources
from typing import Literal, NamedTuple

Kind = Literal["attention", "self-attention", "pooling", "gate", "positions"]
Family = Literal[
    "score",
    "normalizer",
    "window",
    "stateful",
    "pointer",
    "baseline",
    "heads",
    "positions",
    "pooling",
    "images",
    "gates",
]


class Entry(NamedTuple):
    """One row of the catalogue.

    where:      `module:class` inside `saccade` that holds it.
    family:     which part of a name it can be; scores combine with normalisers and windows, nothing else does.
    line:       what it is, in a line.
    formula:    what it computes, in the paper's symbols.
    paper:      who published it, and where it stands there.
    state:      what it carries from one query to the next.
    complexity: multiplications for one query over T slots; d is the width, n that of a hidden layer, D a half-width.
    use:        when to take it.
    kind:       what it is called with and what it returns: see docs/contract.md.
    """

    where: str
    family: Family
    line: str
    formula: str
    paper: str
    state: str
    complexity: str
    use: str
    kind: Kind = "attention"


def _read(part: str) -> dict[str, Entry]:
    text = resources.files("saccade.attention").joinpath("catalogue.toml").read_text("utf-8")
    return {name: Entry(**row) for name, row in tomllib.loads(text)[part].items()}


MECHANISMS: dict[str, Entry] = _read("mechanisms")
"""What a decoder can be given by name."""

OTHERS: dict[str, Entry] = _read("others")
"""The other kinds, and what a decoder of words cannot be given by name."""


class Parts(NamedTuple):
    """What a name stands for: a mechanism, and for content scores a normaliser and a window or None."""

    mechanism: str
    normalizer: str
    window: str | None


def named(family: Family) -> tuple[str, ...]:
    """The names of a family."""
    return tuple(name for name, entry in MECHANISMS.items() if entry.family == family)


def parse(name: str) -> Parts:
    """What a name such as `general+sparsemax+local-p` stands for.

    Raises:
        ValueError: an unknown part, two of a family, or parts that do not combine.

    >>> parse("local-p+sparsemax")
    Parts(mechanism='general', normalizer='sparsemax', window='local-p')
    """
    chosen: dict[str, str] = {}
    for part in name.split("+"):
        if part not in MECHANISMS:
            raise ValueError(f"attention must be of {', '.join(MECHANISMS)}, or some joined by +; got {name!r}")
        family = MECHANISMS[part].family
        place = family if family in ("normalizer", "window") else "mechanism"
        if place in chosen:
            raise ValueError(f"attention must name one {place}; got {name!r}, which names {chosen[place]} and {part}")
        chosen[place] = part
    window = chosen.get("window")
    mechanism = chosen.get("mechanism") or ("additive" if window is None else "general")
    family = MECHANISMS[mechanism].family
    if len(chosen) > 1 and family != "score":
        raise ValueError(f"attention must join content scores ({', '.join(named('score'))}) alone; got {name!r}")
    if window is not None and mechanism in ("location", "fixed-slot"):
        raise ValueError(f"{mechanism} attention scores slots by their place and takes no window; got {name!r}")
    return Parts(mechanism, chosen.get("normalizer", "softmax"), window)
