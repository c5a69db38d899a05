"""Images from a person's files: whatever Pillow reads, as bytes of red, green and blue, scaled."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from saccade.errors import DataError

Pixels = NDArray[np.uint8]

MOST_PIXELS = 100_000_000
"""A file of a few bytes may say that it is as wide as memory."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: Path) -> Pixels:
    """An image as `[height, width, 3]`: red, green and blue from 0 to 255, the right way up.

    Turned as EXIF says; transparent pixels over white; grey, 1-bit, palette and CMYK images as the colours that they
    show; 16 bits are scaled to 8; of a moving image the first frame.

    Raises:
        DataError: naming the file: it cannot be read, is no image or not a whole one, has more than 100 million pixels,
            or numbers that are no colours (floating point, 32 bits).
    """
    try:
        # What Pillow warns of is either read well enough or an error below.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise _too_large(path, f"{width} x {height}")
            image.load()
            return _turned(_coloured(path, image), image)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path, "more") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: expected an image; got another kind of file") from None
    except Exception as error:  # Pillow raises whatever a broken file makes its readers stumble over
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path}: expected a readable file; got {error.strerror}") from None
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(f"{path}: expected a whole image; got {reason}") from None


def _too_large(path: Path, got: str) -> DataError:
    return DataError(f"{path}: expected an image of at most {MOST_PIXELS // 10**6} million pixels; got {got}")


def _coloured(path: Path, image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_16_bits(path, image)
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _from_16_bits(path: Path, image: Image.Image) -> Image.Image:
    # Pillow itself would clip: all above 255 were white.
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        got = "floating point numbers" if values.dtype.kind == "f" else "32"
        raise DataError(f"{path}: expected an image of 8 or 16 bits; got one of {got}")
    grey = (values.astype(np.uint32) + 128) // 257
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _turned(colours: Image.Image, image: Image.Image) -> Pixels:
    try:
        turn = _TURNS.get(int(image.getexif().get(_ORIENTATION, 1)))
    except Exception:  # broken EXIF says nothing, and the image is whole without it
        turn = None
    return np.array(colours if turn is None else colours.transpose(turn))


def fitted_size(size: tuple[int, int], *, height: int, width: int) -> tuple[int, int]:
    """The height and width that `fitted` gives an image of this height and width.

    >>> fitted_size((100, 300), height=64, width=64), fitted_size((100, 300), height=64, width=0)
    ((21, 64), (64, 192))
    """
    h, w = size
    scale = min(height / h, width / w) if width else height / h
    return max(round(h * scale), 1), max(round(w * scale), 1)


def fitted(image: Pixels, *, height: int, width: int, grey: bool) -> Pixels:
    """An image scaled so that it fits within height x width and keeps its aspect; small ones are enlarged.

    So all images have a like scale, whatever they were taken with. Scaled by triangles as wide as what a new pixel
    covers (antialiased bilinear); no side gets smaller than one pixel.

    Args:
        image: `[height, width, 3]`, as `read_image` gives it.
        height: the most; with a width of 0 what the height becomes.
        width: the most; 0 for whatever follows from the height: text lines.
        grey: whether the result has one channel, the brightness (ITU-R 601-2), instead of three.

    Returns:
        `[height, width, 1 or 3]`.

    >>> fitted(np.zeros((100, 300, 3), np.uint8), height=64, width=0, grey=True).shape
    (64, 192, 1)
    """
    picture = Image.fromarray(image)
    if grey:
        picture = picture.convert("L")
    h, w = fitted_size(image.shape[:2], height=height, width=width)
    scaled = np.array(picture.resize((w, h), Image.Resampling.BILINEAR, reducing_gap=3.0))
    return scaled.reshape(h, w, -1)
