"""Files written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never half of one.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one step.
    Text is written as UTF-8.

    Raises:
        OSError: the folder cannot be written or the disk is full; an old file of that name is untouched.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_atomic(path, "as it should be")
    >>> path.read_text()
    'as it should be'
    """
    path = Path(path)
    if isinstance(data, str):
        data = data.encode("utf-8")
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say which file it had no room for
        raise


def _umask() -> int:
    # The only portable way to read the mask is to set it; mkstemp's 0600 would lock colleagues out of a shared run.
    mask = os.umask(0)
    os.umask(mask)
    return mask
