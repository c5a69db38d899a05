"""Equal to what others ship, where somebody ships it."""

import pytest
import torch
from laws import BATCH, KEY, MASKS, QUERY, full, same_with_gradients
from torch import Tensor

from saccade import normalizers
from saccade.attention.additive import AdditiveAttention, additive_scores
from saccade.attention.multiplicative import DotAttention, ScaledDotAttention

DIM, VALUE_DIM = 11, 5


def tensors() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    shapes = (BATCH, QUERY, DIM), (BATCH, KEY, DIM), (BATCH, KEY, VALUE_DIM)
    query, key, value = (torch.randn(shape, requires_grad=True) for shape in shapes)
    return query, key, value


@pytest.mark.parametrize("kind", ["padding", "holes"])
def test_additive_equals_keras(keras, kind):
    """Theirs has neither W nor U: it is ours with both the identity, and its scale is our v."""
    query, key, value = given = tensors()
    layer = keras.layers.AdditiveAttention()
    layer.build([query.shape, (*value.shape[:2], DIM), key.shape])
    layer.scale.assign(torch.randn(DIM))
    theirs = layer([query, value, key], mask=[None, MASKS[kind]])
    ours = AdditiveAttention(DIM, DIM, DIM)
    ours.query.weight.data = ours.key.weight.data = torch.eye(DIM)
    ours.v.data = layer.scale.value.data.clone()
    same_with_gradients(ours(query, key, value, mask=MASKS[kind]).context, theirs, given)


@pytest.mark.parametrize("kind", ["padding", "holes"])
def test_dot_equals_keras(keras, kind):
    query, key, value = given = tensors()
    theirs = keras.layers.Attention()([query, value, key], mask=[None, MASKS[kind]])
    same_with_gradients(DotAttention(DIM)(query, key, value, mask=MASKS[kind]).context, theirs, given)


def test_concat_equals_keras(keras):
    """Theirs is one number times the sum of tanh: ours with that number in every place of v."""
    query, key, value = given = tensors()
    layer = keras.layers.Attention(score_mode="concat")
    theirs = layer([query, value, key])
    v = layer.concat_score_weight.value.detach().expand(DIM)
    weights = normalizers.softmax(additive_scores(query, key, v))
    same_with_gradients(weights @ value, theirs, given)


@pytest.mark.parametrize("kind", MASKS)
def test_scaled_dot_equals_torch(kind):
    query, key, value = (x.double() for x in tensors())
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=full(MASKS[kind]))
    torch.testing.assert_close(ScaledDotAttention(DIM)(query, key, value, mask=MASKS[kind]).context, expected)
