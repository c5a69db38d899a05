"""Normalised cells: the paper's equations, one step or many, in both directions, whatever stands under padding."""

import math

import pytest
import torch

from saccade.layers.cells import CellState, StackedCell, StackedRecurrence
from saccade.layers.normed import NormedBidirectional, NormedCell
from saccade.layers.recurrent import BidirectionalEncoder

BATCH, TIME, INPUT, HIDDEN = 3, 5, 4, 6
LENGTHS = torch.tensor([3, 5, 1])
cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


def shaken(module):
    """With gains and biases that are not 1 and 0."""
    random = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=random))
    return module.double()


def inputs(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def norm(numbers: list[float], layer: torch.nn.LayerNorm) -> list[float]:
    mean = sum(numbers) / len(numbers)
    deviation = math.sqrt(sum((number - mean) ** 2 for number in numbers) / len(numbers) + layer.eps)
    triples = zip(numbers, layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [gain * (number - mean) / deviation + bias for number, gain, bias in triples]


def product(matrix: torch.Tensor, vector: list[float]) -> list[float]:
    return [sum(w * x for w, x in zip(row, vector, strict=True)) for row in matrix.tolist()]


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def paper(cell: NormedCell, x: list[float], hidden: list[float], memory: list[float]) -> tuple[list, list]:
    """Ba et al. 2016, supplementary material, a number at a time."""
    size = HIDDEN
    read, own = product(cell.weight_ih, x), product(cell.weight_hh, hidden)
    if memory:
        gates = [a + b for a, b in zip(norm(read, cell.norm_ih[0]), norm(own, cell.norm_hh[0]), strict=True)]
        i, f, g, o = (gates[n * size : (n + 1) * size] for n in range(4))
        memory = [sigma(f[n]) * memory[n] + sigma(i[n]) * math.tanh(g[n]) for n in range(size)]
        normed = norm(memory, cell.norm_memory)
        return [sigma(o[n]) * math.tanh(normed[n]) for n in range(size)], memory
    pairs = zip(norm(read[: 2 * size], cell.norm_ih[0]), norm(own[: 2 * size], cell.norm_hh[0]), strict=True)
    gates = [sigma(a + b) for a, b in pairs]
    candidate, past = norm(read[2 * size :], cell.norm_ih[1]), norm(own[2 * size :], cell.norm_hh[1])
    new = [math.tanh(candidate[n] + gates[n] * past[n]) for n in range(size)]
    return [(1 - gates[size + n]) * new[n] + gates[size + n] * hidden[n] for n in range(size)], memory


@cells
def test_a_step_is_the_papers(cell):
    normed = shaken(NormedCell(cell, INPUT, HIDDEN))
    x, hidden = inputs(BATCH, INPUT), inputs(BATCH, HIDDEN)
    memory = inputs(BATCH, HIDDEN if cell == "lstm" else 0)
    found = normed(x, hidden, memory)
    for row in range(BATCH):
        expected = paper(normed, x[row].tolist(), hidden[row].tolist(), memory[row].tolist())
        for part, numbers in zip(found, expected, strict=True):
            torch.testing.assert_close(part[row], torch.tensor(numbers, dtype=torch.float64), rtol=0, atol=1e-12)


@cells
def test_all_at_once_is_step_by_step(cell):
    stack = shaken(StackedRecurrence(cell, INPUT, HIDDEN, layers=2, layer_norm=True))
    single = StackedCell(cell, INPUT, HIDDEN, layers=2, layer_norm=True).double()
    for one, other in zip(single.cells, stack.stack, strict=True):
        one.load_state_dict(other.state_dict())
    x = inputs(BATCH, TIME, INPUT)
    start = CellState(inputs(BATCH, 2, HIDDEN), inputs(BATCH, 2, stack.cell_dim))
    outputs, last = stack(x, start)
    state = start
    for time in range(TIME):
        ahead = single.ahead(x[:, time, :2])
        output, state = single(x[:, time, 2:], state, ahead=ahead)
        torch.testing.assert_close(output, outputs[:, time], rtol=0, atol=1e-12)
    torch.testing.assert_close(tuple(state), tuple(last), rtol=0, atol=1e-12)


@cells
def test_padding_has_no_influence_and_each_direction_ends_at_its_own_end(cell):
    encoder = shaken(BidirectionalEncoder(cell, INPUT, 2 * HIDDEN, layers=2, layer_norm=True)).eval()
    x = inputs(BATCH, TIME, INPUT)
    poisoned = x.clone()
    for row, length in enumerate(LENGTHS):
        poisoned[row, length:] = float("nan")
    poisoned.requires_grad_()
    found = encoder(poisoned, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = encoder(x[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(found.states[row, :length], alone.states[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(found.summary[row], alone.summary[0], rtol=0, atol=1e-12)
        assert (found.states[row, length:] == 0).all()
        ends = torch.cat([alone.states[0, -1, :HIDDEN], alone.states[0, 0, HIDDEN:]])
        torch.testing.assert_close(alone.summary[0], ends, rtol=0, atol=1e-12)
    found.states.sum().backward()
    assert poisoned.grad.isfinite().all()


@cells
def test_one_direction_is_the_other_of_the_reversed_sequence(cell):
    both = shaken(NormedBidirectional(cell, INPUT, 2 * HIDDEN))
    both.directions[1].load_state_dict(both.directions[0].state_dict())
    mask, x = torch.ones(BATCH, TIME, dtype=torch.bool), inputs(BATCH, TIME, INPUT)
    (states, _), (turned, _) = both(x, mask), both(x.flip(1), mask)
    torch.testing.assert_close(states[..., HIDDEN:], turned[..., :HIDDEN].flip(1), rtol=0, atol=1e-12)


def test_it_begins_by_keeping_what_it_holds():
    cell = NormedCell("lstm", INPUT, HIDDEN)
    assert cell.norm_ih[0].bias.tolist() == [0.0] * HIDDEN + [1.0] * HIDDEN + [0.0] * 2 * HIDDEN
