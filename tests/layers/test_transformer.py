"""Transformer layers and stacks: those of PyTorch with the same weights; whole, by steps, fused and saved alike."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from saccade import masks
from saccade.attention.positions import Alibi, Rotary
from saccade.decoding import Symbols, beam_search, greedy
from saccade.layers.positions import SinusoidalPositions
from saccade.layers.sublayers import FeedForward
from saccade.layers.transformer import (
    Decoded,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    TransformerState,
)

BATCH, TARGET, SOURCE, DIM, HIDDEN, HEADS = 3, 7, 5, 22, 13, 2
KINDS: dict[str, dict[str, Any]] = {
    "post-norm": {},
    "pre-norm, gelu": {"norm_first": True, "activation": "gelu", "bias": False},
    "grouped, rotary": {"heads": (HEADS, 1), "norm_first": True, "positions": lambda: Rotary(4)},
    "alibi": {"positions": Alibi},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_side = pytest.mark.parametrize("side", ["left", "right"])
both_norms = pytest.mark.parametrize("norm_first", [False, True])


def stirred(module: nn.Module) -> nn.Module:
    """Without this norms would be ones and biases zeros, and nobody would see them swapped."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


def layers(part: str, kind: str, count: int) -> list[Any]:
    options = {"heads": HEADS, "hidden_dim": HIDDEN, "dropout": 0.0} | KINDS[kind]
    cls = {"encoder": TransformerEncoderLayer, "decoder": TransformerDecoderLayer}[part]
    places = options.pop("positions", lambda: None)
    return [cls(DIM, positions=places(), **options) for _ in range(count)]


def encoder(kind: str, count: int = 2) -> TransformerEncoder:
    return stirred(TransformerEncoder(layers("encoder", kind, count), norm=nn.LayerNorm(DIM)))


def decoder(kind: str, count: int = 2) -> TransformerDecoder:
    return stirred(TransformerDecoder(layers("decoder", kind, count), norm=nn.LayerNorm(DIM)))


