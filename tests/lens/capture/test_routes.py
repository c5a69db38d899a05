"""Attention that is not Hugging Face's: fused calls, PyTorch's module, FlexAttention, Saccade's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import saccade
from saccade import masks


class Fused(nn.Module):
    """A model that calls the fused function itself."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x, mask=None, *, causal=False, drop=0.0):
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, mask, drop, causal)


@pytest.mark.parametrize(
    "given", [{}, {"causal": True}, {"mask": torch.rand(2, 1, 7, 7) < 0.7}], ids=["plain", "causal", "mask"]
)
def test_a_fused_call_is_seen_where_it_is_made(given):
    model, x = nn.Sequential(Fused()), torch.randn(2, 7, 8)
    model.forward = lambda x: model[0](x, **given)
    plain = model(x)
    with saccade.look(model) as seen:
        assert torch.equal(model(x), plain)
    assert (seen[0].name, seen[0].route, seen[0].kind, seen[0].check.status) == ("0", "fused", "self", "exact")


def test_autocast_shows_what_the_model_saw():
    model, x = Fused(), torch.randn(2, 7, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode(), saccade.look(model) as seen:
        model(x)
    assert seen["Fused"].check.status == "exact"
    assert seen[0].row(2).dtype == torch.float32


def test_dropout_says_that_it_was_there():
    with pytest.warns(UserWarning, match="dropout was at work"), saccade.look(model := Fused()) as seen:
        model(torch.randn(2, 7, 8), drop=0.5)
    assert seen[0].check.status == "dropped"
    assert torch.allclose(seen[0].row(2).sum(-1), torch.ones(2, 2))


OPTIONS = {
    "plain": ({}, {}),
    "padding": ({}, {"key_padding_mask": torch.arange(7).expand(2, -1) > torch.tensor([[6], [3]])}),
    "causal": ({}, {"attn_mask": torch.ones(7, 7, dtype=torch.bool).triu(1), "is_causal": True}),
    "both": ({}, {"attn_mask": torch.randn(4, 7, 7), "key_padding_mask": torch.zeros(2, 7)}),
    "slots of its own": ({"add_bias_kv": True, "add_zero_attn": True}, {"attn_mask": torch.randn(7, 7)}),
    "no bias": ({"bias": False}, {}),
    "widths": ({"kdim": 6, "vdim": 6}, {}),
}


@pytest.mark.parametrize("needs", [True, False], ids=["weights", "no weights"])
@pytest.mark.parametrize("option", OPTIONS)
def test_pytorchs_module_shows_its_weights(option, needs):
    made, given = OPTIONS[option]
    module = nn.MultiheadAttention(6, 2, batch_first=True, **made).eval()
    x = torch.randn(2, 7, 6)
    _, told = module(x, x, x, **{**given, "is_causal": False}, average_attn_weights=False)
    with saccade.look(module) as seen:
        module(x, x, x, need_weights=needs, **given)
    (site,) = seen.sites
    assert (site.route, site.kind, site.check.status) == ("multihead", "self", "exact")
    assert (site.weights() - told).abs().max() < 1e-6


def test_a_transformer_of_pytorch_is_seen_whole():
    model = nn.Transformer(6, 2, 1, 1, 8, batch_first=True).eval()
    with torch.no_grad(), saccade.look(model) as seen:
        model(torch.randn(2, 7, 6), torch.randn(2, 5, 6))
    found = [(site.name, site.kind, site.shape[2:]) for site in seen.sites]
    self_of, cross = "decoder.layers.0.self_attn", "decoder.layers.0.multihead_attn"
    assert found == [
        ("encoder.layers.0.self_attn", "self", (7, 7)),
        (self_of, "self", (5, 5)),
        (cross, "cross", (5, 7)),
    ]


def test_training_steps_do_not_change_what_was_seen():
    module = nn.MultiheadAttention(6, 2)
    x = torch.randn(7, 2, 6)
    with saccade.look(module) as seen:
        _, told = module(x, x, x, average_attn_weights=False)
        with torch.no_grad():
            module.in_proj_weight.mul_(3)
    assert (seen[0].weights() - told).abs().max() < 1e-6


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_is_computed_again():
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    class Flex(Fused):
        def forward(self, x, mask, score):
            q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
            return flex_attention(q, k, v, score, mask)

    mask = create_block_mask(lambda b, h, i, j: (j <= i) & (i - j < 5 + h), 2, 2, 128, 128, device="cpu")
    model = Flex()
    with torch.no_grad(), saccade.look(model) as seen:
        model(torch.randn(2, 128, 8), mask, lambda s, b, h, i, j: s - 0.1 * (i - j))
    assert seen[0].check.status == "exact"
    assert (seen[0].row(100) > 0).sum(-1).tolist() == [[5, 6]] * 2


class Decoder(nn.Module):
    """Reads a memory step by step."""

    def __init__(self, attend):
        super().__init__()
        self.attend = attend

    def forward(self, queries, keys):
        memory, state, weights = self.attend.remember(keys, keys), None, []
        for query in queries.unbind(1):
            _, told, state = self.attend.read(query, memory, state)
            weights.append(told.dense() if isinstance(told, saccade.Windowed) else told)
        return torch.stack(weights, -2)


OURS = {
    "additive": lambda: saccade.AdditiveAttention(query_dim=6, key_dim=6, hidden_dim=5),
    "window": lambda: saccade.GeneralAttention(6, 6, window=saccade.LocalMonotonic(1)),
    "coverage": lambda: saccade.CoverageAttention(query_dim=6, key_dim=6, hidden_dim=5),
    "heads": lambda: saccade.MultiHeadAttention(6, 6, heads=2),
}


@pytest.mark.parametrize("name", OURS)
def test_steps_of_our_mechanisms_are_rows(name):
    model = Decoder(OURS[name]())
    with saccade.look(model) as seen:
        told = model(torch.randn(2, 5, 6), torch.randn(2, 7, 6))
    assert (seen[0].name, seen[0].kind, seen[0].check.status) == ("attend", "cross", "as given")
    told = told if told.dim() == 4 else told[:, None]
    assert torch.equal(seen[0].weights(), told)


@pytest.mark.parametrize("mask", [None, masks.Pattern(after=0), masks.Pattern(before=3, after=0)], ids=str)
def test_our_heads_are_seen_on_the_fused_path(mask):
    attend = saccade.MultiHeadAttention(8, 8, heads=(4, 2), positions=saccade.Rotary(2))
    x = torch.randn(2, 9, 8)
    told = attend(x, x, x, mask=mask).weights
    with torch.no_grad(), saccade.look(attend.eval()) as seen:
        attend(x, x, x, mask=mask, need_weights=False)
    assert seen[0].check.status == "exact"
    assert (seen[0].weights() - told).abs().max() < 1e-6


@pytest.mark.parametrize("needs", [True, False])
def test_pooling_has_a_row_for_each_hop(needs):
    pool = saccade.StructuredSelfAttention(dim=6, hidden_dim=5, hops=3)
    x = torch.randn(2, 7, 6)
    with saccade.look(pool) as seen:
        pool(x, need_weights=needs)
    assert (seen[0].kind, seen[0].shape) == ("pooling", (2, 3, 1, 7))
    assert torch.equal(seen[0].row(0), pool(x).weights)
