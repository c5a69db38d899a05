"""What is drawn of a transcript: the picture that was read from left to right, and where each token looked along it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.maps import checked
from saccade.lens.tokens import checked_pixels

# Dark to bright, each step as much brighter (Matplotlib's magma at every eighth): quiet to loud, on any background.
LOUDNESS = ("000004", "1c1044", "4f127b", "812581", "b5367a", "e55964", "fb8861", "fec287", "fcfdbf")
QUIETEST, LOUDEST = 1.0, 99.9  # percentiles: silence in decibels may be without bounds, and a click alone is loudest


class AlignedStrip(NamedTuple):
    """A long picture, tokens, and the weights of each along it; build it with `aligned_strip`, which checks."""

    picture: NDArray[np.uint8]  # [height, width, 3], the first row at the top
    tokens: tuple[str, ...]
    weights: NDArray[np.float32]  # [token, slot]: slots of equal width that cover the picture
    unit: str = ""  # what the picture's length is measured in, such as "s"
    extent: float = 0.0  # its length in that unit; 0: it has none
    answer: str = ""  # the whole output
    text: str = ""  # what was read, in words
    note: str = ""  # one line more


def aligned_strip(
    picture: ArrayLike,
    tokens: Iterable[str],
    weights: ArrayLike,
    *,
    unit: str = "",
    extent: float = 0.0,
    answer: str = "",
    text: str = "",
    note: str = "",
) -> AlignedStrip:
    """Check and freeze one aligned strip: a spectrogram or a scanned line over the weights of what was written.

    Args:
        picture: as it is seen, the first row at the top: a spectrogram is given upside down, its low frequencies last.
            uint8 [height, width, 3] or [height, width] of grey; or float [height, width], which is coloured from its
            1st percentile, dark, to that of 99.9, bright.
        tokens: as written, in their order.
        weights: [token, slot], not negative; slots are of equal width and cover the picture, however many columns of
            pixels each has.
        unit, extent: the length of the picture, such as 2.4 and "s".

    Raises:
        ValueError: no such picture, a shape that does not fit the tokens, values that are no weights (logits, NaN), a
            length below 0.

    >>> strip = aligned_strip(np.eye(4), "ab", [[0.9, 0.1], [0.2, 0.8]], unit="s", extent=0.5)
    >>> strip.picture.shape, strip.weights.shape
    ((4, 4, 3), (2, 2))
    """
    tokens, array = tuple(tokens), np.asarray(weights, dtype=np.float32)
    slots = array.shape[1] if array.ndim == 2 else 0
    looked = checked(array, "weights", "[token, slot]", [len(tokens), slots])
    if not 0 <= extent < np.inf:
        raise ValueError(f"extent must be at least 0 and finite; got {extent}")
    values = np.asarray(picture)
    pixels = checked_pixels(_coloured(values) if values.dtype.kind == "f" and values.ndim == 2 else values, "picture")
    return AlignedStrip(pixels, tokens, looked, unit, float(extent), answer, text, note)


def _coloured(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"picture must have values, all finite; got {list(values.shape)}")
    low, high = np.percentile(values, (QUIETEST, LOUDEST))
    if high <= low:  # nearly all of it is one value
        low, high = values.min(), values.max()
    part = np.clip((values - low) / (high - low or 1), 0, 1)
    stops = np.array([list(bytes.fromhex(colour)) for colour in LOUDNESS], float)
    place = np.linspace(0, 1, len(stops))
    return np.stack([np.rint(np.interp(part, place, stops[:, i])) for i in range(3)], -1).astype(np.uint8)


def place_of(strip: AlignedStrip, slot: int) -> str:
    """Where a slot lies, for a reader: its middle in the strip's unit, or its number.

    >>> strip = aligned_strip(np.eye(4), "a", [[0.9, 0.1]], unit="s", extent=0.5)
    >>> place_of(strip, 0), place_of(strip._replace(extent=0), 0)
    ('0.125 s', 'slot 1')
    """
    if not strip.extent:
        return f"slot {slot + 1}"
    return f"{strip.extent * (slot + 0.5) / strip.weights.shape[1]:.3g} {strip.unit}".strip()
