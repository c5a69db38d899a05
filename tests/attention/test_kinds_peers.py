"""The other kinds equal what others ship: Keras, transformers' T5, Llama and BLOOM, timm."""

from functools import partial

import pytest
import torch
from laws import BATCH, KEY, KEY_DIM, MASKS, QUERY, QUERY_DIM, VALUE_DIM, full
from laws import same_with_gradients as same
from torch import Tensor, nn

from saccade import masks, migrate
from saccade.attention.gates import ConvolutionalBlockAttention, EfficientChannelGate, SqueezeExcitation
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.positions import Alibi, BucketedBias, Rotary
from saccade.attention.selfattention import SelfAttention

DIM = 32
same_with_gradients = partial(same, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="needs transformers: pip install 'saccade[dev]'")


@pytest.fixture(scope="module")
def timm_layers():
    try:
        import timm.layers
    except Exception as error:  # timm needs a torchvision that fits PyTorch, and fails in many ways without
        pytest.skip(f"needs timm and a torchvision that fits: {type(error).__name__}: {error}")
    return timm.layers


@pytest.mark.parametrize("layer", ["MultiHeadAttention", "MultiHeadAttention, no bias", "GroupQueryAttention"])
@pytest.mark.parametrize("kind", ["padding", "holes", "causal"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_keras(keras, layer, kind, need_weights):
    torch.manual_seed(2)
    shapes = (BATCH, QUERY, QUERY_DIM), (BATCH, KEY, KEY_DIM), (BATCH, KEY, VALUE_DIM)
    query, key, value = given = tuple(torch.randn(shape, requires_grad=True) for shape in shapes)
    if layer == "GroupQueryAttention":
        theirs = keras.layers.GroupQueryAttention(6, 4, 2)
    else:
        theirs = keras.layers.MultiHeadAttention(2, 6, value_dim=3, use_bias=layer == "MultiHeadAttention")
    mask = full(MASKS[kind])
    theirs(query, value, key)
    for weight in theirs.weights:  # biases begin as zeros, which say nothing
        weight.assign(0.3 * torch.randn(weight.shape))
    expected, weights = theirs(query, value, key, attention_mask=mask, return_attention_scores=True)
    ours = migrate.from_keras(theirs)
    found = ours(query, key, value, mask=MASKS[kind], need_weights=need_weights)
    same_with_gradients(found.context, expected, given)
    if need_weights:
        torch.testing.assert_close(found.weights, weights, rtol=1e-5, atol=1e-6)


def sequence() -> tuple[Tensor, Tensor]:
    """A batch with padding, on the left as these models have it."""
    torch.manual_seed(2)
    return torch.randn(3, KEY, DIM, requires_grad=True), torch.arange(KEY) >= torch.tensor([[0], [3], [5]])


def added(mask: Tensor) -> Tensor:
    """A mask as transformers adds it."""
    return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("slots", [7, 41])
def test_t5(transformers, decoder, slots):
    from transformers.models.t5.modeling_t5 import T5Attention

    config = transformers.T5Config(
        d_model=DIM, d_kv=6, num_heads=4, dropout_rate=0.0, is_decoder=decoder, relative_attention_max_distance=30
    )
    config.relative_attention_num_buckets = 8
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).eval()
    x = torch.randn(2, slots, DIM, requires_grad=True)
    bias = theirs.compute_bias(slots, slots, device="cpu")
    positions = BucketedBias(4, buckets=8, furthest=30, bidirectional=not decoder)
    positions.table.weight.data = theirs.relative_attention_bias.weight.data
    ours = MultiHeadAttention(DIM, DIM, heads=4, head_dim=6, bias=False, positions=positions)
    for mine, other in ((ours.query, theirs.q), (ours.key, theirs.k), (ours.value, theirs.v), (ours.output, theirs.o)):
        mine.weight.data = other.weight.data
    ours.query.weight.data = theirs.q.weight.data * 6**0.5  # T5 does not divide by the square root of the width
    own = positions.bias(torch.zeros(1, 4, slots, 6), slots, 0)
    torch.testing.assert_close(own, bias, rtol=0, atol=0)
    mask = masks.causal(slots) if decoder else torch.ones(1, slots, slots, dtype=torch.bool)
    for need_weights in (True, False):
        expected = theirs(x, mask=added(mask)[:, None], position_bias=bias.detach() + added(mask)[:, None])[0]
        same_with_gradients(ours(x, x, x, mask=mask, need_weights=need_weights).context, expected, (x,))


@pytest.mark.parametrize("need_weights", [True, False])
def test_llama(transformers, need_weights):
    from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

    config = transformers.LlamaConfig(
        hidden_size=DIM, num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64
    )
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    theirs = LlamaAttention(config, layer_idx=0).eval()
    x, real = sequence()
    mask = masks.causal(KEY) & real[:, None]
    turned = LlamaRotaryEmbedding(config)(x, torch.arange(KEY)[None])
    expected = theirs(x, position_embeddings=turned, attention_mask=added(mask)[:, None])[0]
    ours = MultiHeadAttention(DIM, DIM, heads=(4, 2), bias=False, positions=Rotary(8))
    for name, other in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", "o_proj")):
        getattr(ours, name).weight.data = getattr(theirs, other).weight.data
    attend = SelfAttention(ours, after=0)
    found = attend(x, mask=real, need_weights=need_weights)
    # Where nothing may be attended, theirs attends to everything alike.
    (gradient,) = torch.autograd.grad(found.context[real].sin().sum(), x, retain_graph=True)
    (other,) = torch.autograd.grad(expected[real].sin().sum(), x)
    torch.testing.assert_close(found.context[real], expected[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient[real], other[real], rtol=1e-4, atol=1e-5)
    state = attend.initial(3)
    for i in range(KEY):
        step = attend(x[:, i], mask=real[:, i : i + 1], state=state)
        state, now = step.state, real[:, i]
        torch.testing.assert_close(step.context[now], expected[:, i][now], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heads", [4, 3])
def test_bloom(transformers, heads):
    from transformers.models.bloom.modeling_bloom import BloomAttention, build_alibi_tensor

    width = heads * 8
    config = transformers.BloomConfig(hidden_size=width, n_head=heads, hidden_dropout=0.0, attention_dropout=0.0)
    torch.manual_seed(1)
    theirs = BloomAttention(config, layer_idx=0).eval()
    x, real = torch.randn(3, KEY, width, requires_grad=True), torch.ones(3, KEY, dtype=torch.bool)
    alibi = build_alibi_tensor(real.float(), heads, torch.float32)
    mask = masks.causal(KEY).expand(3, -1, -1)
    ours = MultiHeadAttention(width, width, heads=heads, positions=Alibi())
    for part, layer in enumerate((ours.query, ours.key, ours.value)):
        layer.weight.data = theirs.query_key_value.weight.data.view(heads, 3, 8, width)[:, part].reshape(width, width)
        layer.bias.data = theirs.query_key_value.bias.data.view(heads, 3, 8)[:, part].flatten()
    ours.output = theirs.dense
    for need_weights in (True, False):
        expected = theirs(x, torch.zeros_like(x), alibi, added(mask)[:, None])[0]
        same_with_gradients(ours(x, x, x, mask=mask, need_weights=need_weights).context, expected, (x,))


def image() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(2, 24, 9, 7, requires_grad=True)


def as_linear(layer: nn.Linear, convolution: nn.Conv2d) -> None:
    layer.weight.data = convolution.weight.data[:, :, 0, 0]
    if layer.bias is not None:
        layer.bias.data = convolution.bias.data


def test_timm_squeeze_excitation(timm_layers):
    theirs, x = timm_layers.SEModule(24, rd_channels=6), image()
    ours = SqueezeExcitation(24, reduction=4)
    as_linear(ours.squeeze, theirs.fc1), as_linear(ours.excite, theirs.fc2)
    same_with_gradients(ours(x).output, theirs(x), (x,))


@pytest.mark.parametrize("channels", [24, 512])
def test_timm_efficient_channel(timm_layers, channels):
    theirs, x = timm_layers.EcaModule(channels), torch.randn(2, channels, 3, 2, requires_grad=True)
    ours = EfficientChannelGate(channels)
    ours.kernel.weight.data = theirs.conv.weight.data
    same_with_gradients(ours(x).output, theirs(x), (x,))


@pytest.mark.parametrize("training", [True, False])
def test_timm_cbam(timm_layers, training):
    theirs, x = timm_layers.CbamModule(24, rd_channels=6).train(training), image()
    ours = ConvolutionalBlockAttention(24, reduction=4).train(training)
    as_linear(ours.channel.squeeze, theirs.channel.fc1), as_linear(ours.channel.excite, theirs.channel.fc2)
    ours.place.kernel.weight.data = theirs.spatial.conv.conv.weight.data
    same_with_gradients(ours(x).output, theirs(x), (x,))
