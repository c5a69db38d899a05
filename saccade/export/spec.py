"""A Transformer's weights as CTranslate2 describes models."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from saccade.attention.multihead import MultiHeadAttention
from saccade.data import tokens
from saccade.data.paircorpus import Vocabularies
from saccade.data.tokens import Vocabulary
from saccade.errors import ExportError, MissingExtraError
from saccade.layers.placed import PlacedEncoder
from saccade.layers.positions import LearnedPositions, SinusoidalPositions
from saccade.layers.sublayers import FeedForward, TransformerLayer
from saccade.layers.transformer import TransformerDecoderLayer
from saccade.models.seq2seq import Seq2Seq, Seq2SeqConfig
from saccade.models.transformerdecoder import TransformerWriter

_NAMED = {"alibi": "ALiBi", "buckets": "buckets of distances (T5)", "relative": "relative vectors (Shaw)"}


def library() -> Any:
    """CTranslate2, where it is installed.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        return import_module("ctranslate2")
    except ModuleNotFoundError:
        raise MissingExtraError("ctranslate2", "export") from None


def refuse(config: Seq2SeqConfig) -> None:
    """Refuse a model that CTranslate2 cannot express.

    Raises:
        ExportError: naming the first part that it has not.
    """
    halves = {"encoder": config.encoder, "decoder": config.decoder}
    for name, half in halves.items():
        if half != "transformer":
            raise ExportError(f"--to ctranslate2 needs Transformers on both sides; got --{name} {half}")
    if config.positions in _NAMED:
        known = "sinusoidal, learned or rotary positions"
        raise ExportError(f"--to ctranslate2 needs {known}; got {_NAMED[config.positions]}")


def save(model: Seq2Seq, vocabularies: Vocabularies, positions: int, folder: Path) -> None:
    """Write a model as CTranslate2 reads it: `model.bin`, `config.json` and the vocabularies.

    Args:
        positions: how many places there are to be, where positions are added to the input.

    Raises:
        ExportError: a model that CTranslate2 cannot express.
        MissingExtraError: CTranslate2 is not installed.
    """
    refuse(model.config)
    spec = _spec(model, positions)
    for side, register in (("source", spec.register_source_vocabulary), ("target", spec.register_target_vocabulary)):
        register(names(getattr(vocabularies, side)))
    spec.config.layer_norm_epsilon = _epsilon(model)
    spec.config.decoder_start_token = tokens.SPECIAL[tokens.START]
    spec.validate()
    spec.optimize()
    spec.save(str(folder))


def names(vocabulary: Vocabulary) -> list[str]:
    """What each token is called, by its id."""
    return [str(vocabulary.tokenizer.id_to_token(identity)) for identity in range(vocabulary.size)]


def _epsilon(model: Seq2Seq) -> float:
    return next(float(part.eps) for part in model.modules() if isinstance(part, nn.LayerNorm))


def _spec(model: Seq2Seq, positions: int) -> Any:
    """CTranslate2's description of a model, with its weights."""
    specs, shape = import_module("ctranslate2.specs.transformer_spec"), model.config.stack
    given: dict[str, Any] = {"pre_norm": shape.norm == "first"}
    if shape.shared_heads not in (0, shape.heads):
        given["num_heads_kv"] = shape.shared_heads
    if shape.positions == "rotary":
        given |= {"rotary_dim": shape.dim // shape.heads, "rotary_interleave": False}
    spec = specs.TransformerSpec(
        specs.TransformerEncoderSpec(shape.layers, shape.heads, **given),
        specs.TransformerDecoderSpec(shape.layers, shape.heads, alignment_heads=shape.heads, **given),
    )
    encoder, decoder = model.encoder, model.decoder
    assert isinstance(encoder, PlacedEncoder)
    assert isinstance(decoder, TransformerWriter)
    _embed(spec.encoder, spec.encoder.embeddings[0], model.source_embedding, encoder.positions, positions)
    _embed(spec.decoder, spec.decoder.embeddings, decoder.embedding, decoder.positions, positions)
    for part, stack in ((spec.encoder, encoder.stack), (spec.decoder, decoder.stack)):
        for layer_spec, layer in zip(part.layer, stack.layers, strict=True):
            _layer(layer_spec, layer)
        if isinstance(stack.norm, nn.LayerNorm):
            _norm(part.layer_norm, stack.norm)
    _linear(spec.decoder.projection, decoder.output)
    return spec


def _embed(
    spec: Any,
    embeddings: Any,
    table: nn.Embedding,
    added: SinusoidalPositions | LearnedPositions | None,
    positions: int,
) -> None:
    """The embeddings of a half, and what is added to them at each place."""
    embeddings.weight = table.weight.detach()
    if added is not None:
        spec.position_encodings.encodings = added(torch.zeros(1, positions, table.embedding_dim))[0].detach()


def _layer(spec: Any, layer: TransformerLayer) -> None:
    own = layer.self_attention.attend
    assert isinstance(own, MultiHeadAttention)
    _norm(spec.self_attention.layer_norm, layer.around_self.norm)
    _joined(spec.self_attention.linear[0], own.query, own.key, own.value)
    _linear(spec.self_attention.linear[1], own.output)
    if isinstance(layer, TransformerDecoderLayer):
        cross = layer.cross_attention
        _norm(spec.attention.layer_norm, layer.around_cross.norm)
        _linear(spec.attention.linear[0], cross.query)
        _joined(spec.attention.linear[1], cross.key, cross.value)
        _linear(spec.attention.linear[2], cross.output)
    _network(spec.ffn, layer.feedforward, layer.around_feedforward.norm)


def _network(spec: Any, network: FeedForward, norm: nn.Module) -> None:
    _norm(spec.layer_norm, norm)
    _linear(spec.linear_0, network.inner)
    _linear(spec.linear_1, network.outer)


def _norm(spec: Any, norm: nn.Module) -> None:
    assert isinstance(norm, nn.LayerNorm)
    spec.gamma, spec.beta = norm.weight.detach(), norm.bias.detach()


def _linear(spec: Any, layer: nn.Linear) -> None:
    spec.weight, spec.bias = layer.weight.detach(), layer.bias.detach()


def _joined(spec: Any, *layers: nn.Linear) -> None:
    """Several projections of the same input as one."""
    spec.weight = torch.cat([layer.weight.detach() for layer in layers])
    spec.bias = torch.cat([layer.bias.detach() for layer in layers])
