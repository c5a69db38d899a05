"""Searching for what to write: the decoder alone, CTC alone, or both at once."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from saccade import decoding
from saccade.data import tokens
from saccade.models.writer import Writer

SYMBOLS = decoding.Symbols(tokens.START, tokens.END, (tokens.PAD, tokens.START, tokens.UNKNOWN))


def search(
    model: Writer, input: Tensor, sizes: Tensor, limits: Sequence[int], *, beam: int = 1, share: float | None = None
) -> list[list[decoding.Hypothesis]]:
    """The `beam` likeliest texts of each input, best first, at most `limits[b]` tokens long; one by one where it is 1.

    Args:
        share: of CTC in the score of a text; None: that of the training. Without a decoder it is all.
    """
    read = model.remember(input, sizes)
    if read.source is None or read.state is None:
        assert read.ctc is not None
        return [[best] for best in decoding.best_path(read.ctc, read.lengths, blank=tokens.PAD)]
    share = model.writing.ctc if share is None else share
    if share and read.ctc is not None:
        joint = decoding.JointSteps(model, share)
        memory, state = joint.begin(read.source, read.state, read.ctc, read.lengths)
        return _found(joint, memory, state, limits, beam)
    return _found(model, read.source, read.state, limits, beam)


def _found(
    steps: decoding.Steps, memory: Any, state: Any, limits: Sequence[int], beam: int
) -> list[list[decoding.Hypothesis]]:
    if beam == 1:
        return [[best] for best in decoding.greedy(steps, memory, state, SYMBOLS, limits)]
    return decoding.beam_search(steps, memory, state, SYMBOLS, limits, beam)
