"""What stands between a person's files and a writer's numbers: a vocabulary, and the scale of what goes in."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data import tokens
from saccade.data.tokens import Vocabulary
from saccade.errors import RunError
from saccade.files import write_atomic
from saccade.runs import Run

SCALE, TOKENIZER = "scale.json", "tokenizer.json"


@dataclass(frozen=True)
class WriteCodec:
    """The vocabulary of the texts, and mean and standard deviation of each channel or feature."""

    vocabulary: Vocabulary
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def write(self, run: Run) -> None:
        """Write it into a run folder."""
        write_atomic(run.path(TOKENIZER), self.vocabulary.to_json())
        write_atomic(run.path(SCALE), json.dumps({"mean": self.mean, "std": self.std}) + "\n")

    @classmethod
    def read(cls, run: Run) -> "WriteCodec":
        """That of a run.

        Raises:
            RunError: a file that is not there, or broken.
        """
        path = run.path(SCALE)
        try:
            found = json.loads(path.read_text("utf-8"))
            mean, std = (tuple(float(value) for value in found[name]) for name in ("mean", "std"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: expected mean and std as JSON; got {error}") from None
        if not mean or len(mean) != len(std) or not np.isfinite([*mean, *std]).all():
            raise RunError(f"{path}: expected as many means as deviations, all finite; got {len(mean)} and {len(std)}")
        return cls(tokens.load(run.path(TOKENIZER)), mean, std)


def scale_of(arrays: Iterable[NDArray[np.generic]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the last axis over everything in some arrays.

    >>> scale_of([np.array([[0, 1]]), np.array([[2, 1]])])
    ((1.0, 1.0), (1.0, 0.0))
    """
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for array in arrays:
        rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
        count, total, squares = count + len(rows), total + rows.sum(0), squares + np.square(rows).sum(0)
    mean = total / max(count, 1)
    std = np.sqrt(np.maximum(squares / max(count, 1) - np.square(mean), 0.0))
    return tuple(np.round(mean, 6).tolist()), tuple(np.round(std, 6).tolist())
