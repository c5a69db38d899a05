"""Pyramids: the twin that loops, padding has no influence, any chunks heard one by one are the whole."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from saccade.layers.pyramidal import PyramidalEncoder, joined

INPUT, HIDDEN, TIME = 3, 6, 13
LENGTHS = torch.tensor([13, 1, 8, 5, 2])
cells = pytest.mark.parametrize("cell", ["lstm", "gru"])
shapes = pytest.mark.parametrize(("layers", "halvings"), [(1, 0), (2, 0), (2, 1), (4, 3), (4, 1)])
both = pytest.mark.parametrize("directions", [1, 2])


def encoder_of(cell: str, layers: int, halvings: int, directions: int) -> PyramidalEncoder:
    torch.manual_seed(1)
    return PyramidalEncoder(
        cell, INPUT, HIDDEN, layers=layers, halvings=halvings, directions=directions, dropout=0.3
    ).double()


def sequences() -> Tensor:
    return torch.randn(len(LENGTHS), TIME, INPUT, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def by_hand(encoder: PyramidalEncoder, steps: list[Tensor]) -> list[Tensor]:
    """One sequence through PyTorch's own networks, neighbours laid side by side one by one."""
    for index, layer in enumerate(encoder.layers):
        if 1 <= index <= encoder.halvings:
            if len(steps) % 2:
                steps = [*steps, torch.zeros_like(steps[0])]
            steps = [torch.cat([steps[i], steps[i + 1]]) for i in range(0, len(steps), 2)]
        states, _ = layer(torch.stack(steps)[None])
        steps = list(states[0])
    return steps


@cells
@shapes
@both
def test_the_pyramid_is_the_paper_s(cell, layers, halvings, directions):
    encoder, x = encoder_of(cell, layers, halvings, directions).eval(), sequences()
    found = encoder(x, LENGTHS)
    assert found.states.shape == (len(LENGTHS), -(-TIME // 2**halvings), HIDDEN)
    assert torch.equal(found.lengths, encoder.halved(LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        expected = torch.stack(by_hand(encoder, list(x[row, :length])))
        assert found.lengths[row] == len(expected)
        torch.testing.assert_close(found.states[row, : len(expected)], expected, rtol=0, atol=1e-12)
        assert (found.states[row, len(expected) :] == 0).all()
        half = HIDDEN // directions
        summary = torch.cat([expected[-1, :half], expected[0, half:]])
        torch.testing.assert_close(found.summary[row], summary, rtol=0, atol=1e-12)


@cells
@shapes
@both
def test_padding_has_no_influence(cell, layers, halvings, directions):
    encoder, x = encoder_of(cell, layers, halvings, directions).eval(), sequences()
    poisoned = x.clone()
    for row, length in enumerate(LENGTHS):
        poisoned[row, length:] = 1e6
    wider = nn.functional.pad(poisoned, (0, 0, 0, 4), value=1e6)
    clean = encoder(x, LENGTHS)
    for dirty in (encoder(poisoned, LENGTHS), encoder(wider, LENGTHS)):
        torch.testing.assert_close(dirty.states[:, : clean.states.shape[1]], clean.states, rtol=0, atol=1e-12)
        torch.testing.assert_close(dirty.summary, clean.summary, rtol=0, atol=1e-12)


@cells
@both
def test_gradients_reach_every_weight_and_step(cell, directions):
    encoder, x = encoder_of(cell, 3, 2, directions).eval(), sequences().requires_grad_()
    encoder(x, LENGTHS).states.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    real = torch.arange(TIME) < LENGTHS[:, None]
    assert ((x.grad.abs().sum(2) > 0) == real).all()


@cells
@shapes
@settings(max_examples=20, deadline=None)
@given(chunks=st.lists(st.integers(0, 9), max_size=6))
def test_any_chunks_are_the_whole(cell, layers, halvings, chunks):
    encoder = encoder_of(cell, layers, halvings, 1).eval()
    time = sum(chunks)
    x = torch.randn(2, time, INPUT, dtype=torch.float64)
    state, heard = encoder.begin(2), []
    for chunk in x.split(chunks, 1):
        states, state = encoder.advance(chunk, state)
        heard.append(states)
    # What can be known is told at once: only states without a neighbour wait.
    assert sum(states.shape[1] for states in heard) == time // 2**halvings
    heard.append(encoder.finish(state))
    found = torch.cat(heard, 1)
    if not time:
        assert found.shape == (2, 0, HIDDEN)
    else:
        expected = encoder(x, torch.tensor([time, time])).states
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@cells
def test_a_state_that_was_left_can_be_taken_up_again(cell):
    """Nothing is remembered on the module, and no state is changed."""
    encoder, x = encoder_of(cell, 3, 2, 1).eval(), sequences()
    _, state = encoder.advance(x[:, :5], encoder.begin(len(x)))
    once, _ = encoder.advance(x[:, 5:], state)
    encoder.advance(-x, state)
    again, _ = encoder.advance(x[:, 5:], state)
    torch.testing.assert_close(again, once, rtol=0, atol=0)


@cells
@both
def test_low_precision_by_autocast(cell, directions):
    encoder, x = encoder_of(cell, 3, 2, directions).float().eval(), sequences().float()
    exact = encoder(x, LENGTHS).states
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(x, LENGTHS).states
        assert (found.float() - exact).norm() < 0.03 * exact.norm()
        encoder.train()(x, LENGTHS).states.float().sum().backward()
        if directions == 1:
            encoder.eval()
            states, state = encoder.advance(x[:, :6], encoder.begin(len(x)))
            more, state = encoder.advance(x[:, 6:], state)
            heard = torch.cat([states, more, encoder.finish(state)], 1)
            assert (heard[0].float() - exact[0]).norm() < 0.03 * exact[0].norm()


def test_dropout_is_between_layers():
    encoder = PyramidalEncoder("gru", 3, 6, layers=2, halvings=1, dropout=1.0)
    x = torch.randn(1, 4, 3)
    once, again = (encoder(x * by, torch.tensor([4])).states for by in (1, 2))
    torch.testing.assert_close(once, again)  # nothing of the first layer comes through
    assert not torch.equal(*(encoder.eval()(x * by, torch.tensor([4])).states for by in (1, 2)))


def test_neighbours_stand_side_by_side():
    x = torch.arange(10.0).view(1, 5, 2)
    assert joined(x).tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: encoder_of("gru", 2, 2, 2), "halvings must be 0 to 1, less than layers; got 2"),
        (lambda: encoder_of("gru", 2, -1, 2), "halvings must be 0 to 1, less than layers; got -1"),
        (lambda: encoder_of("gru", 0, 0, 2), "layers must be at least 1; got 0"),
        (lambda: encoder_of("gru", 2, 1, 3), "directions must be 1 or 2; got 3"),
        (
            lambda: PyramidalEncoder("gru", 3, 7, layers=1, halvings=0),
            "hidden_dim must be even, half for each direction; got 7",
        ),
        (lambda: encoder_of("gru", 2, 1, 2).begin(), "directions must be 1 to go step by step; got 2"),
    ],
)
def test_errors_name_what_was_expected(call, error):
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        call()
