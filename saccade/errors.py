"""The error classes: a user's mistake, said in one line with what was expected, what came, and where."""


class SaccadeError(ValueError):
    """A mistake that the user can mend. The command line prints its one line and no traceback."""


class DataError(SaccadeError):
    """A data file that cannot be read as what it should be; names the file and the line."""


class RunError(SaccadeError):
    """A run folder that is missing, broken, too new, or not the one that was asked for."""


class OptionError(SaccadeError):
    """An option whose value cannot be used; names the option and the choices."""


class ExportError(SaccadeError):
    """A run that an engine cannot express, or whose answers come out otherwise; names what, and where."""


class MissingExtraError(SaccadeError, ImportError):
    """A library of an optional extra is not installed; names the extra."""

    def __init__(self, library: str, extra: str):
        super().__init__(f"this needs {library}, which is not installed: pip install 'saccade[{extra}]'")


def first_line(error: Exception) -> str:
    r"""What an error of a library says first; its kind where it says nothing.

    >>> first_line(OSError("not there\nat all")), first_line(KeyError())
    ('not there', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def at_least_one(sizes: dict[str, int]) -> None:
    """Refuse a size below one, by its name.

    Raises:
        ValueError: naming the size.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1; got {size}")
