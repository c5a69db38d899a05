"""Weights from the old homes: attention layers of other libraries become ours, with the same answers.

What is given are their layers, or the weights of these by name as their checkpoints hold them. `docs/migrate.md` says
what else differs: masks, the order of arguments, what is returned.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saccade.attention.additive import AdditiveAttention
from saccade.attention.base import Attention
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.multiplicative import DotAttention, GeneralAttention
from saccade.attention.selfattention import SelfAttention

Weights = Mapping[str, Any]
"""Tensors or arrays by their names."""


class Converted(NamedTuple):
    """A mechanism, and the layer that the other library puts behind it.

    attend:  ours.
    combine: over `[context; query]`; theirs returns `tanh(combine([context; query]))`.
    tanh:    whether it does take the tanh.
    """

    attend: Attention
    combine: nn.Linear
    tanh: bool


def from_keras(layer: Any, *, dim: int | None = None) -> Attention:
    """Keras's MultiHeadAttention, GroupQueryAttention, AdditiveAttention or Attention, once it is built.

    Keras's additive layer and its `concat` score have no matrices: ours get the identity, and may go on to learn.

    Args:
        dim: width of queries and keys, for layers that do not hold it: Attention, and AdditiveAttention without scale.

    Raises:
        ValueError: another layer, an option that ours has not, or no `dim` where it is needed.
    """
    kind, config = type(layer).__name__, layer.get_config()
    values = zip(layer.weights, layer.get_weights(), strict=True)
    weights = {"/".join(w.path.split("/")[1:]): _tensor(x) for w, x in values}
    if kind in ("MultiHeadAttention", "GroupedQueryAttention", "GroupQueryAttention"):
        return _heads_of_keras(weights, config)
    if kind not in ("AdditiveAttention", "Attention"):
        raise ValueError(f"layer must be one of Keras's attention layers; got {kind}")
    scale = weights.get("scale", torch.ones(()))
    dim = len(scale) if scale.dim() else dim
    if dim is None:
        raise ValueError(f"Keras's {kind} does not hold its width: say from_keras(layer, dim=...)")
    one = torch.eye(dim)
    if kind == "AdditiveAttention":
        return _additive(one, one, scale.expand(dim))
    if config["score_mode"] == "concat":
        return _additive(scale * one, scale * one, weights["concat_score_weight"].expand(dim))
    return _general(scale * one) if "scale" in weights else DotAttention(dim)


def _heads_of_keras(weights: Weights, config: Mapping[str, Any]) -> MultiHeadAttention:
    query, key, value, output = (weights[f"{part}/kernel"] for part in ("query", "key", "value", "attention_output"))
    if query.dim() != 3 or output.dim() != 3:
        raise ValueError(f"attention must be over one axis; got kernels {list(query.shape)} and {list(output.shape)}")
    if output.shape[2] != query.shape[0]:
        raise ValueError(f"output_shape must be the width of the query, {query.shape[0]}; got {output.shape[2]}")
    if config.get("use_gate"):
        raise ValueError("a gate behind the heads is not known here; got use_gate=True")
    if config.get("sliding_window") is not None:
        raise ValueError("a sliding window is a mask here: SelfAttention(attend, before=..., after=...)")
    bias = "query/bias" in weights
    ours = MultiHeadAttention(
        query.shape[0],
        key.shape[0],
        heads=(query.shape[1], key.shape[1]),
        value_dim=value.shape[0],
        head_dim=(query.shape[2], value.shape[2]),
        bias=bias,
        dropout=config["dropout"],
    )
    with torch.no_grad():
        for layer, name in ((ours.query, "query"), (ours.key, "key"), (ours.value, "value")):
            layer.weight.copy_(weights[f"{name}/kernel"].flatten(1).T)
            if bias:
                layer.bias.copy_(weights[f"{name}/bias"].flatten())
        ours.output.weight.copy_(output.flatten(0, 1).T)
        if bias:
            ours.output.bias.copy_(weights["attention_output/bias"])
    return ours


def from_keras_self_attention(
    weights: Weights, *, window: int | None = None, history_only: bool = False
) -> SelfAttention:
    """The SeqSelfAttention of keras-self-attention, additive or multiplicative.

    Args:
        weights: "Wt", "Wx", "bh" and "Wa", or "Wa" alone; "ba" moves all scores alike, which softmax does not see.
        window: its `attention_width`.
        history_only: its option of that name.
    """
    if "Wt" in weights:
        attend: Attention = _additive(
            _tensor(weights["Wt"]).T, _tensor(weights["Wx"]).T, _tensor(weights["Wa"])[:, 0], weights.get("bh")
        )
    else:
        attend = _general(_tensor(weights["Wa"]))
    if history_only:
        return SelfAttention(attend, before=None if window is None else window - 1, after=0)
    if window is None:
        return SelfAttention(attend)
    return SelfAttention(attend, before=window // 2, after=window - window // 2 - 1)


def from_tfa(weights: Weights) -> Attention:
    """The BahdanauAttention or LuongAttention of tfa.seq2seq.

    Args:
        weights: "memory_layer/kernel"; of Bahdanau's "query_layer/kernel" and "attention_v", and where it is normalised
            "attention_g" and "attention_b"; of Luong's "attention_g" where it is scaled.
    """
    memory = _tensor(weights["memory_layer/kernel"]).T
    if "attention_v" not in weights:
        return _general(memory * _tensor(weights.get("attention_g", 1.0)))
    query, v = _tensor(weights["query_layer/kernel"]).T, _tensor(weights["attention_v"])
    return _additive(query, memory, v, weights.get("attention_b"), weights.get("attention_g"))


def from_torchnlp(module: nn.Module) -> Converted:
    """The Attention of PyTorch-NLP, dot or general; what it joins to the context is its projected query."""
    weights = {name: x.detach() for name, x in module.state_dict().items()}
    combine = weights["linear_out.weight"].clone()
    dim = len(combine)
    if "linear_in.weight" not in weights:
        return Converted(DotAttention(dim), _linear(combine), True)
    inner = weights["linear_in.weight"]
    combine[:, dim:] = combine[:, dim:] @ inner
    return Converted(_general(inner.T), _linear(combine), True)


def from_allennlp(weights: Weights) -> Attention:
    """AllenNLP's AdditiveAttention or BilinearAttention (without an activation); its other ones have no weights.

    Args:
        weights: "_w_matrix", "_u_matrix" and "_v_vector"; or "_weight_matrix", whose "_bias" softmax does not see.
    """
    if "_v_vector" in weights:
        query, key, v = (_tensor(weights[name]) for name in ("_w_matrix", "_u_matrix", "_v_vector"))
        return _additive(query.T, key.T, v[:, 0])
    return _general(_tensor(weights["_weight_matrix"]))


def from_opennmt(weights: Weights, *, heads: int | None = None) -> Converted | MultiHeadAttention:
    """OpenNMT-py's GlobalAttention (dot, general, mlp), or with `heads` its MultiHeadedAttention.

    Args:
        weights: a checkpoint's, from behind the layer's own name on: "linear_in.weight", "linear_out.weight" ...
        heads: of MultiHeadedAttention, as its options say.
    """
    if heads is not None:
        names = {"query": "linear_query", "key": "linear_keys", "value": "linear_values", "output": "final_linear"}
        return _heads(weights, names, heads)
    combine = _linear(_tensor(weights["linear_out.weight"]), weights.get("linear_out.bias"))
    if "linear_context.weight" in weights:
        query, key, v = (_tensor(weights[f"{name}.weight"]) for name in ("linear_query", "linear_context", "v"))
        return Converted(_additive(query, key, v[0], weights["linear_query.bias"]), combine, False)
    attend = _general(_tensor(weights["linear_in.weight"]).T) if "linear_in.weight" in weights else None
    return Converted(attend or DotAttention(combine.out_features), combine, True)


def from_fairseq(weights: Weights, *, heads: int | None = None) -> Converted | MultiHeadAttention:
    """Fairseq's AttentionLayer of its LSTM models, or with `heads` its MultiheadAttention.

    Args:
        weights: "input_proj.weight" and "output_proj.weight"; or "q_proj.weight", "k_proj.weight" ... with their biases
            and those of "bias_k" and "bias_v" where there are any.
        heads: of MultiheadAttention.
    """
    if heads is None:
        inner, combine = (_tensor(weights[f"{name}_proj.weight"]) for name in ("input", "output"))
        return Converted(_general(inner.T), _linear(combine), True)
    names = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
    return _heads(weights, names, heads, sinks="bias_k" in weights)


def _heads(weights: Weights, names: Mapping[str, str], heads: int, *, sinks: bool = False) -> MultiHeadAttention:
    found = {ours: _tensor(weights[f"{theirs}.weight"]) for ours, theirs in names.items()}
    bias = f"{names['query']}.bias" in weights
    attend = MultiHeadAttention(
        found["query"].shape[1],
        found["key"].shape[1],
        heads=heads,
        value_dim=found["value"].shape[1],
        bias=bias,
        sinks=["learned"] if sinks else [],
    )
    with torch.no_grad():
        for ours, theirs in names.items():
            getattr(attend, ours).weight.copy_(found[ours])
            if bias:
                getattr(attend, ours).bias.copy_(_tensor(weights[f"{theirs}.bias"]))
        if sinks:
            attend.sink_key.copy_(_tensor(weights["bias_k"]).flatten())
            attend.sink_value.copy_(_tensor(weights["bias_v"]).flatten())
    return attend


def _additive(query: Tensor, key: Tensor, v: Tensor, bias: Any = None, length: Any = None) -> AdditiveAttention:
    """`v . tanh(W s + U h + b)`; with a bias it is the weight-normalised form, whose g is |v| where it is not given."""
    normed = bias is not None or length is not None
    attend = AdditiveAttention(query.shape[1], key.shape[1], len(v), weight_norm=normed)
    with torch.no_grad():
        attend.query.weight.copy_(query)
        attend.key.weight.copy_(key)
        attend.v.copy_(v)
        if attend.g is not None:
            attend.key.bias.copy_(torch.zeros(len(v)) if bias is None else _tensor(bias))
            attend.g.copy_(v.norm() if length is None else _tensor(length))
    return attend


def _general(weight: Tensor) -> GeneralAttention:
    attend = GeneralAttention(*weight.shape)
    with torch.no_grad():
        attend.key.weight.copy_(weight)
    return attend


def _linear(weight: Tensor, bias: Any = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(_tensor(bias))
    return layer


def _tensor(x: Any) -> Tensor:
    return torch.as_tensor(x).detach().float()