def sequence(slots: int, seed: int) -> Tensor:
    return torch.randn(BATCH, slots, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def targets() -> Tensor:
    return sequence(TARGET, 2)


def sources() -> Tensor:
    return sequence(SOURCE, 3)


def real(side: str, slots: int = TARGET) -> Tensor:
    lengths, slot = torch.tensor([[slots], [4], [2]]), torch.arange(slots)
    return slot >= slots - lengths if side == "left" else slot < lengths


def same(found: Any, expected: Any, atol: float = 1e-12) -> None:
    for one, other in zip(pytree.tree_leaves(found), pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


# PyTorch's modules with the same weights


@pytest.fixture(
    params=[(norm, act, bias) for norm in (False, True) for act in ("relu", "gelu") for bias in (True, False)]
)
def theirs(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    norm_first, activation, bias = request.param

    def make(part: str, *, dropout: float = 0.3) -> Any:
        kind = {"encoder": nn.TransformerEncoderLayer, "decoder": nn.TransformerDecoderLayer}[part.split()[0]]
        layer = kind(
            DIM,
            HEADS,
            HIDDEN,
            dropout,
            activation,
            batch_first=True,
            norm_first=norm_first,
            bias=bias,
            layer_norm_eps=0.1,
        )
        if part.endswith("layer"):
            return stirred(layer)
        norm = nn.LayerNorm(DIM, eps=0.2) if norm_first else None
        if part == "encoder":
            return stirred(nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False))
        return stirred(nn.TransformerDecoder(layer, 2, norm))

    return make


OURS = {
    "encoder layer": TransformerEncoderLayer,
    "encoder": TransformerEncoder,
    "decoder layer": TransformerDecoderLayer,
    "decoder": TransformerDecoder,
}


def compared(x: Tensor, mask: Tensor, ours: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor]) -> None:
    """The same at every real slot, and so are the gradients of the input."""
    found = []
    for run in (ours, other):
        leaf = x.clone().requires_grad_()
        output = run(leaf)[mask]
        output.sin().sum().backward()
        found.append((output, leaf.grad))
    same(found[0], found[1])


@pytest.mark.parametrize("part", ["encoder layer", "encoder"])
@pytest.mark.parametrize("given", ["nothing", "padding", "causal", "pattern"])
def test_an_encoder_equals_pytorch_s(theirs, part, given):
    other, x, everybody = theirs(part), targets(), torch.ones(BATCH, TARGET, dtype=torch.bool)
    mask, hidden, at = {
        "nothing": (None, {}, everybody),
        "padding": (real("right"), {"src_key_padding_mask": ~real("right")}, real("right")),
        "causal": (masks.causal(TARGET), {"mask": ~masks.causal(TARGET)[0]}, everybody),
        "pattern": (masks.Pattern(before=2, after=1), {"mask": ~masks.window(TARGET, before=2, after=1)[0]}, everybody),
    }[given]
    if "mask" in hidden and part.endswith("layer"):
        hidden = {"src_mask": hidden["mask"]}
    ours = OURS[part].from_torch(other)
    compared(x, at, lambda x: ours(x, mask=mask).output, lambda x: other(x, **hidden))


@pytest.mark.parametrize("part", ["decoder layer", "decoder"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_decoder_equals_pytorch_s(theirs, part, padded):
    other, memory, mask = theirs(part), sources(), torch.ones(BATCH, TARGET, dtype=torch.bool)
    options, hidden = {}, {"tgt_mask": ~masks.causal(TARGET)[0]}
    if padded:
        mask = real("right")
        options = {"mask": mask, "memory_mask": real("left", SOURCE)}
        hidden |= {"tgt_key_padding_mask": ~mask, "memory_key_padding_mask": ~real("left", SOURCE)}
    ours = OURS[part].from_torch(other)
    compared(targets(), mask, lambda x: ours(x, memory, **options).output, lambda x: other(x, memory, **hidden))
    compared(
        memory,
        torch.ones(BATCH, TARGET, dtype=torch.bool) if not padded else mask,
        lambda memory: ours(targets(), memory, **options).output,
        lambda memory: other(targets(), memory, **hidden),
    )


@pytest.mark.parametrize("part", OURS)
def test_in_training_the_same_numbers_are_dropped(theirs, part, monkeypatch):
    """In the same places and order, where both draw alike. One sequence at a time: PyTorch's layer lays a batch out
    otherwise, and numbers are drawn in memory's order.
    """
    monkeypatch.setattr("saccade.dropout.dropout", nn.functional.dropout)
    other = theirs(part).train()
    for count, dropped in enumerate(x for x in other.modules() if isinstance(x, nn.Dropout)):
        dropped.p = 0.1 + 0.05 * count if dropped.p else 0.0
    for copied in getattr(other, "layers", [other]):
        copied.self_attn.dropout = 0.15
    ours, inputs, hidden = OURS[part].from_torch(other), (targets()[:1],), {}
    if part.startswith("decoder"):
        inputs, hidden = (*inputs, sources()[:1]), {"tgt_mask": ~masks.causal(TARGET)[0]}
    torch.manual_seed(5)
    expected = other(*inputs, **hidden)
    torch.manual_seed(5)
    same(ours(*inputs).output, expected)
    assert (ours(*inputs).output != expected).any()
    assert all(module.training for module in ours.modules())
    ours = OURS[part].from_torch(other.eval())
    assert not any(module.training for module in ours.modules())
    same(ours(*inputs), ours(*inputs), atol=0)


def test_what_is_copied_is_a_copy():
    other = nn.TransformerDecoderLayer(DIM, HEADS, HIDDEN, activation=nn.GELU()).requires_grad_(False)
    ours = TransformerDecoderLayer.from_torch(other)
    assert ours.feedforward.activation == "gelu"
    assert all(parameter.requires_grad for parameter in ours.parameters())
    assert not {p.data_ptr() for p in ours.parameters()} & {p.data_ptr() for p in other.parameters()}


# Whole and step by step


@every_kind
@pytest.mark.parametrize("side", ["left", "right", "none"])
def test_step_by_step_equals_all_at_once(kind, side):
    stack, x, memory = decoder(kind), targets(), sources()
    mask = real(side) if side != "none" else torch.ones(BATCH, TARGET, dtype=torch.bool)
    x[~mask] = torch.nan
    whole = stack(x, memory, mask=mask, memory_mask=real("right", SOURCE), need_weights=True)
    assert whole.state is None
    read, state = stack.remember(memory, mask=real("right", SOURCE)), stack.initial(BATCH, like=x)
    for i in range(TARGET):
        step = stack.read(x[:, i], read, state, mask=mask[:, i : i + 1], need_weights=True)
        state = step.state
        same(step.output, whole.output[:, i])
        same(step.own_weights, [weights[..., i, : i + 1] for weights in whole.own_weights])
        same(step.memory_weights, [weights[..., i, :] for weights in whole.memory_weights])
    prompt = stack.read(x[:, :4], read, stack.initial(BATCH, like=x), mask=mask[:, :4])
    rest = stack.read(x[:, 4:], read, prompt.state, mask=mask[:, 4:])
    same((prompt.output, rest.output), whole.output.split([4, TARGET - 4], 1))
    same(rest.state, state)


@every_kind
def test_a_layer_steps_like_a_stack_of_one(kind):
    (layer,) = layers("decoder", kind, 1)
    stack, x, memory = stirred(TransformerDecoder([layer])), targets(), sources()
    same(layer(x, memory, need_weights=True), stack(x, memory, need_weights=True))
    one = layer.read(x[:, 0], layer.remember(memory), layer.initial(BATCH, like=x))
    same(one, stack.read(x[:, 0], stack.remember(memory), stack.initial(BATCH, like=x)))
    assert isinstance(one, Decoded)
    assert one.own_weights is one.memory_weights is None


def test_a_cache_begins_as_it_is_asked_to():
    stack = decoder("post-norm")
    assert {(part.dtype, part.shape) for cache in stack.initial(2).layers for part in cache[:2]} == {
        (torch.float64, (2, 0, DIM))
    }
    with pytest.raises(ValueError, match=r"must be torch\.float64, .*; got torch\.float32$"):
        stack.initial(2, like=torch.zeros(()))


@every_kind
def test_reordered_beams_go_on_as_if_each_were_alone(kind):
    """A search reorders the state by one index_select; the memory of a row is that of all its beams."""
    stack, beams, origin = decoder(kind), 3, torch.tensor([2, 0, 2])
    x, memory = sequence(TARGET, 5), sources()[:1].expand(beams, -1, -1)
    read = stack.remember(memory)
    state = stack.read(x[:, :4], read, stack.initial(beams, like=x)).state
    chosen = pytree.tree_map(lambda part: part.index_select(0, origin), state)
    assert isinstance(chosen, TransformerState)
    more = sequence(2, 7)
    found = stack.read(more, read, chosen)
    same(found.output, stack(torch.cat([x[origin, :4], more], 1), memory).output[:, 4:])


class Stepped(NamedTuple):
    logits: Tensor
    weights: Tensor
    state: TransformerState | Tensor


class Language(nn.Module):
    """A decoder with its state, or with none: then its state are the tokens, which it reads anew at each step."""

    def __init__(self, kind: str, cached: bool):
        super().__init__()
        self.stack, self.cached, self.add = decoder(kind), cached, SinusoidalPositions(DIM)
        self.embedding, self.output = stirred(nn.Embedding(7, DIM)), stirred(nn.Linear(DIM, 7))

    def step(self, token: Tensor, memory: Any, state: Any) -> Stepped:
        if self.cached:
            x = self.add(self.embedding(token), start=state.layers[0].steps)
            output, _, weights, state = self.stack.read(x, memory, state, need_weights=True)
        else:
            state = torch.cat([state, token[:, None]], 1)
            found = self.stack.read(self.add(self.embedding(state)), memory, need_weights=True)
            output, weights = found.output[:, -1], [each[:, :, -1] for each in found.memory_weights]
        return Stepped(self.output(output), weights[-1].mean(1), state)


@every_kind
@pytest.mark.parametrize("beam", [None, 3])
def test_a_search_with_a_state_finds_what_reading_anew_finds(kind, beam):
    symbols, limits, found = Symbols(0, 1, (0,)), [6, 9, 4], []
    for cached in (True, False):
        model = Language(kind, cached)
        with torch.inference_mode():
            memory = model.stack.remember(sources(), mask=real("right", SOURCE))
            state = model.stack.initial(BATCH) if cached else torch.zeros(BATCH, 0, dtype=torch.long)
            if beam is None:
                found.append(greedy(model, memory, state, symbols, limits))
            else:
                rows = beam_search(model, memory, state, symbols, limits, beam)
                found.append([answer for row in rows for answer in row])
    assert [answer.tokens for answer in found[0]] == [answer.tokens for answer in found[1]]
    assert max(len(answer.tokens) for answer in found[0]) > 3
    for one, other in zip(*found, strict=True):
        same((torch.tensor(one.score), one.weights), (torch.tensor(other.score), other.weights), atol=1e-5)


# What nobody may attend, and what nobody asked for


@every_kind
@every_side
@pytest.mark.parametrize("form", ["boolean", "pattern"])
def test_padding_has_no_influence_on_an_encoder(kind, side, form):
    stack, x, mask = encoder(kind), targets(), real(side)
    x[~mask] = torch.nan
    found = stack(x, mask=mask if form == "boolean" else masks.Pattern(padding=mask), need_weights=True)
    stack.zero_grad()
    found.output[mask].sum().backward()
    together = [parameter.grad for parameter in stack.parameters()]
    stack.zero_grad()
    for row in range(BATCH):
        alone = stack(x[row : row + 1, mask[row]], need_weights=True)
        same(found.output[row, mask[row]], alone.output[0])
        same([w[row][:, mask[row]][..., mask[row]] for w in found.weights], [w[0] for w in alone.weights])
        alone.output.sum().backward()
    same([parameter.grad for parameter in stack.parameters()], together, atol=1e-11)


@every_kind
@every_side
def test_padding_has_no_influence_on_a_decoder(kind, side):
    stack, x, memory, mask, memory_mask = decoder(kind), targets(), sources(), real(side), real(side, SOURCE)
    x[~mask] = torch.nan
    memory[~memory_mask] = torch.nan
    found = stack(x, memory, mask=mask, memory_mask=memory_mask)
    stack.zero_grad()
    found.output[mask].sum().backward()
    together = [parameter.grad for parameter in stack.parameters()]
    stack.zero_grad()
    for row in range(BATCH):
        alone = stack(x[row : row + 1, mask[row]], memory[row : row + 1, memory_mask[row]])
        same(found.output[row, mask[row]], alone.output[0])
        alone.output.sum().backward()
    same([parameter.grad for parameter in stack.parameters()], together, atol=1e-11)


@every_kind
@every_side
def test_without_weights_the_outputs_are_the_same(kind, side):
    mask, bias = real(side), torch.randn(1, TARGET, TARGET, dtype=torch.float64)
    found = [encoder(kind)(targets(), mask=mask, bias=bias, need_weights=need) for need in (True, False)]
    same(found[0].output, found[1].output)
    assert found[1].weights is None
    seen = mask[:, None, None, :].expand(-1, HEADS, TARGET, -1)
    for weights in found[0].weights:
        assert (weights[~seen] == 0).all()
        same(weights.sum(-1), torch.ones(BATCH, HEADS, TARGET, dtype=torch.float64))
    decoded = [
        decoder(kind)(targets(), sources(), mask=mask, memory_mask=real(side, SOURCE), bias=bias, need_weights=need)
        for need in (True, False)
    ]
    same(decoded[0].output, decoded[1].output)
    assert decoded[1].own_weights is decoded[1].memory_weights is None
    plain = decoder(kind)(targets(), sources(), mask=mask, memory_mask=real(side, SOURCE))
    for one, other in ((plain, decoded[1]), (encoder(kind)(targets(), mask=mask), found[1])):
        assert (one.output - other.output).abs().max() > 1e-3, "the bias is read"


@every_kind
def test_places_play_a_part_where_there_are_positions(kind):
    order = torch.randperm(TARGET, generator=torch.Generator().manual_seed(3))
    shuffled, expected = encoder(kind)(targets()[:, order]).output, encoder(kind)(targets()).output[:, order]
    difference = (shuffled - expected).abs().max()
    assert difference > 1e-3 if "positions" in KINDS[kind] else difference < 1e-12


def test_nothing_to_read():
    """No memory at all, and a memory that is all padding, say nothing but the bias of the projection."""
    stack, x, nobody = decoder("post-norm"), targets(), torch.zeros(BATCH, SOURCE, dtype=torch.bool)
    same(stack(x, sources(), memory_mask=nobody).output, stack(x, sources()[:, :0]).output)
    assert encoder("post-norm")(targets()[:, :0]).output.shape == (BATCH, 0, DIM)


# How it runs


def step_of(stack: TransformerDecoder) -> tuple[Tensor, Any, TransformerState]:
    with torch.no_grad():
        memory = stack.remember(sources().float(), mask=real("left", SOURCE))
        state = stack.read(targets()[:, :4].float(), memory, stack.initial(BATCH)).state
    return targets()[:, 4].float(), memory, state


class Step(nn.Module):
    """The step of a decoder as a module, since what is exported is a module's forward."""

    def __init__(self, stack: TransformerDecoder):
        super().__init__()
        self.stack = stack

    def forward(self, x: Tensor, memory: Any, state: TransformerState) -> Decoded:
        return self.stack.read(x, memory, state, need_weights=True)


@pytest.mark.parametrize(
    ("part", "kind"), [("encoder", "grouped, rotary"), ("decoder", "post-norm"), ("step", "grouped, rotary")]
)
def test_compiles_whole_exports_and_reloads(part, kind, tmp_path):
    if part == "encoder":
        module, inputs, options = encoder(kind, 1).float(), (targets().float(),), {"mask": real("left")}
    elif part == "decoder":
        module, inputs, options = (
            decoder(kind, 1).float(),
            (targets().float(), sources().float()),
            {"mask": real("right")},
        )
    else:
        module, options = Step(decoder(kind).float()), {}
        inputs = step_of(module.stack)
    expected = module(*inputs, **options)
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")(*inputs, **options)
    torch.export.save(torch.export.export(module, inputs, options), tmp_path / "module.pt2")
    reloaded = torch.export.load(tmp_path / "module.pt2").module()(*inputs, **options)
    for found in (compiled, reloaded):
        assert type(found) is type(expected)
        same(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["post-norm", "grouped, rotary"])
@pytest.mark.parametrize("way", ["bfloat16", "autocast"])
def test_low_precision(kind, way):
    x, memory, mask = targets().float(), sources().float(), real("left")
    for need in (False, True):
        encode, decode = encoder(kind).float(), decoder(kind).float()
        expected = encode(x, mask=mask).output, decode(x, memory, mask=mask).output
        inputs, low = (x, memory), torch.bfloat16 if way == "bfloat16" else torch.float32
        if way == "bfloat16":
            encode, decode, inputs = encode.bfloat16(), decode.bfloat16(), (x.bfloat16(), memory.bfloat16())
        with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
            encoded = encode(inputs[0], mask=mask, need_weights=need).output
            decoded = decode(*inputs, mask=mask, need_weights=need).output
            read, state, steps = decode.remember(inputs[1]), decode.initial(BATCH, like=inputs[0]), []
            for i in range(TARGET):
                step = decode.read(inputs[0][:, i], read, state, mask=mask[:, i : i + 1], need_weights=need)
                state = step.state
                steps.append(step.output)
        for found, wanted in ((encoded, expected[0]), (decoded, expected[1]), (torch.stack(steps, 1), expected[1])):
            assert found.dtype == low
            torch.testing.assert_close(found[mask].float(), wanted[mask], rtol=0.05, atol=0.1)


# Mistakes


def layer(part: str = "encoder", **options: Any) -> Any:
    kind = {"encoder": TransformerEncoderLayer, "decoder": TransformerDecoderLayer}[part]
    return kind(**{"dim": DIM, "heads": HEADS, "hidden_dim": HIDDEN} | options)


def step(x: Tensor, **changed: Any) -> Decoded:
    stack = TransformerDecoder([layer("decoder"), layer("decoder")])
    given = {"memory": stack.remember(torch.zeros(BATCH, SOURCE, DIM)), "state": stack.initial(BATCH)} | changed
    return stack.read(x, **given)


def of(activation: Any) -> Any:
    return TransformerEncoderLayer.from_torch(nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, activation=activation))


X = torch.zeros(BATCH, TARGET, DIM)
WRONG = {
    "activation must be relu or gelu; got 'tanh'": lambda: layer(activation="tanh"),
    "activation must be relu or gelu; got silu": lambda: of(nn.functional.silu),
    "activation must be relu or gelu; got GELU(approximate='tanh')": lambda: of(nn.GELU(approximate="tanh")),
    "heads must divide query_dim = 22; got 3": lambda: layer(heads=3),
    "hidden_dim must be at least 1; got 0": lambda: FeedForward(DIM, 0),
    "dim must be at least 1; got 0": lambda: layer(dim=0),
    "layers must be at least 1; got 0": lambda: TransformerEncoder([]),
    "x must be [batch, query, 22]; got [3, 7, 13]": lambda: layer(norm_first=True)(X[..., :13]),
    "x must be [batch, query, 22]; got [3, 22]": lambda: layer("decoder")(X[:, 0], X),
    "x must be torch.float32, as the weights of TransformerEncoderLayer; got torch.float64": lambda: layer()(
        X.double()
    ),
    "mask must be [batch, key] = [3, 7]; got [3, 5]": lambda: layer()(X, mask=real("left", SOURCE)),
    "mask must be boolean, True = may attend; got torch.int64 (added terms are bias)": lambda: layer()(
        X, mask=real("left").long()
    ),
    "mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)": lambda: layer("decoder")(
        X, X, mask=torch.tensor([1, 2, 3])
    ),
    "mask must be on cpu, as x; got meta": lambda: layer()(X, mask=real("left").to("meta")),
    "mask must be [batch, key] = [3, 1]; got [3, 7]": lambda: step(X[:, 0], mask=real("left")),
    "mask of a step must be boolean, [batch, steps]; got a Pattern": lambda: step(X[:, 0], mask=masks.Pattern()),
    "memory must be [batch, key, 22]; got [3, 22]": lambda: layer("decoder")(X, X[:, 0]),
    "memory must be a tuple of 2, one for each layer, as remember gives; got one alone": lambda: step(
        X[:, 0], memory=layer("decoder").remember(X)
    ),
    "memory must be a tuple of 2, one for each layer, as remember gives; got 1": lambda: step(
        X[:, 0], memory=(layer("decoder").remember(X),)
    ),
    "a step must be [batch, 22], or several [batch, steps, 22]; got [3, 13]": lambda: step(X[:, 0, :13]),
    "state must be a TransformerState of 2 layers; got KeyValueCache": lambda: step(
        X[:, 0], state=layer("decoder").initial(BATCH)
    ),
    "state must be a TransformerState of 2 layers; got 1 layers": lambda: step(
        X[:, 0], state=TransformerState((layer("decoder").initial(BATCH),))
    ),
    "state must be a KeyValueCache with keys of [3, steps, 22]; got [2, 0, 22]": lambda: layer("decoder").read(
        X[:, 0], layer("decoder").remember(X), layer("decoder").initial(2)
    ),
    "module must be nn.TransformerEncoderLayer; got Linear": lambda: TransformerEncoderLayer.from_torch(
        nn.Linear(2, 3)
    ),
    "module must be nn.TransformerDecoder; got Linear": lambda: TransformerDecoder.from_torch(nn.Linear(2, 3)),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
