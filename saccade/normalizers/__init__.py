"""From scores to weights: pure functions `f(scores, mask) -> weights`, and a thin module over each."""

from saccade.normalizers.base import Normalizer
from saccade.normalizers.hard import Argmax, StraightThrough, argmax, straight_through
from saccade.normalizers.sampled import (
    Gumbel,
    RandomNormalizer,
    Sample,
    entropy,
    gumbel_noise,
    gumbel_softmax,
    gumbel_straight_through,
    log_probability,
    sample,
)
from saccade.normalizers.soft import Sigmoid, Softmax, sigmoid, softmax
from saccade.normalizers.sparse import Entmax, Entmax15, Sparsemax, entmax, entmax15, sparsemax

__all__ = [
    "Argmax",
    "Entmax",
    "Entmax15",
    "Gumbel",
    "Normalizer",
    "RandomNormalizer",
    "Sample",
    "Sigmoid",
    "Softmax",
    "Sparsemax",
    "StraightThrough",
    "argmax",
    "entmax",
    "entmax15",
    "entropy",
    "gumbel_noise",
    "gumbel_softmax",
    "gumbel_straight_through",
    "log_probability",
    "sample",
    "sigmoid",
    "softmax",
    "sparsemax",
    "straight_through",
]
