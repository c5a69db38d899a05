"""The Transformer's encoder over embeddings, with every kind of positions."""

import math
from typing import get_args

import pytest
import torch

from saccade.attention.positions import BucketedBias
from saccade.layers import PositionName
from saccade.layers.placed import PlacedEncoder, StackShape, layers_of, token_table
from saccade.layers.transformer import TransformerDecoderLayer

DIM, HEADS, LAYERS, TIME = 12, 2, 3, 7
LENGTHS = torch.tensor([7, 3, 5])
MASK = torch.arange(TIME) < LENGTHS[:, None]
every_position = pytest.mark.parametrize("positions", get_args(PositionName))


def encoder_of(**given) -> PlacedEncoder:
    torch.manual_seed(4)
    return PlacedEncoder(StackShape(dim=DIM, heads=HEADS, layers=LAYERS, dropout=0.0, **given)).double().eval()


def embeddings() -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(3, TIME, DIM, dtype=torch.float64)


@every_position
@pytest.mark.parametrize("norm", ["first", "last"])
def test_padding_has_no_influence_and_places_have(positions, norm):
    encoder, x = encoder_of(positions=positions, norm=norm), embeddings()
    states, summary = encoder(x, LENGTHS)
    assert (states[~MASK] == 0).all()
    other = encoder(x.masked_fill(~MASK[..., None], 9.0), LENGTHS)
    torch.testing.assert_close(other.states, states, rtol=0, atol=0)
    for row, length in enumerate(LENGTHS):
        alone = encoder(x[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone.states[0], states[row, :length], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone.summary[0], summary[row], rtol=0, atol=1e-12)
        torch.testing.assert_close(summary[row], states[row, :length].mean(0), rtol=0, atol=1e-12)
    turned = encoder(x[:1].roll(1, 1), LENGTHS[:1]).states.roll(-1, 1)
    assert (turned - states[:1]).abs().max() > 1e-4


def test_embeddings_are_scaled_and_waves_added():
    encoder, x = encoder_of(), embeddings()
    waves = [
        [f(i / 10_000 ** (2 * n / DIM)) for n in range(DIM // 2) for f in (math.sin, math.cos)] for i in range(TIME)
    ]
    placed = DIM**0.5 * x + torch.tensor(waves, dtype=torch.float64)
    expected = encoder.stack(placed, mask=MASK).output * MASK[..., None]
    torch.testing.assert_close(encoder(x, LENGTHS).states, expected, rtol=0, atol=1e-12)


def test_the_shape_is_what_was_asked_for():
    encoder = encoder_of(shared_heads=1, feedforward=5, norm="last", positions="rotary")
    layer = encoder.stack.layers[0]
    assert encoder.stack.norm is encoder.positions is None
    assert not layer.around_self.norm_first
    assert (layer.self_attention.attend.heads, layer.self_attention.attend.shared) == (2, 1)
    assert layer.feedforward.inner.out_features == 5
    assert encoder_of().stack.layers[0].feedforward.inner.out_features == 4 * DIM


def test_layers_share_the_biases_of_buckets_and_those_of_a_decoder_look_back():
    shape = StackShape(dim=DIM, heads=HEADS, layers=LAYERS, dropout=0.0, positions="buckets")
    found = [layer.self_attention.attend.positions for layer in layers_of(TransformerDecoderLayer, shape)]
    assert isinstance(found[0], BucketedBias)
    assert all(one is found[0] for one in found)
    assert not found[0].bidirectional
    assert encoder_of(positions="buckets").stack.layers[0].self_attention.attend.positions.bidirectional


def test_texts_beyond_the_table_of_places_take_its_last():
    encoder, x = encoder_of(positions="learned", slots=4), embeddings()
    assert encoder.positions is not None
    places = encoder.positions.table.weight[[0, 1, 2, 3, 3, 3, 3]]
    expected = encoder.stack(DIM**0.5 * x + places, mask=MASK).output * MASK[..., None]
    torch.testing.assert_close(encoder(x, LENGTHS).states, expected, rtol=0, atol=1e-12)


def test_embeddings_begin_with_length_one():
    torch.manual_seed(1)
    table = token_table(2000, 64).weight
    assert table[1:].norm(dim=1).mean().item() == pytest.approx(1, abs=0.02)
    assert (table[0] == 0).all()
