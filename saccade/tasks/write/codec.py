"""What stands between a person's files and a writer's numbers: a vocabulary, and the scale of what goes in."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saccade.data import tokens
from saccade.data.tokens import Vocabulary
from saccade.errors import DataError, RunError
from saccade.files import write_atomic
from saccade.runs import Run

SCALE, TOKENIZER = "scale.json", "tokenizer.json"


@dataclass(frozen=True)
class WriteCodec:
    """The vocabulary of the texts, what the files are, and mean and deviation of each of their channels or features."""

    vocabulary: Vocabulary
    kind: str
    """images, recordings or features."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def write(self, run: Run) -> None:
        """Write it into a run folder."""
        write_atomic(run.path(TOKENIZER), self.vocabulary.to_json())
        write_atomic(run.path(SCALE), json.dumps({"kind": self.kind, "mean": self.mean, "std": self.std}) + "\n")

    def check(self, path: Path, kind: str, width: int) -> None:
        """Refuse a file that is not as those of the training were.

        Raises:
            DataError: another kind of file, or another number of features.
        """
        if kind != self.kind:
            raise DataError(f"{path}: expected {self.kind}, as in training; got {kind}")
        if width != len(self.mean):
            raise DataError(f"{path}: expected {len(self.mean)} numbers a frame, as in training; got {width}")

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
            kind = str(found["kind"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: expected kind, mean and std as JSON; got {error}") from None
        if not mean or len(mean) != len(std) or not np.isfinite([*mean, *std]).all():
            raise RunError(f"{path}: expected as many means as deviations, all finite; got {len(mean)} and {len(std)}")
        return cls(tokens.load(run.path(TOKENIZER)), kind, mean, std)
