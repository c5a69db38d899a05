"""Converted weights give the answers of the libraries that they come from; these are written as their programs are."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import saccade
from saccade import masks, migrate

BATCH, QUERY, KEY, DIM, UNITS = 2, 3, 7, 6, 5


def tensors(query_dim: int = DIM, key_dim: int = DIM) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randn(BATCH, QUERY, query_dim), torch.randn(BATCH, KEY, key_dim)


def random(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_tfa_bahdanau(normalize):
    """tfa.seq2seq.attention_wrapper._bahdanau_score."""
    w = random(memory=(4, UNITS), query=(DIM, UNITS), v=(UNITS,), g=(), b=(UNITS,))
    weights = {"memory_layer/kernel": w["memory"], "query_layer/kernel": w["query"], "attention_v": w["v"]}
    query, memory = tensors(key_dim=4)
    keys, processed = memory @ w["memory"], (query @ w["query"])[:, :, None]
    if normalize:
        weights |= {"attention_g": w["g"], "attention_b": w["b"]}
        normed = w["g"] * w["v"] * torch.rsqrt(w["v"].square().sum())
        score = (normed * torch.tanh(keys[:, None] + processed + w["b"])).sum(-1)
    else:
        score = (w["v"] * torch.tanh(keys[:, None] + processed)).sum(-1)
    same(migrate.from_tfa(weights)(query, memory, memory).weights, score.softmax(-1))


@pytest.mark.parametrize("scale", [False, True])
def test_tfa_luong(scale):
    """tfa.seq2seq.attention_wrapper._luong_score."""
    w = random(memory=(4, DIM), g=())
    query, memory = tensors(key_dim=4)
    score = query @ (memory @ w["memory"]).transpose(1, 2)
    weights = {"memory_layer/kernel": w["memory"].numpy()}
    if scale:
        score, weights["attention_g"] = w["g"] * score, w["g"].numpy()
    same(migrate.from_tfa(weights)(query, memory, memory).weights, score.softmax(-1))


def combined(found: migrate.Converted, query: Tensor, context: Tensor) -> Tensor:
    output = found.combine(torch.cat([context, query], -1))
    return torch.tanh(output) if found.tanh else output


class TorchNlp(nn.Module):
    """torchnlp.nn.Attention."""

    def __init__(self, dimensions: int, attention_type: str):
        super().__init__()
        self.attention_type = attention_type
        if attention_type == "general":
            self.linear_in = nn.Linear(dimensions, dimensions, bias=False)
        self.linear_out = nn.Linear(dimensions * 2, dimensions, bias=False)

    def forward(self, query: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        if self.attention_type == "general":
            query = self.linear_in(query)
        weights = torch.bmm(query, context.transpose(1, 2)).softmax(-1)
        return torch.tanh(self.linear_out(torch.cat((torch.bmm(weights, context), query), dim=2))), weights


@pytest.mark.parametrize("kind", ["dot", "general"])
def test_pytorch_nlp(kind):
    theirs, (query, memory) = TorchNlp(DIM, kind), tensors()
    output, weights = theirs(query, memory)
    found = migrate.from_torchnlp(theirs)
    attended = found.attend(query, memory, memory)
    same(attended.weights, weights)
    same(combined(found, query, attended.context), output)


def test_allennlp():
    """allennlp.modules.attention: AdditiveAttention, BilinearAttention; one query, a matrix, its mask."""
    query, matrix = tensors(key_dim=4)
    vector, mask = query[:, 0], masks.padding(torch.tensor([7, 3]))
    w = random(w=(DIM, DIM), u=(4, DIM), v=(DIM, 1), weight=(DIM, 4), bias=(1,))

    def masked(score: Tensor) -> Tensor:
        return (score + (mask + 1e-45).log()).softmax(-1)

    intermediate = torch.tanh((vector @ w["w"]).unsqueeze(1) + matrix @ w["u"])
    ours = migrate.from_allennlp({"_w_matrix": w["w"], "_u_matrix": w["u"], "_v_vector": w["v"]})
    same(ours(vector, matrix, matrix, mask=mask).weights, masked((intermediate @ w["v"]).squeeze(2)))
    score = (vector @ w["weight"]).unsqueeze(1).bmm(matrix.transpose(1, 2)).squeeze(1) + w["bias"]
    ours = migrate.from_allennlp({"_weight_matrix": w["weight"], "_bias": w["bias"]})
    same(ours(vector, matrix, matrix, mask=mask).weights, masked(score))


@pytest.mark.parametrize("kind", ["dot", "general", "mlp"])
def test_opennmt_global(kind):
    """onmt.modules.GlobalAttention."""
    source, bank = tensors()
    lengths = torch.tensor([7, 3])
    linear_out = nn.Linear(2 * DIM, DIM, bias=kind == "mlp")
    layers = {"linear_out": linear_out}
    if kind == "mlp":
        layers |= {
            "linear_context": nn.Linear(DIM, DIM, bias=False),
            "linear_query": nn.Linear(DIM, DIM, bias=True),
            "v": nn.Linear(DIM, 1, bias=False),
        }
        hidden = torch.tanh(layers["linear_query"](source)[:, :, None] + layers["linear_context"](bank)[:, None])
        align = layers["v"](hidden)[..., 0]
    else:
        if kind == "general":
            layers["linear_in"] = nn.Linear(DIM, DIM, bias=False)
        target = layers["linear_in"](source) if kind == "general" else source
        align = torch.bmm(target, bank.transpose(1, 2))
    mask = masks.padding(lengths)
    align = align.masked_fill(~mask[:, None], -float("inf")).softmax(-1)
    output = linear_out(torch.cat([torch.bmm(align, bank), source], 2))
    output = output if kind == "mlp" else torch.tanh(output)
    weights = {f"{name}.{n}": x for name, layer in layers.items() for n, x in layer.state_dict().items()}
    found = migrate.from_opennmt(weights)
    attended = found.attend(source, bank, bank, mask=mask)
    same(attended.weights, align)
    same(combined(found, source, attended.context), output)


def test_opennmt_heads():
    """onmt.modules.MultiHeadedAttention, without relative positions."""
    layers = {n: nn.Linear(DIM, DIM) for n in ("linear_keys", "linear_values", "linear_query", "final_linear")}
    query, memory = tensors()

    def shape(x: Tensor) -> Tensor:
        return x.view(BATCH, -1, 2, DIM // 2).transpose(1, 2)

    q, k, v = (
        shape(layers["linear_query"](query)),
        shape(layers["linear_keys"](memory)),
        shape(layers["linear_values"](memory)),
    )
    weights = torch.matmul(q / (DIM // 2) ** 0.5, k.transpose(2, 3)).softmax(-1)
    output = layers["final_linear"]((weights @ v).transpose(1, 2).reshape(BATCH, QUERY, DIM))
    ours = migrate.from_opennmt({f"{n}.{p}": x for n, m in layers.items() for p, x in m.state_dict().items()}, heads=2)
    found = ours(query, memory, memory)
    same(found.context, output)
    same(found.weights, weights)


def test_fairseq_lstm():
    """fairseq.models.lstm.AttentionLayer: one query, source states [source, batch, dim], mask True = padding."""
    query, memory = tensors(key_dim=4)
    one, source, hidden = query[:, 0], memory.transpose(0, 1), ~masks.padding(torch.tensor([7, 3])).T
    input_proj, output_proj = nn.Linear(DIM, 4, bias=False), nn.Linear(DIM + 4, DIM, bias=False)
    score = (source * input_proj(one).unsqueeze(0)).sum(dim=2).masked_fill(hidden, float("-inf")).softmax(0)
    output = torch.tanh(output_proj(torch.cat(((score.unsqueeze(2) * source).sum(0), one), dim=1)))
    found = migrate.from_fairseq({"input_proj.weight": input_proj.weight, "output_proj.weight": output_proj.weight})
    attended = found.attend(one, memory, memory, mask=masks.from_torch_padding(hidden.T))
    same(attended.weights, score.T)
    same(combined(found, one, attended.context), output)


@pytest.mark.parametrize("bias_kv", [False, True])
def test_fairseq_heads(bias_kv):
    """fairseq.modules.MultiheadAttention has the names of PyTorch's module for other widths."""
    theirs = nn.MultiheadAttention(DIM, 2, kdim=4, vdim=4, batch_first=True, add_bias_kv=bias_kv)
    query, memory = tensors(key_dim=4)
    weights = dict(theirs.out_proj.named_parameters(prefix="out_proj"))
    for index, name in enumerate(("q", "k", "v")):
        weights[f"{name}_proj.weight"] = getattr(theirs, f"{name}_proj_weight")
        weights[f"{name}_proj.bias"] = theirs.in_proj_bias.chunk(3)[index]
    if bias_kv:
        weights |= {"bias_k": theirs.bias_k, "bias_v": theirs.bias_v}
    ours = migrate.from_fairseq(weights, heads=2)
    same(ours(query, memory, memory).context, theirs(query, memory, memory)[0])


