"""What is drawn: tokens as read, tokens as written, and how strongly each written one looked at each read one."""

import math
import unicodedata
from collections.abc import Iterable, Sequence
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
    copied: tuple[float, ...] = ()  # for each written token the share that was copied, 0 to 1; empty: nothing copies


def attention_map(
    source: Iterable[str],
    target: Iterable[str],
    weights: ArrayLike,
    *,
    answer: str = "",
    text: str = "",
    note: str = "",
    copied: Iterable[float] = (),
) -> AttentionMap:
    """Check and freeze one attention map.

    `weights` is any real array [target, source] of values that are finite and not negative; a float32 copy is kept,
    read-only. Rows that sum to less than one (monotonic attention) or more (sigmoid attention), and weights above one
    (Gaussian mixtures), are drawn as they are.

    `copied` says of each token written which share of its probability came from copying the input (See et al. 2017,
    eq. 9: the terms with `1 - p_gen`); leave it out where a model only generates.

    Raises:
        ValueError: a shape that does not fit the tokens, or values that are no weights (logits, NaN).

    >>> attention_map(["ein", "Hund"], ["a", "dog"], [[0.9, 0.1], [0.2, 0.8]]).target
    ('a', 'dog')
    """
    source, target, copied = tuple(source), tuple(target), tuple(float(share) for share in copied)
    array = checked(weights, "weights", "[target, source]", [len(target), len(source)])
    if copied:
        copied = tuple(checked(copied, "copied", "[target]", [len(target)], most=1.0).tolist())
    return AttentionMap(source, target, array, answer, text, note, copied)


def checked(
    weights: ArrayLike, name: str, axes: str, shape: Sequence[int], *, most: float = math.inf
) -> NDArray[np.float32]:
    """`weights` as a read-only float32 copy of the given shape, rounding beyond 0 and 1 taken off.

    `name` and `axes` are for errors; `most` is the largest value that is allowed.

    Raises:
        ValueError: another shape, or values that are NaN, infinite, negative, or above `most`.

    >>> checked([0.2, 1.001], "weights", "[time]", [2]).tolist()
    [0.20000000298023224, 1.0]
    """
    array = np.asarray(weights, dtype=np.float32)  # clipped into a copy below
    if 0 in shape and not array.size:
        array = array.reshape(shape)  # `[]` cannot say how many columns it has
    if list(array.shape) != list(shape):
        raise ValueError(f"{name} must be {axes} = {list(shape)}; got {list(array.shape)}")
    # Phrased so that NaN fails.
    if not np.all((array >= -TOLERANCE) & (array < np.inf) & (array <= most + TOLERANCE)):
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{name} must be finite and at least 0{limit}; got values from {array.min()} to {array.max()}")
    array = array.clip(0, 1 if array.size and array.max() <= 1 + TOLERANCE else None)
    array.flags.writeable = False
    return array


def copies(map: AttentionMap, row: int) -> bool:
    """Whether the token of this row was copied rather than generated.

    >>> copies(attention_map("ab", "xy", [[1, 0], [0, 1]], copied=[0.9, 0.1]), 0)
    True
    """
    return bool(map.copied) and map.copied[row] > 0.5


def spacing(tokens: Iterable[str]) -> str:
    """What stands between tokens where they make a text: nothing between characters or Chinese words, else a space.

    >>> spacing(["half", "past"]), spacing("half"), spacing(["今天", "天气", "好"])
    (' ', '', '')
    """
    tokens = list(tokens)
    unspaced = sum(len(token) == 1 or any(is_unspaced(character) for character in token) for token in tokens)
    chinese = any(is_unspaced(character) for token in tokens for character in token)
    return "" if unspaced == len(tokens) or (chinese and 2 * unspaced > len(tokens)) else " "


def is_unspaced(character: str) -> bool:
    """Whether it is of a script without spaces: Chinese or Japanese; Korean is as wide, but has them.

    >>> is_unspaced("时"), is_unspaced("시")
    (True, False)
    """
    return unicodedata.east_asian_width(character) in "WF" and unicodedata.name(character, "").startswith(
        ("CJK", "HIRAGANA", "KATAKANA")
    )


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
