"""Word alignments: which words of two texts belong together. This file names the choices and imports nothing heavy."""

from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, TypeAlias

Link: TypeAlias = tuple[int, int]
"""A source word and a target word that belong together, both counted from 0."""

Links: TypeAlias = AbstractSet[Link]
"""All links of one pair of texts."""

Method: TypeAlias = Literal["intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
"""How the links of two directions become one set, fewest links first."""


class Choice(NamedTuple):
    """Which of a translator's weights say what belongs together.

    layer: of a Transformer's decoder, from 0, or from the end, -1 the last; None: the last. A recurrent one has one.
    head:  of that layer, from 0; None: the mean of all.
    shift: whether a token has the weights of the step that reads it, in place of those of the step that predicted it.
    posterior: whether the token itself tells which of the weights it came of, for recurrent decoders that attend after
           their cell.
    """

    layer: int | None = None
    head: int | None = None
    shift: bool = False
    posterior: bool = False
