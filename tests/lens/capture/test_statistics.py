"""Figures block by block are those of the dense weights, in float64."""

import pytest
import torch
from cases import CASES, dense, parts

from saccade.lens.capture import statistics
from saccade.lens.capture.call import Call
from saccade.lens.capture.pieces import kept
from saccade.lens.capture.statistics import blocks, figures, slots_seen


@pytest.fixture(params=[2**20, 100, 12], ids=["one block", "a head at a time", "a row at a time"])
def size(request, monkeypatch):
    monkeypatch.setattr(statistics, "SMALL", request.param)


def everything(piece):
    torch.manual_seed(2)
    size = len(piece.rows) if hasattr(piece, "rows") else piece.shape[2]
    rows, groups = torch.rand(2, 1, size), torch.rand(1, piece.shape[3], 3)
    return rows, groups, figures(piece, entropy=True, rows=rows, distance=True, groups=groups)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("case", CASES)
def test_figures_are_those_of_the_dense_weights(case):
    call = CASES[case]()
    rows, groups, found = everything(call)
    exact = dense(call)
    standing = call.first if call.first or call.causal else call.shape[3] - call.shape[2]
    apart = (standing + torch.arange(call.shape[2])[:, None] - torch.arange(call.shape[3])).abs()
    assert (found.entropy - torch.special.entr(exact).sum(-1)).abs().max() < 2e-6
    assert (found.pulled - (rows[..., None] * exact).sum(2)).abs().max() < 1.5e-6
    assert (found.distance - (exact * apart).sum(-1)).abs().max() < 5e-6
    assert (found.mass - exact @ groups[:, None].double()).abs().max() < 2e-6


@pytest.mark.parametrize("case", ["plain", "holes", "sinks", "window"])
def test_kept_rows_have_the_figures_of_their_call(case):
    call = CASES[case]()
    chosen = [1, 2, 6]
    found = figures(kept(call, chosen), entropy=True, distance=True, rows=torch.ones(1, 1, 3))
    whole = figures(call, entropy=True, distance=True)
    assert torch.allclose(found.entropy, whole.entropy[:, :, chosen], atol=2e-6)
    assert torch.allclose(found.distance, whole.distance[:, :, chosen], atol=5e-6)
    assert torch.allclose(found.pulled.double(), dense(call)[:, :, chosen].sum(2), atol=1e-6)
    seen = slots_seen(call).expand(2, 4, call.shape[2])[:, :, chosen]
    assert torch.equal(slots_seen(kept(call, chosen)).expand(2, 4, 3), seen)


def test_a_long_input_never_makes_a_matrix(monkeypatch):
    made = []
    real = statistics.scores

    def watched(*given):
        made.append(real(*given))
        return made[-1]

    monkeypatch.setattr(statistics, "scores", watched)
    query, key, value = (torch.randn(1, 1, 3000, 4) for _ in range(3))
    figures(Call(query, key, value, causal=True), entropy=True)
    assert max(block.numel() for block in made) <= statistics.SMALL


def test_blocks_leave_out_what_no_row_reaches(monkeypatch):
    monkeypatch.setattr(statistics, "SMALL", 9)
    call = CASES["window"]()
    assert all(block.columns.stop - block.columns.start <= 3 for block in blocks(call))


def test_nan_stays_nan():
    query, key, value = parts()
    query[0, 1, 3] = torch.nan
    found = figures(Call(query, key, value), entropy=True).entropy
    assert found[0, 1, 3].isnan()
    assert found.isnan().sum() == 1
