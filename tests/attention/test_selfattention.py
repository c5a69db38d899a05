"""Self-attention: whole, step by step and with a cache it says the same, whichever mechanism reads."""

import re
from typing import NamedTuple

import pytest
import torch
from laws import KEY
from torch import Tensor

from saccade import masks
from saccade.attention.additive import AdditiveAttention
from saccade.attention.contentheads import ContentHeadAttention
from saccade.attention.feedback import CoverageAttention
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.multiplicative import DotAttention, GeneralAttention
from saccade.attention.positions import Alibi, BucketedBias, RelativeVectors, Rotary
from saccade.attention.results import Attended
from saccade.attention.selfattention import KeyValueCache, SelfAttention
from saccade.decoding import Symbols, beam_search, greedy
from saccade.normalizers import Sparsemax

DIM = 22

MECHANISMS = {
    "multi-head": lambda: MultiHeadAttention(DIM, DIM, heads=2),
    "grouped, rotary": lambda: MultiHeadAttention(DIM, DIM, heads=(4, 2), head_dim=(6, 4), positions=Rotary(4)),
    "alibi": lambda: MultiHeadAttention(DIM, DIM, heads=2, positions=Alibi()),
    "buckets": lambda: MultiHeadAttention(
        DIM, DIM, heads=2, positions=BucketedBias(2, buckets=4, furthest=6, bidirectional=False)
    ),
    "relative vectors": lambda: MultiHeadAttention(DIM, DIM, heads=2, positions=RelativeVectors(11, furthest=2)),
    "content heads": lambda: ContentHeadAttention(DIM, DIM, AdditiveAttention(11, 11, 5), heads=2),
    "sinks": lambda: MultiHeadAttention(DIM, DIM, heads=2, sinks=["learned", "zero"]),
    "additive": lambda: AdditiveAttention(DIM, DIM, 17),
    "general, sparse": lambda: GeneralAttention(DIM, DIM, normalizer=Sparsemax()),
    "dot": lambda: DotAttention(DIM),
}
every_mechanism = pytest.mark.parametrize("name", MECHANISMS)


def made(name: str, **places: int) -> SelfAttention:
    torch.manual_seed(1)
    return SelfAttention(MECHANISMS[name](), **places).double()


def real(side: str) -> Tensor:
    lengths = torch.tensor([[KEY], [4], [2]])
    return {
        "left": torch.arange(KEY) >= KEY - lengths,
        "right": torch.arange(KEY) < lengths,
        "none": torch.ones(3, KEY, dtype=torch.bool),
    }[side]


def sequence() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(3, KEY, DIM, dtype=torch.float64)


@every_mechanism
@pytest.mark.parametrize("side", ["left", "right", "none"])
@pytest.mark.parametrize("places", [{"after": 0}, {"after": -1}, {"before": 2, "after": 0}, {"before": 3, "after": -1}])
def test_step_by_step_equals_all_at_once(name, side, places):
    attend, x, mask = made(name, **places), sequence(), real(side)
    whole, state = attend(x, mask=mask), attend.initial(3, like=x)
    for i in range(KEY):
        context, weights, state = attend(x[:, i], mask=mask[:, i : i + 1], state=state)
        torch.testing.assert_close(context, whole.context[:, i], rtol=0, atol=1e-12)
        sinks = whole.weights.shape[-1] - KEY
        first = i + 1 - (weights.shape[-1] - sinks)
        expected = torch.cat([whole.weights[..., i, first : i + 1], whole.weights[..., i, KEY:]], -1)
        torch.testing.assert_close(weights, expected, rtol=0, atol=1e-12)
        assert (whole.weights[..., i, :first] == 0).all()
    assert state.key.shape[1] == places.get("before", KEY), "the cache holds what later steps may read, and no more"
    assert state.steps.tolist() == [KEY] * 3


