"""Pixels as a PNG, as large as a page wants them."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIDE = 640  # pixels, of the longer side


def small(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """`pixels` [height, width, 3], made smaller by a whole factor where a side is longer than `side`: means of squares.

    >>> small(np.zeros((1300, 100, 3), np.uint8)).shape
    (433, 33, 3)
    """
    factor = min(-(-max(pixels.shape[:2]) // side), *pixels.shape[:2])
    height, width = (length // factor for length in pixels.shape[:2])
    squares = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(np.rint(squares.mean((1, 3))), np.uint8)


def picture(pixels: NDArray[np.uint8], side: int = SIDE) -> dict[str, object]:
    """What a page holds of `pixels` [height, width, 3]: a PNG of the size it wants, as text.

    >>> picture(np.zeros((4, 8, 3), np.uint8), side=4)["width"]
    4
    """
    shown = small(pixels, side)
    height, width, _ = shown.shape
    return {"png": base64.b64encode(png(shown)).decode("ascii"), "height": height, "width": width}


def png(pixels: NDArray[np.uint8]) -> bytes:
    r"""`pixels` [height, width, 3] as a PNG file: the same bytes each time.

    >>> png(np.zeros((1, 1, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    height, width, _ = pixels.shape
    up = np.vstack([np.zeros((1, width, 3), np.uint8), pixels[:-1]])
    lines = (pixels - up).reshape(height, -1)  # differences to the line above, modulo 256, compress best
    raw = np.hstack([np.full((height, 1), 2, np.uint8), lines]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
