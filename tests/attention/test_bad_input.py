"""A mistake is one line: what was expected, and what came."""

import re

import pytest
import torch

from saccade import masks
from saccade.attention.additive import AdditiveAttention
from saccade.attention.base import Attention
from saccade.attention.build import build
from saccade.attention.catalogue import parse
from saccade.attention.content import ContentAttention
from saccade.attention.location import FixedSlotAttention, LocationAttention
from saccade.attention.mixture import Places
from saccade.attention.windows import LocalMonotonic, LocalPredictive
from saccade.decoding.steps import select

WIDTHS = {"query_dim": 11, "key_dim": 13, "hidden_dim": 17}


def right() -> dict:
    return {"query": torch.zeros(2, 3, 11), "key": torch.zeros(2, 7, 13), "value": torch.zeros(2, 7, 5), "mask": None}


WRONG = {
    "query must be [batch, query, query_dim] = [2, query, 11] or [2, 11]; got [2, 3, 5]": {
        "query": torch.zeros(2, 3, 5)
    },
    "query must be [batch, query, query_dim] = [2, query, 11] or [2, 11]; got [3, 11]": {"query": torch.zeros(3, 11)},
    "query must be torch.float32, as the memory; got torch.float64": {"query": torch.zeros(2, 3, 11).double()},
    "query must be on cpu, as the memory; got meta": {"query": torch.zeros(2, 3, 11, device="meta")},
    "key must be [batch, key, 13]; got [2, 7, 12]": {"key": torch.zeros(2, 7, 12)},
    "key must be [batch, key, 13]; got [7, 13]": {"key": torch.zeros(7, 13)},
    "value must be [batch, key, value_dim] = [2, 7, value_dim]; got [2, 6, 5]": {"value": torch.zeros(2, 6, 5)},
    "value must be torch.float32, as key; got torch.bfloat16": {"value": torch.zeros(2, 7, 5).bfloat16()},
    "value must be on cpu, as key; got meta": {"value": torch.zeros(2, 7, 5, device="meta")},
    "key must be torch.float32, as the weights of AdditiveAttention; got torch.float64": {
        "key": torch.zeros(2, 7, 13).double(),
        "value": torch.zeros(2, 7, 5).double(),
    },
    "mask must be [batch, key] = [2, 7]; got [7, 2]": {"mask": torch.ones(7, 2, dtype=torch.bool)},
    "mask must be [batch, query, key] = [2, 3, 7]; got [2, 7, 3]": {"mask": torch.ones(2, 7, 3, dtype=torch.bool)},
    "mask must be boolean, True = may attend; got torch.float32 (added terms are bias)": {"mask": torch.ones(2, 7)},
    "mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)": {
        "mask": torch.tensor([7, 2])
    },
    "mask must be on cpu, as key; got meta": {"mask": torch.ones(2, 7, dtype=torch.bool, device="meta")},
    "bias must be [batch, query, key] = [2, 3, 7]; got [2, 7]": {"bias": torch.zeros(2, 7)},
    "bias must be a floating-point tensor; got torch.bool": {"bias": torch.ones(2, 3, 7, dtype=torch.bool)},
    "noise must be [batch, query, key] = [2, 3, 7]; got [2, 3, 6]": {"noise": torch.zeros(2, 3, 6)},
    "Softmax takes no noise: noise must be None; got Tensor": {"noise": torch.zeros(2, 3, 7)},
    "state must be that of AdditiveAttention, None; got Places(place=[2, 3])": {"state": Places(torch.zeros(2, 3))},
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes_say_what_was_expected_and_what_came(message):
    attend = AdditiveAttention(**WIDTHS)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        attend(**(right() | WRONG[message]))


@pytest.mark.parametrize("name", ["coverage", "location-sensitive", "gaussian-mixture", "local-m", "local-p", "mocha"])
def test_a_state_of_another_mechanism_or_batch_is_refused(name):
    attend = build(name, **WIDTHS)
    memory = attend.remember(right()["key"], right()["value"])
    state = attend.read(torch.zeros(2, 11), memory).state
    attend.read(torch.zeros(2, 11), memory, state)
    for wrong in (
        select(state, torch.tensor([0]), 2),
        (1, 2),
        torch.zeros(2),
        build("reinforce", **WIDTHS).initial(memory),
    ):
        with pytest.raises(ValueError, match=rf"^state must be that of {type(attend).__name__}, \w+\(.*; got "):
            attend.read(torch.zeros(2, 11), memory, wrong)


BUILT = {
    "attention must be of additive, additive-normed, .*, none, or some joined by +; got 'bahdanau'": {
        "name": "bahdanau"
    },
    "attention must name one mechanism; got 'dot+additive', which names dot and additive": {"name": "dot+additive"},
    "attention must name one window; got 'local-m+local-p', which names local-m and local-p": {
        "name": "local-m+local-p"
    },
    "attention must join content scores (additive, .*) alone; got 'coverage+sparsemax'": {"name": "coverage+sparsemax"},
    "location attention scores slots by their place and takes no window; got 'location+local-m'": {
        "name": "location+local-m"
    },
    "dot attention needs query_dim = key_dim; got 11 and 13": {"name": "dot"},
    "cosine attention needs query_dim = key_dim; got 11 and 13": {"name": "cosine+sparsemax"},
    "key_dim must be at least 1; got 0": {"name": "additive", "key_dim": 0},
    "half_width must be at least 0; got -1": {"name": "local-m", "half_width": -1},
    "half_width must be at least 1, twice the Gaussian's sigma; got 0": {"name": "local-p", "half_width": 0},
    "slots must be at least 1; got 0": {"name": "location", "slots": 0},
}


@pytest.mark.parametrize("message", BUILT)
def test_mistakes_in_building(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$".replace(r"\.\*", ".*")):
        build(**(WIDTHS | BUILT[message]))


def test_mistakes_in_constructing():
    for kind, options, message in (
        (LocationAttention, {"query_dim": 3, "key_dim": 3, "slots": 0}, "slots must be at least 1; got 0"),
        (
            FixedSlotAttention,
            {"query_dim": 3, "key_dim": 3, "slots": 2, "value_dim": 3},
            "value_dim and output_dim must be given together; got 3 and None",
        ),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            kind(**options)
    for place in (LocalMonotonic(2), LocalPredictive(3, 5, 2)):
        assert build("general", **WIDTHS).window is None
        with pytest.raises(TypeError, match="unexpected keyword argument 'window'"):
            LocationAttention(3, 3, 2, window=place)


def test_what_a_subclass_leaves_out():
    tensors = torch.zeros(1, 3), torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)
    with pytest.raises(TypeError, match=r"^Attention defines no attend$"):
        Attention(3, 5)(*tensors)
    with pytest.raises(TypeError, match=r"^ContentAttention defines no score$"):
        ContentAttention(3, 5)(*tensors)


def test_names_are_parsed():
    assert parse("additive") == ("additive", "softmax", None)
    assert parse("sparsemax") == ("additive", "sparsemax", None)
    assert parse("local-m") == ("general", "softmax", "local-m")
    assert parse("local-p+entmax15+dot") == ("dot", "entmax15", "local-p")


def test_lengths_become_masks():
    assert masks.padding(torch.tensor([1, 3])).tolist() == [[True, False, False], [True, True, True]]
    for wrong in (torch.tensor([[1]]), torch.tensor([1.0]), torch.tensor([True])):
        with pytest.raises(ValueError, match="lengths must be integers"):
            masks.padding(wrong)
    with pytest.raises(ValueError, match="lengths must be at most size = 2; got 3"):
        masks.padding(torch.tensor([1, 3]), 2)
    with pytest.raises(ValueError, match="key_padding_mask must be boolean"):
        masks.from_torch_padding(torch.zeros(1, 2))
