"""Arrays of numbers from a person's `.npy` and `.npz` files, without unpickling anything."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import DataError

Array = NDArray[np.float32]

_CHUNK = 1 << 22  # numbers looked at together, so that a mapped file may be larger than memory


def from_npy(path: Path, axes: str) -> Array:
    """The numbers of a `.npy` file as float32; a file of float32 is not read but mapped into memory.

    Args:
        axes: what they should be, as in "sequence, time, variable"; the last one may be missing where it has one place.

    Raises:
        DataError: naming the file: it cannot be read, holds something else than numbers, other axes or nothing; or
            the place of a number that is not finite.
    """
    return checked(str(path), mapped(path), axes)


def mapped(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file as it is, mapped into memory and not read.

    Raises:
        DataError: naming the file: it cannot be read, or is no array.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise DataError(f"{path}: expected a readable file; got {error.strerror or error}") from None
    except ValueError as error:
        raise _not_numbers(str(path), error) from None


def from_npz(path: Path, axes: dict[str, str]) -> dict[str, Array]:
    """The arrays of these names in a `.npz` file, each with its axes: see `from_npy`. What is not there is left out."""
    try:
        if path.exists() and not path.is_dir() and not zipfile.is_zipfile(path):
            raise DataError(f"{path}: expected a .npz file; got another kind of file")
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in axes if name in archive.files}
            if not found:
                raise DataError(f"{path}: expected arrays {', '.join(axes)}; got {', '.join(archive.files) or 'none'}")
    except OSError as error:
        raise DataError(f"{path}: expected a readable file; got {error.strerror or error}") from None
    except DataError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _not_numbers(str(path), error) from None
    return {name: checked(f"{path}:{name}", array, axes[name]) for name, array in found.items()}


def _not_numbers(where: str, error: Exception) -> DataError:
    # What numpy says of objects tells how to unpickle them, which nobody should.
    text = " ".join(str(error).split()).rstrip(".")
    return DataError(f"{where}: expected an array of numbers; got {'objects' if 'bject' in text else text}")


def checked(where: str, found: NDArray[Any], axes: str) -> Array:
    """An array as float32, where it is of finite numbers with these axes: see `from_npy`."""
    names = axes.split(", ")
    if found.dtype.kind not in "fiub":
        raise DataError(f"{where}: expected an array of numbers; got one of {found.dtype}")
    if found.ndim == len(names) - 1:
        found = found[..., None]
    if found.ndim != len(names) or not found.size:
        raise DataError(f"{where}: expected numbers of [{axes}]; got an array of {list(found.shape)}")
    with np.errstate(over="ignore"):
        values = found.astype(np.float32, copy=False)
    step = max(_CHUNK // (values.size // len(values)), 1)
    for first in range(0, len(values), step):
        wrong = np.argwhere(~np.isfinite(values[first : first + step]))
        if len(wrong):
            place = (first + int(wrong[0][0]), *map(int, wrong[0][1:]))
            said = ", ".join(f"{name} {index}" for name, index in zip(names, place, strict=True))
            raise DataError(f"{where}: expected finite numbers; got {found[place]} at {said} (counted from 0)")
    return values
