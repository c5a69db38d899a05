"""Word alignments: which words of two texts belong together. This file names the choices and imports nothing heavy."""

from collections.abc import Set as AbstractSet
from typing import Literal, TypeAlias

Link: TypeAlias = tuple[int, int]
"""A source word and a target word that belong together, both counted from 0."""

Links: TypeAlias = AbstractSet[Link]
"""All links of one pair of texts."""

Method: TypeAlias = Literal["intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
"""How the links of two directions become one set, fewest links first."""
