"""Encoders and cells: packed equals unpacked, padding has no influence, a stack of cells is PyTorch's own network."""

import pytest
import torch
from torch import nn

from saccade.layers.cells import CellState, StackedCell
from saccade.layers.recurrent import BidirectionalEncoder, packed_layer, unpacked_layer

BATCH, TIME, INPUT, HIDDEN = 5, 7, 3, 11
LENGTHS = torch.tensor([4, 7, 1, 6, 2])
cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


def layer_of(cell: str) -> nn.Module:
    kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    return kind(INPUT, HIDDEN, batch_first=True, bidirectional=True).double()


@cells
def test_packed_equals_unpacked_forward_and_backward(cell):
    layer, results = layer_of(cell), []
    for run in (packed_layer, unpacked_layer):
        x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        layer.zero_grad()
        encoded = run(layer, x.requires_grad_(), LENGTHS)
        (encoded.states.square().sum() + encoded.summary.sin().sum()).backward()
        results.append([*encoded, x.grad, *(parameter.grad.clone() for parameter in layer.parameters())])
    for packed, unpacked in zip(*results, strict=True):
        torch.testing.assert_close(unpacked, packed, rtol=0, atol=1e-12)


@cells
@pytest.mark.parametrize("layers", [1, 3])
def test_padding_has_no_influence(cell, layers):
    encoder = BidirectionalEncoder(cell, INPUT, 2 * HIDDEN, layers=layers).double().eval()
    x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64)
    poisoned = x.clone()
    for row, length in enumerate(LENGTHS):
        poisoned[row, length:] = 1e6
    clean, dirty = encoder(x, LENGTHS), encoder(poisoned, LENGTHS)
    torch.testing.assert_close(dirty.states, clean.states, rtol=0, atol=0)
    torch.testing.assert_close(dirty.summary, clean.summary, rtol=0, atol=0)
    for row, length in enumerate(LENGTHS):
        alone = encoder(x[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone.states[0], clean.states[row, :length], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone.summary[0], clean.summary[row], rtol=0, atol=1e-12)
        assert (clean.states[row, length:] == 0).all()
        # The summary is the last state forwards beside the first state backwards, where that direction ends.
        ends = torch.cat([clean.states[row, length - 1, :HIDDEN], clean.states[row, 0, HIDDEN:]])
        torch.testing.assert_close(clean.summary[row], ends, rtol=0, atol=1e-12)


@cells
def test_a_stack_of_cells_is_the_network_of_torch(cell):
    stack = StackedCell(cell, INPUT, HIDDEN, layers=2).double()
    network = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](INPUT, HIDDEN, num_layers=2, batch_first=True).double()
    for index, step in enumerate(stack.cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(network, f"{name}_l{index}").data.copy_(getattr(step, name).data)
    x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64)
    state = CellState(*(torch.zeros(BATCH, 2, size, dtype=torch.float64) for size in (HIDDEN, stack.cell_dim)))
    outputs = []
    for now in x.unbind(1):
        output, state = stack(now, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), network(x)[0], rtol=0, atol=1e-12)


@cells
def test_what_is_known_ahead_changes_nothing(cell):
    stack = StackedCell(cell, INPUT, HIDDEN, layers=2).double()
    state = CellState(*(torch.randn(BATCH, 2, size, dtype=torch.float64) for size in (HIDDEN, stack.cell_dim)))
    x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64)
    ahead = stack.ahead(x[..., :2])
    for i, now in enumerate(x.unbind(1)):
        expected, after = stack(now, state)
        found, state = stack(now[:, 2:], state, ahead=ahead._replace(gates=ahead.gates[:, i]))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(state, after, rtol=0, atol=1e-12)


def test_masks_stay_between_layers_for_a_whole_sequence():
    stack = StackedCell("gru", INPUT, HIDDEN, layers=2, dropout=0.5).double().train()
    state = CellState(*(torch.zeros(BATCH, 2, size, dtype=torch.float64) for size in (HIDDEN, 0)))
    (mask,) = stack.masks(torch.empty(BATCH, HIDDEN, dtype=torch.float64))
    seen = []
    stack.cells[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for now in torch.randn(3, BATCH, INPUT, dtype=torch.float64):
        _, state = stack(now, state, masks=[mask])
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    assert all(((x == 0) == (mask == 0)).all() for x in seen)


def test_forget_gates_begin_by_keeping_and_recurrent_matrices_are_orthogonal():
    encoder, stack = BidirectionalEncoder("lstm", INPUT, 2 * HIDDEN), StackedCell("lstm", INPUT, HIDDEN)
    for module in (encoder.layers[0], stack.cells[0]):
        for name, parameter in module.named_parameters():
            if "weight_hh" in name:
                for gate in parameter.split(HIDDEN):
                    torch.testing.assert_close(gate @ gate.T, torch.eye(HIDDEN), rtol=0, atol=1e-5)
            if "bias_ih" in name:
                assert parameter[HIDDEN : 2 * HIDDEN].min() > 0.5
                assert parameter[:HIDDEN].max() < 0.5


def test_mistakes():
    with pytest.raises(ValueError, match="hidden_dim must be even, half for each direction; got 7"):
        BidirectionalEncoder("lstm", 3, 7)
    with pytest.raises(TypeError, match=r"layer must be nn\.LSTM or nn\.GRU; got RNN"):
        unpacked_layer(nn.RNN(3, 5), torch.zeros(1, 2, 3), torch.tensor([2]))
