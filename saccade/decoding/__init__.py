"""From steps to answers: greedy and beam search, and what CTC knows of an answer."""

from saccade.decoding.ctc import JointMemory, JointState, JointSteps, best_path
from saccade.decoding.search import Hypothesis, Scored, Stepped, Steps, Symbols, beam_search, greedy

__all__ = [
    "Hypothesis",
    "JointMemory",
    "JointState",
    "JointSteps",
    "Scored",
    "Stepped",
    "Steps",
    "Symbols",
    "beam_search",
    "best_path",
    "greedy",
]
