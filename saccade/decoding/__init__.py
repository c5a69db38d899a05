"""From steps to answers: greedy and beam search, sampling, models asked together, and what CTC knows of an answer."""

from saccade.decoding.beam import beam_search
from saccade.decoding.ctc import JointMemory, JointState, JointSteps, best_path
from saccade.decoding.ensemble import Ensemble, arithmetic, geometric, together
from saccade.decoding.manner import SEARCHED, Manner, decode
from saccade.decoding.onebyone import Sampling, generator, greedy, narrowed, sample
from saccade.decoding.penalty import Penalty, power, wu
from saccade.decoding.steps import LEAST, Hypothesis, Scored, Stepped, Steps, Symbols

__all__ = [
    "LEAST",
    "SEARCHED",
    "Ensemble",
    "Hypothesis",
    "JointMemory",
    "JointState",
    "JointSteps",
    "Manner",
    "Penalty",
    "Sampling",
    "Scored",
    "Stepped",
    "Steps",
    "Symbols",
    "arithmetic",
    "beam_search",
    "best_path",
    "decode",
    "generator",
    "geometric",
    "greedy",
    "narrowed",
    "power",
    "sample",
    "together",
    "wu",
]
