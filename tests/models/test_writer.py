"""Captioner and recogniser, with every decoder: padding has no influence, steps equal teacher forcing, all learns."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from saccade.models.captioner import Captioner, CaptionerConfig
from saccade.models.recognizer import Recognizer, RecognizerConfig
from saccade.models.writer import Writer, WritingConfig, mean_of_slots
from saccade.tasks.write.search import search

VOCAB, FEATURES = 11, 5
IMAGES = torch.tensor([[13, 22], [7, 9], [12, 5]])
LINES = torch.tensor([[12, 29], [12, 7], [12, 18]])
FRAMES = torch.tensor([[19], [4], [11]])
TARGET = torch.tensor([[1, 4, 5, 6, 7], [1, 5, 5, 0, 0], [1, 9, 0, 0, 0]])
WRITING = WritingConfig(VOCAB, "additive", "lstm", embedding=6, hidden=8, layers=1, heads=2, dropout=0.0, ctc=0.0)
IMAGE = CaptionerConfig(
    channels=3,
    filters=4,
    halvings=2,
    depth=1,
    gates="none",
    backbone=None,
    read="regions",
    rows=12,
    hidden=8,
    layers=1,
    warp=0.0,
    dropout=0.0,
    mean=(100.0, 120.0, 90.0),
    std=(50.0, 60.0, 70.0),
    writing=WRITING,
)
SOUND = RecognizerConfig(
    features=FEATURES,
    encoder="lstm",
    hidden=8,
    layers=3,
    halvings=2,
    dropout=0.0,
    streaming=False,
    frequency_mask=1,
    time_mask=2,
    masks=1,
    copies=1,
    mean=(0.5,) * FEATURES,
    std=(2.0,) * FEATURES,
    writing=WRITING,
)


def written(**changes: object) -> WritingConfig:
    return replace(WRITING, **changes)


ATTENTIONS = ("visual", "visual+reinforce", "visual+sparsemax", "additive", "sca-cnn", "location-sensitive", "none")
DECODERS = {
    "gru": written(decoder="gru"),
    "two layers": written(layers=2),
    "attend after": written(attend="after"),
    "transformer": written(decoder="transformer", layers=2),
}
KINDS: dict[str, CaptionerConfig | RecognizerConfig] = {
    **{f"regions, {name}": replace(IMAGE, writing=written(attention=name)) for name in ATTENTIONS},
    **{f"regions, {name}": replace(IMAGE, writing=writing) for name, writing in DECODERS.items()},
    "regions, cbam": replace(IMAGE, gates="cbam"),
    "regions, squeeze-excitation, depth 2": replace(IMAGE, gates="squeeze-excitation", depth=2),
    "regions, grey": replace(IMAGE, channels=1, mean=(100.0,), std=(50.0,)),
    "columns": replace(IMAGE, read="columns"),
    "columns, ctc": replace(IMAGE, read="columns", writing=written(ctc=0.5)),
    "columns, ctc, transformer": replace(IMAGE, read="columns", writing=written(ctc=0.5, decoder="transformer")),
    "columns, ctc alone": replace(IMAGE, read="columns", layers=2, writing=written(ctc=1.0, decoder="none")),
    **{
        f"recording, {name}": replace(SOUND, writing=written(attention=name, ctc=0.3))
        for name in ("location-sensitive", "additive", "monotonic", "mocha", "none")
    },
    **{f"recording, {name}": replace(SOUND, writing=writing) for name, writing in DECODERS.items()},
    "recording, ctc alone, gru": replace(SOUND, encoder="gru", writing=written(ctc=1.0, decoder="none")),
    "recording, streaming": replace(SOUND, streaming=True, writing=written(attention="mocha", ctc=0.3)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, *, dropout: float = 0.0) -> Writer:
    torch.manual_seed(1)
    config = KINDS[kind]
    config = replace(config, dropout=dropout, writing=replace(config.writing, dropout=dropout))
    model = Captioner(config) if isinstance(config, CaptionerConfig) else Recognizer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        for name, parameter in model.named_parameters():
            if "squeeze.weight" in name:
                parameter.abs_()  # or its only hidden unit may be dead
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # as after training
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return model.eval()


def looks(model: Writer) -> bool:
    return model.decoder is not None and (model.writing.attention != "none" or model.writing.decoder == "transformer")


def given(model: Writer) -> tuple[Tensor, Tensor]:
    """A batch, zero at its padding, and its sizes."""
    torch.manual_seed(2)
    if isinstance(model, Recognizer):
        rows = [torch.randn(int(size), FEATURES) for size in FRAMES[:, 0]]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), FRAMES
    sizes = LINES if model.config.read == "columns" else IMAGES
    images = torch.zeros(len(sizes), *sizes.max(0).values.tolist(), model.config.channels, dtype=torch.uint8)
    for image, (height, width) in zip(images, sizes.tolist(), strict=True):
        image[:height, :width] = torch.randint(0, 256, (height, width, model.config.channels))
    return images, sizes


def cut(input: Tensor, size: Tensor) -> Tensor:
    """One example of a batch, alone."""
    return input[(slice(None), *(slice(0, length) for length in size.tolist()))]


def slots_of(model: Writer, weights: Tensor, size: Tensor) -> Tensor:
    """The weights `[token, slot]` of one example, without those over padding, which must be nothing."""
    real = int(model.encoder.halved(size)[0] if isinstance(model, Recognizer) else model.grid(size[None]).prod())
    kept, rest = weights[:, :real], weights[:, real:]
    assert (rest == 0).all()
    return kept


@every_kind
def test_padding_has_no_influence(kind):
    model = made(kind)
    input, sizes = given(model)
    junk = input.clone()
    hidden = model.standardize(torch.ones_like(input, dtype=torch.float32) + model.standardize.mean, sizes) == 0
    junk[hidden] = 77
    together, other = model(input, sizes, TARGET), model(junk, sizes, TARGET)
    torch.testing.assert_close(other, together, rtol=0, atol=0)
    for row, size in enumerate(sizes):
        alone = model(cut(input[row : row + 1], size), size[None], TARGET[row : row + 1])
        slots = int(alone.lengths[0])
        assert slots == int(together.lengths[row])
        if together.forced is not None:
            torch.testing.assert_close(alone.forced.logits[0], together.forced.logits[row], rtol=0, atol=2e-5)
        if looks(model):
            kept = slots_of(model, together.forced.weights[row], size)
            torch.testing.assert_close(alone.forced.weights[0], kept, rtol=0, atol=1e-5)
        if together.ctc is not None:
            torch.testing.assert_close(alone.ctc[0], together.ctc[row, :slots], rtol=0, atol=2e-5)


@every_kind
def test_answers_do_not_depend_on_their_company(kind):
    model = made(kind)
    input, sizes = given(model)
    for beam in (1, 3) if model.decoder is not None else (1,):
        together = search(model, input, sizes, [6, 5, 4], beam=beam)
        for row, size in enumerate(sizes):
            alone = search(model, cut(input[row : row + 1], size), size[None], [6 - row], beam=beam)[0]
            assert [one.tokens for one in alone] == [one.tokens for one in together[row]]
            assert [one.score for one in alone] == pytest.approx([one.score for one in together[row]], abs=1e-4)


@every_kind
def test_steps_equal_teacher_forcing(kind):
    model = made(kind)
    if model.decoder is None:
        pytest.skip("CTC alone takes no steps")
    input, sizes = given(model)
    forced = model(input, sizes, TARGET).forced
    read = model.remember(input, sizes)
    state = read.state
    for place in range(TARGET.shape[1]):
        logits, weights, state = model.step(TARGET[:, place], read.source, state)
        torch.testing.assert_close(logits, forced.logits[:, place], rtol=0, atol=1e-5)
        assert (weights is None) == (not looks(model))
        if weights is not None:
            torch.testing.assert_close(weights, forced.weights[:, place], rtol=0, atol=1e-5)
    without = model(input, sizes, TARGET, need_weights=False).forced
    torch.testing.assert_close(without.logits, forced.logits, rtol=0, atol=1e-5)


@every_kind
def test_weights_are_over_what_is_there(kind):
    model = made(kind)
    if not looks(model):
        pytest.skip("looks at nothing")
    input, sizes = given(model)
    weights = model(input, sizes, TARGET).forced.weights
    assert (weights >= 0).all()
    sums = weights.sum(-1)
    assert (sums <= 1 + 1e-5).all()
    if "mono" not in kind and "mocha" not in kind and "streaming" not in kind:
        torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-5)


def moves_nothing(model: Writer, name: str) -> bool:
    """Parameters that no loss of these models can move.

    An offset of keys is the same for all slots; weights drawn with a reward have no gradient of their own; a stream's
    decoder begins with nothing.
    """
    attention = model.writing.attention
    if name.endswith("key.bias"):
        return True
    if name == "decoder.start.weight" and isinstance(model, Recognizer) and model.config.streaming:
        return True
    return attention.endswith("reinforce") and name.startswith("decoder.attention.") and "gate" not in name


@every_kind
def test_every_weight_learns(kind):
    model = made(kind, dropout=0.1).train()
    input, sizes = given(model)
    torch.manual_seed(3)
    found = model(input, sizes, TARGET)
    loss = torch.zeros(())
    if found.forced is not None:
        loss = loss + (found.forced.logits * torch.randn_like(found.forced.logits)).sum()
    if found.ctc is not None:
        loss = loss + (found.ctc * torch.randn_like(found.ctc)).sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        if not moves_nothing(model, name):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@every_kind
def test_a_step_in_bfloat16_is_finite(kind):
    model = made(kind, dropout=0.1).train()
    input, sizes = given(model)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(input, sizes, TARGET)
        loss = torch.zeros(())
        if found.forced is not None:
            loss = loss + found.forced.logits.float().square().mean()
        if found.ctc is not None:
            assert found.ctc.dtype == torch.float32
            loss = loss + found.ctc.square().mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("kind", ["regions, visual", "columns, ctc", "recording, additive", "recording, transformer"])
def test_low_precision_is_near(kind):
    model = made(kind)
    input, sizes = given(model)
    exact = model(input, sizes, TARGET).forced.logits.log_softmax(-1)
    with torch.autocast("cpu", torch.bfloat16):
        near = model(input, sizes, TARGET).forced.logits.float().log_softmax(-1)
    torch.testing.assert_close(near, exact, rtol=0.1, atol=0.2)


def test_regions_know_where_they_are():
    """In an even image, far from its borders, which a convolution knows too."""
    model = made("regions, additive")
    image, sizes = torch.full((1, 64, 64, 3), 200, dtype=torch.uint8), torch.tensor([[64, 64]])
    slots = model.encode(image, sizes).states[0].unflatten(0, (16, 16))
    for other in (slots[7, 8], slots[8, 7]):
        assert (slots[7, 7] - other).abs().max() > 1e-3


def test_a_stream_does_not_begin_with_its_end():
    model = made("recording, streaming")
    frames, sizes = given(model)
    early = model.encode(frames, sizes)
    frames[0, 12:] += 1.0
    late = model.encode(frames, sizes)
    torch.testing.assert_close(late.states[0, :3], early.states[0, :3])
    assert (late.states[0, 3:] - early.states[0, 3:]).abs().max() > 1e-3
    torch.testing.assert_close(late.summary, early.summary)


def test_the_mean_of_slots_is_of_those_there_are():
    states, mask = torch.tensor([[[1.0], [3.0], [float("nan")]]]), torch.tensor([[True, True, False]])
    assert mean_of_slots(states, mask).tolist() == [[2.0]]
    assert mean_of_slots(states, mask & False).tolist() == [[0.0]]
