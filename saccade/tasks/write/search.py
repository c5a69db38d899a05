"""Searching for what to write: the decoder alone, CTC alone, or both at once."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from saccade import decoding
from saccade.data import tokens
from saccade.models.writer import Writer

SYMBOLS = decoding.Symbols(tokens.START, tokens.END, (tokens.PAD, tokens.START, tokens.UNKNOWN))


def search(
    model: Writer,
    input: Tensor,
    sizes: Tensor,
    limits: Sequence[int],
    *,
    beam: int = 1,
    nbest: int = 1,
    manner: decoding.Manner = decoding.SEARCHED,
    keys: Sequence[bytes] = (),
    share: float | None = None,
) -> list[list[decoding.Hypothesis]]:
    """The `nbest` texts of each input, at most `limits[b]` tokens long, as `decoding.decode` finds them.

    Args:
        share: of CTC in the score of a text; None: that of the training. Without a decoder it is all.
    """
    read = model.remember(input, sizes)
    if read.source is None or read.state is None:
        assert read.ctc is not None
        return [[best] for best in decoding.best_path(read.ctc, read.lengths, blank=tokens.PAD)]
    share = model.writing.ctc if share is None else share
    steps: decoding.Steps = model
    memory: Any = read.source
    state: Any = read.state
    if share and read.ctc is not None:
        joint = decoding.JointSteps(model, share)
        memory, state = joint.begin(memory, state, read.ctc, read.lengths)
        steps = joint
    return decoding.decode(steps, memory, state, SYMBOLS, limits, beam=beam, nbest=nbest, manner=manner, keys=keys)
