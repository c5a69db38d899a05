"""Every mechanism by name: where it lives, what it is, who published it. Imports no torch."""

from typing import Literal, NamedTuple, get_args

AttentionName = Literal["additive", "dot", "scaled-dot", "general", "concat", "none"]


class Entry(NamedTuple):
    """One row of the catalogue."""

    where: str
    """`module:class` inside `saccade.attention`."""
    score: str
    paper: str


MECHANISMS: dict[AttentionName, Entry] = {
    "additive": Entry("additive:AdditiveAttention", "v . tanh(W s + U h)", "Bahdanau et al. 2015, A.1.2"),
    "dot": Entry("multiplicative:DotAttention", "s . h", "Luong et al. 2015, §3.1"),
    "scaled-dot": Entry("multiplicative:ScaledDotAttention", "s . h / sqrt(d)", "Vaswani et al. 2017, eq. 1"),
    "general": Entry("multiplicative:GeneralAttention", "s . W h", "Luong et al. 2015, §3.1"),
    "concat": Entry("additive:ConcatAttention", "v . tanh(W [s; h])", "Luong et al. 2015, §3.1"),
    "none": Entry("none:NoAttention", "-", "Cho et al. 2014, §2.2"),
}

NAMES: tuple[AttentionName, ...] = get_args(AttentionName)