@every_mechanism
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("before", [None, 2])
def test_several_steps_at_once_are_those_steps(name, side, before):
    """A prompt is read whole, what follows step by step."""
    attend, x, mask = made(name, before=before, after=0), sequence(), real(side)
    whole = attend(x, mask=mask)
    prompt = attend(x[:, :4], mask=mask[:, :4], state=attend.initial(3, like=x))
    torch.testing.assert_close(prompt.context, whole.context[:, :4], rtol=0, atol=1e-12)
    more = attend(x[:, 4:6], mask=mask[:, 4:6], state=prompt.state, need_weights=False)
    torch.testing.assert_close(more.context, whole.context[:, 4:6], rtol=0, atol=1e-12)
    last = attend(x[:, 6], mask=mask[:, 6:], state=more.state)
    torch.testing.assert_close(last.context, whole.context[:, 6], rtol=0, atol=1e-12)


@every_mechanism
def test_any_mechanism_reads_its_own_sequence(name):
    attend, x = made(name), sequence()
    mask = real("right")
    expected = attend.attend(x, x, x, mask=mask)
    found = attend(x, mask=mask)
    torch.testing.assert_close(found.context, expected.context, rtol=0, atol=0)
    torch.testing.assert_close(found.weights, expected.weights, rtol=0, atol=0)


