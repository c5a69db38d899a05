"""Weights are those of the book, whatever an attention was given."""

import pytest
import torch
from cases import CASES, HEADS, QUERIES, dense, parts

from saccade.lens.capture.call import EVERY, Call, attendable, narrow, read, weights


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_the_book(case):
    call = CASES[case]()
    found = weights(call)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), dense(call), rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_some_rows_and_heads_are_those_of_all(case):
    call = CASES[case]()
    rows, heads = torch.tensor([4, 1]), torch.tensor([3, 0])
    some = weights(narrow(call, torch.tensor([1]), heads), rows)
    assert torch.allclose(some, weights(call)[1:, heads][:, :, rows], rtol=0, atol=5e-7)
    one = weights(narrow(call, slice(0, 1), slice(2, 3)), slice(2, 5))
    assert torch.allclose(one, weights(call)[:1, 2:3, 2:5], rtol=0, atol=5e-7)


@pytest.mark.parametrize("case", [name for name in CASES if name not in ("a floor", "sinks")])
def test_what_may_be_attended_has_weight_and_nothing_else(case):
    call = CASES[case]()
    may, found = attendable(call), weights(call)
    assert torch.equal(found > 0, torch.ones_like(found, dtype=torch.bool) if may is None else may.expand_as(found))


def test_a_query_that_may_look_nowhere_looks_nowhere():
    assert not weights(CASES["holes"]())[1, 0, 2].any()


def test_the_fused_function_reads_what_the_weights_read():
    query, key, value = parts(shared=2)
    mask = CASES["holes"]().mask
    fused = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
    call = Call(query, key, value, mask)
    assert torch.allclose(read(call, weights(call)), fused, atol=1e-6)


def test_low_precision_is_float32_inside():
    query, key, value = (x.bfloat16() for x in parts())
    exact = dense(Call(query, key, value))
    assert (weights(Call(query, key, value)).double() - exact).abs().max() < 5e-7
    rounded = Call(query.float() * (1 + 1e-5), key.float(), value.float(), rounded=torch.bfloat16)
    assert (weights(rounded).double() - exact).abs().max() < 5e-7


def test_doubles_stay_doubles():
    call = Call(*(x.double() for x in parts()))
    assert weights(call).dtype == torch.float64
    assert (weights(call) - dense(call)).abs().max() < 1e-14


def test_autocast_does_not_reach_inside():
    call = CASES["plain"]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(weights(call), weights(call._replace()))
        assert (weights(call).double() - dense(call)).abs().max() < 5e-7


def test_one_head_is_a_view():
    call = CASES["plain"]()
    assert narrow(call, EVERY, slice(1, 2)).key.data_ptr() == call.key[:, 1:].data_ptr()
    assert narrow(call, EVERY, EVERY).shape == (2, HEADS, QUERIES, 11)
