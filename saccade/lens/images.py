"""What is drawn of a described image: its pixels, the words said of it, and where each of them looked."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.maps import checked
from saccade.lens.tokens import checked_pixels

VEIL = 0.7  # over what was not looked at
GLOW = 0.2  # of white over what was looked at most: in the dark a veil alone is not seen


class AttendedImage(NamedTuple):
    """An image, words, and the weights of each over the image; build it with `attended_image`, which checks."""

    pixels: NDArray[np.uint8]  # [height, width, 3]
    words: tuple[str, ...]
    weights: NDArray[np.float32]  # [word, rows, columns]: cells that cover the image
    answer: str = ""  # the whole output
    text: str = ""  # what the image is called, in words
    note: str = ""  # one line more


def attended_image(
    pixels: ArrayLike,
    words: Iterable[str],
    weights: ArrayLike,
    *,
    answer: str = "",
    text: str = "",
    note: str = "",
) -> AttendedImage:
    """Check and freeze one attended image (the figures of Xu et al. 2015, "Show, Attend and Tell").

    Args:
        pixels: uint8 [height, width, 3], or [height, width] of grey.
        words: as written, in their order.
        weights: [word, rows, columns], not negative. The cells cover the image exactly, whatever its shape: each is
            `height / rows` by `width / columns` pixels.

    Raises:
        ValueError: no such image, a shape that does not fit the words, or values that are no weights (logits, NaN).

    >>> attended_image(np.zeros((6, 8, 3), np.uint8), ["a", "dog"], np.full((2, 2, 2), 0.25)).weights.shape
    (2, 2, 2)
    """
    image, words, array = checked_pixels(pixels), tuple(words), np.asarray(weights, dtype=np.float32)
    if array.ndim != 3:
        raise ValueError(f"weights must be [word, rows, columns]; got {list(array.shape)}")
    rows, columns = array.shape[1:]
    looked = checked(array, "weights", "[word, rows, columns]", [len(words), rows, columns])
    if not rows or not columns:
        raise ValueError(f"weights must have at least 1 row and 1 column of cells; got {rows} by {columns}")
    return AttendedImage(image, words, looked, answer, text, note)


def smoothed(weights: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Weights of cells [rows, columns] as weights of pixels [height, width]: bilinear between the middles of cells.

    In the middle of a cell it is the cell's own weight, and nowhere larger than the largest; between a border and the
    outermost middles it does not change.

    >>> smoothed(np.array([[0.0, 1.0]], np.float32), 1, 4).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    return _along(_along(weights, height).T, width).T


def _along(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    cells = len(values)
    place = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    below = np.minimum(place.astype(int), max(cells - 2, 0))
    part = (place - below)[:, None].astype(np.float32)
    return np.asarray(values[below] * (1 - part) + values[np.minimum(below + 1, cells - 1)] * part, np.float32)


def lit(pixels: NDArray[np.uint8], weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`pixels` [height, width, 3], brighter the more of `weights` [rows, columns] lies on them, smoothed.

    The scale begins at zero and ends at the largest of the weights, so even weights light all of the image evenly.
    A pixel `x` in 0 to 1 with the share `a` of the largest weight becomes
    `1 - (1 - x (1 - VEIL (1 - a))) (1 - GLOW a)`, which grows with `a` for any `x`.

    >>> grey = np.full((1, 2, 3), 100, np.uint8)
    >>> lit(grey, np.array([[1, 0]], np.float32))[0, :, 0].tolist()
    [131, 30]
    """
    largest = float(weights.max())
    share = smoothed(weights / largest if largest > 0 else weights, *pixels.shape[:2])[..., None]
    dimmed = pixels * (1 - VEIL * (1 - share))
    return np.asarray(np.rint(255 - (255 - dimmed) * (1 - GLOW * share)), np.uint8)


def strongest(weights: NDArray[np.float32], most: int = 3) -> list[tuple[int, int]]:
    """Row and column of the cells of [rows, columns] with the largest weights, the largest first, the first of equals.

    Cells without a weight are none of them.

    >>> strongest(np.array([[0.1, 0.0], [0.7, 0.2]], np.float32))
    [(1, 0), (1, 1), (0, 0)]
    """
    flat = weights.ravel()
    order = np.argsort(-flat, kind="stable")[:most]
    return [(int(cell) // weights.shape[1], int(cell) % weights.shape[1]) for cell in order if flat[cell] > 0]


def whereabouts(row: int, column: int, rows: int, columns: int) -> str:
    """In which ninth of the image a cell lies, in words.

    >>> whereabouts(0, 13, 14, 14), whereabouts(7, 7, 14, 14), whereabouts(7, 0, 14, 14)
    ('top right', 'centre', 'left')
    """
    down = ("top", "", "bottom")[int((row + 0.5) / rows * 3)]
    across = ("left", "", "right")[int((column + 0.5) / columns * 3)]
    return " ".join(part for part in (down, across) if part) or "centre"
