"""How widely answers looked: the entropy of their weights."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def normalised_entropy(weights: ArrayLike) -> NDArray[np.float64]:
    """The entropy of each row of weights as a share of the largest that it could have.

    `H = -sum_j p_j log p_j / log n`, `p_j = w_j / sum_k w_k`, over the `n` slots of the row: 0 where one slot has
    everything, 1 where all have alike. Rows that looked nowhere are left out, and so are rows of a single slot, which
    have no choice. Weights that do not sum to one (sigmoid, monotonic, Gaussian mixtures) are first made to.

    Args:
        weights: not negative, `[..., slot]`.

    Returns:
        Float64 `[row]`, from 0 to 1.

    >>> normalised_entropy([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [3, 3, 0, 0], [0, 0, 0, 0]]).round(3).tolist()
    [0.0, 1.0, 0.5]
    """
    array = np.asarray(weights, np.float64)
    slots = array.shape[-1]
    rows = array.reshape(-1, slots) if slots > 1 else np.zeros((0, 2))
    total = rows.sum(1, keepdims=True)
    rows, total = rows[total[:, 0] > 0], total[total[:, 0] > 0]
    shares = rows / total
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: NDArray[np.float64] = (0.0 - (shares * logs).sum(1)) / np.log(max(slots, 2))
    return entropy.clip(0.0, 1.0)


def entropy_of(answers: Iterable[Any]) -> float | None:
    """The mean over all rows of weights in answers of any task; None where nothing looked, or had no choice."""
    each = [normalised_entropy(weights) for answer in answers for weights in _weights(answer)]
    rows = np.concatenate(each) if each else np.zeros(0)
    return float(rows.mean()) if rows.size else None


def _weights(answer: Any) -> Iterator[NDArray[np.float32]]:
    if answer.weights is None:
        return
    if hasattr(answer, "pixels"):  # the places of an image are one row of slots
        yield answer.weights.reshape(len(answer.weights), -1)
        return
    # A verdict on a document has weights for each sentence, and others among the sentences.
    yield from answer.weights if isinstance(answer.weights, tuple) else (answer.weights,)
    sentences = getattr(answer, "sentences", None)
    if sentences is not None:
        yield sentences