@pytest.mark.parametrize("given", ["nothing", "padding", "by query", "by head", "pattern"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_the_call_s_mask_and_the_module_s_places_hold_together(given, need_weights):
    narrow, wide, x = made("multi-head", before=3, after=1), made("multi-head"), sequence()
    own = masks.window(KEY, before=3, after=1)
    mask, both = {
        "nothing": (None, own),
        "padding": (real("left"), real("left")[:, None] & own),
        "by query": (masks.causal(KEY), masks.causal(KEY) & own),
        "by head": (torch.rand(3, 2, KEY, KEY) < 0.5, None),
        "pattern": (masks.Pattern(before=1, padding=real("left")), masks.window(KEY, before=1, after=1)),
    }[given]
    if given == "by head":
        both = mask & own
    if given == "pattern":
        both = both & real("left")[:, None]
    found, expected = narrow(x, mask=mask, need_weights=need_weights), wide(x, mask=both)
    torch.testing.assert_close(found.context, expected.context, rtol=0, atol=1e-12)


class Stepped(NamedTuple):
    logits: Tensor
    weights: Tensor | None
    state: KeyValueCache


class Language(torch.nn.Module):
    """One self-attention layer that goes on with a prompt: with its cache, or reading everything anew at each step."""

    def __init__(self, name: str, cached: bool):
        super().__init__()
        torch.manual_seed(7)
        self.embedding, self.attend = torch.nn.Embedding(7, DIM), SelfAttention(MECHANISMS[name](), after=0)
        self.output, self.cached = torch.nn.Linear(DIM, 7), cached
        self.double()

    def prompted(self, prompt: Tensor, mask: Tensor) -> KeyValueCache:
        x = self.embedding(prompt)
        if self.cached:
            return self.attend(x, mask=mask, state=self.attend.initial(len(x))).state
        return KeyValueCache(x, x, mask, mask.new_full((len(x),), KEY, dtype=torch.long))

    def step(self, token: Tensor, memory: Tensor, state: KeyValueCache) -> Stepped:
        x = self.embedding(token)
        if self.cached:
            context, _, state = self.attend(x, state=state)
        else:  # what was written so far stands in the cache as it was put in
            seen = torch.cat([state.key, x[:, None]], 1)
            mask = torch.cat([state.mask, state.mask.new_ones(len(x), 1)], 1)
            context = self.attend(seen, mask=mask).context[:, -1]
            state = KeyValueCache(seen, seen, mask, state.steps)
        # The weights over a cache grow with every step; a search shows those over a memory, which does not.
        return Stepped(self.output(torch.tanh(context + x)), None, state)


@pytest.mark.parametrize("beam", [1, 2, 4])
@pytest.mark.parametrize("side", ["left", "right", "none"])
@pytest.mark.parametrize(
    "name", ["multi-head", "grouped, rotary", "alibi", "buckets", "relative vectors", "sinks", "additive"]
)
def test_a_cache_gives_the_same_answers_as_reading_anew(name, side, beam):
    symbols, limits, found = Symbols(0, 1, (0,)), [6, 9, 4], []
    mask = real(side)
    prompt = torch.randint(2, 7, (3, KEY), generator=torch.Generator().manual_seed(5))
    for cached in (True, False):
        model = Language(name, cached)
        memory = torch.zeros(3, 1, dtype=torch.float64)
        with torch.inference_mode():
            answers = beam_search(model, memory, model.prompted(prompt, mask), symbols, limits, beam)
            found.append([*answers, greedy(model, memory, model.prompted(prompt, mask), symbols, limits)])
    for one, other in zip(*found, strict=True):
        assert [h.tokens for h in one] == [h.tokens for h in other]
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-5)


@pytest.mark.parametrize("name", ["multi-head", "grouped, rotary", "additive"])
@pytest.mark.parametrize("before", [None, 3])
def test_a_step_compiles_whole_exports_and_reloads(name, before, tmp_path):
    attend = made(name, before=before, after=0).float()
    x = sequence().float()
    state = attend(x[:, :4], state=attend.initial(3)).state
    state = KeyValueCache(*(part.detach() for part in state))
    expected = attend(x[:, 5], state=state)
    torch.compiler.reset()
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")(x[:, 5], state=state)
    torch.export.save(torch.export.export(attend, (x[:, 5],), {"state": state}), tmp_path / "step.pt2")
    reloaded = torch.export.load(tmp_path / "step.pt2").module()(x[:, 5], state=state)
    for found in (compiled, reloaded):
        torch.testing.assert_close(found.context, expected.context)
        torch.testing.assert_close(found.weights, expected.weights)
        for mine, other in zip(found.state, expected.state, strict=True):
            torch.testing.assert_close(mine, other)


def step(x: Tensor, state: object = None, **options: object) -> Attended:
    attend = SelfAttention(MultiHeadAttention(DIM, DIM, heads=2))
    return attend(x, state=attend.initial(2) if state is None else state, **options)


def of_another_model(dim: int) -> KeyValueCache:
    return SelfAttention(MultiHeadAttention(dim, dim, heads=2)).initial(2)


WRONG = {
    "x must be [batch, query, 22]; got [2, 7, 13]": lambda: SelfAttention(DotAttention(DIM))(torch.zeros(2, 7, 13)),
    "a step must be [batch, 22], or several [batch, steps, 22]; got [2, 13]": lambda: step(torch.zeros(2, 13)),
    "state must be a KeyValueCache with keys of [3, steps, 22]; got [2, 0, 22]": lambda: step(torch.zeros(3, DIM)),
    "state must be a KeyValueCache; got tuple": lambda: step(torch.zeros(2, DIM), (1, 2)),
    "state must be a KeyValueCache with keys of [2, steps, 22]; got [2, 0, 26]": lambda: step(
        torch.zeros(2, DIM), of_another_model(26)
    ),
    "mask must be [batch, key] = [2, 1]; got [2, 3]": lambda: step(torch.zeros(2, DIM), mask=torch.ones(2, 3).bool()),
    "mask of a step must be boolean, [batch, steps]; got a Pattern": lambda: step(
        torch.zeros(2, DIM), mask=masks.Pattern(after=0)
    ),
    "mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)": lambda: SelfAttention(
        DotAttention(DIM), before=2
    )(torch.zeros(2, 7, DIM), mask=torch.tensor([7, 3])),
    "self-attention needs query_dim = key_dim, as one sequence is both; got 3 and 5": lambda: SelfAttention(
        GeneralAttention(3, 5)
    ),
    "self-attention needs a mechanism without a state; got CoverageAttention": lambda: SelfAttention(
        CoverageAttention(3, 3, 5)
    ),
    "after must be at least -1, or None for no limit; got -2": lambda: SelfAttention(DotAttention(3), after=-2),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()


def test_a_cache_of_another_dtype_is_refused():
    cache = of_another_model(DIM)
    cache = cache._replace(key=cache.key.double(), value=cache.value.double())
    with pytest.raises(ValueError, match=r"^x must be torch.float64, as the cache; got torch.float32$"):
        step(torch.zeros(2, DIM), cache)
