"""What is drawn: tokens as read, tokens as written, and how strongly each written one looked at each read one."""

import math
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Half-precision softmax is off by up to half a per cent; anything further below 0 is not a weight but a mistake.
TOLERANCE = 1e-2

# These two hold emoji and Persian words together: inside a longer token they belong to the writing.
JOINERS = "\u200c\u200d"


class AttentionMap(NamedTuple):
    """One input, one output, and the weights between them; build it with `attention_map`, which checks."""

    source: tuple[str, ...]  # tokens as read
    target: tuple[str, ...]  # tokens as written
    weights: NDArray[np.float32]  # [target, source]; most rows sum to one; one that may look nowhere is zero
    answer: str = ""  # the whole output
    text: str = ""  # the whole input
    note: str = ""  # one line more, such as "expected 21:37"


def attention_map(
    source: Iterable[str],
    target: Iterable[str],
    weights: ArrayLike,
    *,
    answer: str = "",
    text: str = "",
    note: str = "",
) -> AttentionMap:
    """Check and freeze one attention map.

    `weights` is any real array [target, source] of values that are finite and not negative; a float32 copy is kept,
    read-only. Rows that sum to less than one (monotonic attention) or more (sigmoid attention), and weights above one
    (Gaussian mixtures), are drawn as they are.

    Raises:
        ValueError: a shape that does not fit the tokens, or values that are no weights (logits, NaN).

    >>> attention_map(["ein", "Hund"], ["a", "dog"], [[0.9, 0.1], [0.2, 0.8]]).target
    ('a', 'dog')
    """
    source, target = tuple(source), tuple(target)
    array = np.asarray(weights, dtype=np.float32)  # clipped into a copy below
    expected = [len(target), len(source)]
    if not target and not array.size:
        array = array.reshape(expected)  # nothing written: `[]` cannot say how many columns it has
    if list(array.shape) != expected:
        raise ValueError(f"weights must be [target, source] = {expected}; got {list(array.shape)}")
    if not np.all((array >= -TOLERANCE) & (array < np.inf)):  # phrased so that NaN fails
        raise ValueError(f"weights must be finite and at least 0; got values from {array.min()} to {array.max()}")
    array = array.clip(0, 1 if array.size and array.max() <= 1 + TOLERANCE else None)
    array.flags.writeable = False
    return AttentionMap(source, target, array, answer, text, note)


def visible(token: str) -> str:
    r"""`token` as a label that a reader can see, in one line: a space as ␣, what cannot be printed as an escape.

    Invisible and direction-changing characters, which could garble a terminal or reorder a page, become escapes
    too, and an empty token becomes ∅.

    >>> visible("New York"), visible("\n"), visible("\u202e"), visible("时")
    ('New␣York', '\\n', '\\u202e', '时')
    """
    if not token:
        return "∅"
    label = "".join(_visible_character(character, alone=len(token) == 1) for character in token)
    # An accent with nothing to stand on would land on whatever is drawn before it.
    return "◌" + label if unicodedata.category(token[0]).startswith("M") else label


def readable(text: str) -> str:
    r"""`text` as running words: spaces and line ends stay; what would be invisible, or reorder a line, is an escape.

    >>> readable("half\npast\u202e nine")
    'half\npast\\u202e nine'
    """
    return "".join(
        character if character.isspace() else _visible_character(character, alone=False) for character in text
    )


def _visible_character(character: str, alone: bool) -> str:
    if character == " ":
        return "␣"
    if character.isprintable() or (character in JOINERS and not alone):
        return character
    return character.encode("unicode_escape").decode("ascii")


def looked_at_most(weights: NDArray[np.float32]) -> int | None:
    """Index of the source token with the largest weight in one row [source], the first of equals; None if all zero.

    >>> looked_at_most(np.array([0.1, 0.7, 0.2], dtype=np.float32))
    1
    """
    return int(weights.argmax()) if weights.size and weights.max() > 0 else None


def scale_end(weights: NDArray[np.float32]) -> float:
    """Where the scale of a drawing ends: the largest of the weights, rounded up to a tidy number.

    >>> scale_end(np.array([[0.31, 0.2]], dtype=np.float32)), scale_end(np.array([[0.012]], dtype=np.float32))
    (0.4, 0.02)
    """
    largest = float(weights.max()) if weights.size else 0.0
    if largest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(largest))
    # Rounded first: float32's 0.4 is a hair above 0.4, and is no 0.5.
    return round(math.ceil(round(largest / unit, 4)) * unit, 9)
