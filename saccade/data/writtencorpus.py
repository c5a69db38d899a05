"""Arrays and the texts written of them, encoded on disk: images with captions, recordings with transcripts."""

import hashlib
from array import array as numbers
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.corpus import in_chunks, write_rows
from saccade.data.ragged import RaggedArrays
from saccade.data.ragged import collate as collate
from saccade.data.tokens import START, UNKNOWN, Vocabulary

_CHUNK = 32  # at most twice as many arrays are in memory at once


class WrittenBatch(NamedTuple):
    """Some examples side by side.

    input:  the arrays, zero after their ends, `[batch, *longest, dim]`: images `[batch, height, width, channel]`.
    sizes:  how large each one is, `[batch, axes]` int64: of images height and width.
    before: the previous target tokens, the start token first, `[batch, target]`.
    target: the tokens to predict, the end token last, zero at padding, `[batch, target]`.
    """

    input: Tensor
    sizes: Tensor
    before: Tensor
    target: Tensor


class WrittenCorpus:
    """Arrays and encoded texts in memory-mapped files.

    Args:
        folder: where the files are written.
        name: what their names begin with.
        examples: an array and its texts each, taken one at a time; an array with several texts is several examples,
            and written once. See `RaggedArrays` for what the arrays may be.
        vocabulary: encodes the texts.
        max_length: the most tokens of a text, the end token included.

    Attributes:
        fingerprint: a digest of everything in it.
        too_long: examples left out because the text was longer than allowed.
        unknown: tokens that the vocabulary does not know.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        examples: Iterable[tuple[NDArray[Any], Sequence[str]]],
        vocabulary: Vocabulary,
        max_length: int,
    ):
        self.too_long, self.unknown = 0, 0
        # The ids wait in memory, four bytes each, while the arrays are written.
        ids, lengths, which = numbers("i"), numbers("q"), numbers("q")

        def arrays() -> Iterator[NDArray[Any]]:
            for place, (one, rows) in enumerate(self._encoded(examples, vocabulary, max_length)):
                for row in rows:
                    ids.extend(row)
                    lengths.append(len(row))
                    which.append(place)
                yield one

        self._arrays = RaggedArrays(folder, f"{name}.input", arrays())
        rows = ((ids[end - length : end],) for end, length in zip(accumulate(lengths), lengths, strict=True))
        self._targets = write_rows(folder, name, ("target",), in_chunks(rows))
        self._which: NDArray[np.int64] = np.array(which, np.int64)  # the array of each example
        both = self._arrays.fingerprint + self._targets.fingerprint
        self.fingerprint = hashlib.sha256(both.encode() + self._which.tobytes()).hexdigest()

    def _encoded(
        self, examples: Iterable[tuple[NDArray[Any], Sequence[str]]], vocabulary: Vocabulary, max_length: int
    ) -> Iterator[tuple[NDArray[Any], list[list[int]]]]:
        """Each array with those of its texts that are not too long, if there are any."""
        rest = iter(examples)
        while chunk := list(islice(rest, _CHUNK)):
            encoded = iter(vocabulary.encode_many([text for _, texts in chunk for text in texts]))
            for one, texts in chunk:
                rows = list(islice(encoded, len(texts)))
                short = [row for row in rows if len(row) <= max_length]
                self.too_long += len(rows) - len(short)
                self.unknown += sum(row.count(UNKNOWN) for row in short)
                if short:
                    yield one, short

    def __len__(self) -> int:
        return len(self._which)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How large each array is: the product of its axes without the last; pixels of an image."""
        sizes: NDArray[np.int64] = self._arrays.shapes.prod(1)[self._which]
        return sizes

    @property
    def target_sizes(self) -> NDArray[np.int32]:
        """The number of tokens of each text."""
        return self._targets.lengths[0]

    def batch(self, indices: NDArray[np.int64]) -> WrittenBatch:
        """The examples at these indices."""
        target = self._targets.padded(0, indices)
        before = torch.nn.functional.pad(target[:, :-1], (1, 0), value=START)
        return WrittenBatch(*self._arrays.padded(self._which[indices]), before, target)
