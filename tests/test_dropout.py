"""Dropout: as many numbers as asked, each by itself, the rest as much larger."""

import pytest
import torch

from saccade.dropout import Dropout, VariationalDropout, dropout, dropout_of

FORMS = (torch.float64, torch.float32, torch.bfloat16)


@pytest.mark.parametrize("dtype", FORMS)
@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_each_number_is_left_out_by_itself_and_the_rest_make_up_for_it(p, dtype):
    """Shares of numbers, and of couples at every distance within a draw of four, are within five deviations."""
    torch.manual_seed(0)
    count = 400_000
    dropped = dropout(torch.ones(count, dtype=dtype), p)
    gone = (dropped == 0).double()
    assert float((gone.mean() - p).abs()) < 5 * (p * (1 - p) / count) ** 0.5
    for distance in range(1, 6):
        couples = (gone[:-distance] * gone[distance:]).mean()
        assert float((couples - p * p).abs()) < 5 * (3 * p * p / count) ** 0.5
    kept = torch.ones((), dtype=dtype) / (1 - p)
    torch.testing.assert_close(dropped[dropped != 0].unique(), kept[None], rtol=1e-4, atol=0)


def test_gradients_go_where_numbers_stayed():
    x = torch.randn(7, 3, 5).transpose(0, 1).requires_grad_()
    dropped = dropout(x, 0.3)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), dropped.detach())
    assert 0 < int((x.grad == 0).sum()) < x.numel()


def test_chance_is_that_of_the_seed():
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(torch.ones(3, 33)))
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


@pytest.mark.parametrize("kind", [Dropout, VariationalDropout])
def test_nothing_all_and_none(kind):
    x = torch.randn(3, 4, 5)
    assert kind(0.5).eval()(x).equal(x)
    assert kind(0.0)(x).equal(x)
    assert kind(1.0)(x).equal(torch.zeros_like(x))
    assert kind(0.5)(x[:0]).shape == (0, 4, 5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        kind(1.5)


def test_which_one():
    assert type(dropout_of(0.1, variational=False)) is Dropout
    assert type(dropout_of(0.1, variational=True)) is VariationalDropout
