"""Word vectors that were learned elsewhere, for a model to begin with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from saccade.data.vectors import read_vectors
from saccade.errors import OptionError
from saccade.tasks.base import Say


def begin_with(load: Callable[[Tensor, Tensor], None], width: int, path: str, words: Sequence[str], say: Say) -> None:
    """Read the vectors of some words and give them to an embedding.

    Args:
        load: takes a row for each word, `[word, dim]`, and which of them were found, `[word]`.
        width: of the embedding.
        path: a file of word vectors, word2vec or GloVe text.
        words: the embedding's, by id.

    Raises:
        DataError: a file that is none.
        OptionError: vectors of another width.
    """
    vectors = read_vectors(Path(path), words)
    found = vectors.values.shape[1]
    if found != width:
        raise OptionError(f"--embedding must be the width of the vectors; got {width}, but those of {path} are {found}")
    load(torch.from_numpy(vectors.values), torch.from_numpy(vectors.found))
    say(f"{path}: vectors for {int(vectors.found.sum())} of {len(words)} words")