@pytest.mark.parametrize("kind", ["additive", "additive, no bias", "multiplicative"])
@pytest.mark.parametrize(
    "places", [{}, {"window": 4}, {"window": 3}, {"window": 3, "history_only": True}, {"history_only": True}]
)
def test_keras_self_attention(kind, places):
    """keras_self_attention.SeqSelfAttention."""
    w = random(Wt=(DIM, UNITS), Wx=(DIM, UNITS), bh=(UNITS,), Wa=(UNITS, 1), ba=(1,))
    if kind == "multiplicative":
        w = random(Wa=(DIM, DIM), ba=(1,))
    if kind == "additive, no bias":
        del w["bh"]
    _, x = tensors()
    if "Wt" in w:
        e = torch.tanh((x @ w["Wt"])[:, :, None] + (x @ w["Wx"])[:, None] + w.get("bh", 0)) @ w["Wa"][:, 0] + w["ba"]
    else:
        e = x @ w["Wa"] @ x.transpose(1, 2) + w["ba"]
    width = places.get("window", 10**9 if places else None)
    if width is not None:
        lower = torch.arange(KEY) - (width - 1 if "history_only" in places else width // 2)
        inside = (lower[:, None] <= torch.arange(KEY)) & (torch.arange(KEY) < lower[:, None] + width)
        e = e - 10000.0 * ~inside
    ours = migrate.from_keras_self_attention({name: x.numpy() for name, x in w.items()}, **places)
    same(ours(x).weights, e.softmax(-1))
    same(ours(x).context, e.softmax(-1) @ x)


@pytest.mark.parametrize("layer", ["AdditiveAttention", "AdditiveAttention, no scale", "dot", "dot, scaled", "concat"])
def test_keras_layers_without_matrices(keras, layer):
    if layer.startswith("Additive"):
        theirs = keras.layers.AdditiveAttention(use_scale=layer == "AdditiveAttention")
    else:
        theirs = keras.layers.Attention(score_mode=layer.split(",")[0], use_scale=layer != "dot")
    query, memory = tensors()
    theirs([query, memory])
    for weight in theirs.weights:
        weight.assign(torch.rand(weight.shape) + 0.5)
    context, scores = theirs([query, memory], return_attention_scores=True)
    found = migrate.from_keras(theirs, dim=DIM)(query, memory, memory)
    same(found.context, context)
    same(found.weights, scores)


class Gated:
    weights = ()

    def get_weights(self) -> list:
        return []

    def get_config(self) -> dict:
        return {}


def test_mistakes(keras):
    heads = keras.layers.MultiHeadAttention(2, 3, output_shape=4)
    heads(*tensors())
    wide = keras.layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))
    wide(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    gated = keras.layers.MultiHeadAttention(2, 3, use_gate=True)
    gated(*tensors())
    narrow = keras.layers.MultiHeadAttention(2, 3, sliding_window=2)
    narrow(*tensors())
    for layer, message in (
        (Gated(), "layer must be one of Keras's attention layers; got Gated"),
        (heads, "output_shape must be the width of the query, 6; got 4"),
        (gated, "a gate behind the heads is not known here; got use_gate=True"),
        (narrow, "a sliding window is a mask here: SelfAttention(attend, before=..., after=...)"),
        (keras.layers.Attention(), "Keras's Attention does not hold its width: say from_keras(layer, dim=...)"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            migrate.from_keras(layer)


def test_the_page_names_what_there_is():
    """Every name of ours in docs/migrate.md exists."""
    page = (Path(__file__).parents[1] / "docs" / "migrate.md").read_text("utf-8")
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 35
    for row in rows:
        for name in re.findall(r"(?<![.\w])([A-Z]\w+)(?=[(`])", row):
            assert hasattr(saccade, name) or hasattr(saccade.normalizers, name), name
    for name in re.findall(r"`migrate\.(\w+)", page):
        assert hasattr(migrate, name), name
    for name in re.findall(r"masks\.(\w+)", page):
        assert hasattr(masks, name), name
