"""What was seen can be asked, measured, followed through the layers, saved; and what it cannot say it refuses."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import saccade

pytest.importorskip("transformers")
from zoo import built, given, text

from saccade.lens.capture import reached
from saccade.lens.capture import seen as drawn
from saccade.lens.capture import site as sites


@pytest.fixture
def bert():
    model, inputs = built("bert"), given("bert")
    words = SimpleNamespace(all_special_ids=[7, 8], convert_ids_to_tokens=lambda ids: [f"w{i}" for i in ids])
    with torch.no_grad(), saccade.look(model, tokenizer=words) as seen:
        model(**inputs)
    return seen


def rolled(matrices, target):
    """Abnar and Zuidema by the book, in float64."""
    whole = torch.eye(matrices[0].shape[-1], dtype=torch.float64)
    for weights in matrices:
        mixed = (weights.double().mean(1) + torch.eye(weights.shape[-1])) / 2
        whole = mixed / mixed.sum(-1, keepdim=True) @ whole
    return whole[torch.arange(len(whole)), target]


def places(inputs, target):
    """From the end, a place is counted from the last that is no padding."""
    if target >= 0:
        return [target] * len(inputs["attention_mask"])
    return [row.nonzero().flatten()[target].item() for row in inputs["attention_mask"]]


@pytest.mark.parametrize("name", ["bert", "llama", "gpt-oss"])
def test_rollout_is_that_of_the_matrices(name):
    model, inputs = built(name), given(name)
    with torch.no_grad(), saccade.look(model) as seen:
        model(**inputs)
    for target in (-1, -2, 3):
        found, at = seen.rollout(target), places(inputs, target)
        exact = rolled([site.weights() for site in seen.sites], at)
        assert (found.scores - exact).abs().max() < 1e-6
        assert list(found.target) == at


def test_relevance_and_gradients_are_those_of_the_eager_model():
    model, inputs = built("bert", "eager"), given("bert")
    direction = torch.randn(2, 32)
    told = model(**inputs, output_attentions=True)
    for weights in told.attentions:
        weights.retain_grad()
    (told.last_hidden_state[:, -1] * direction).sum().backward()
    model.zero_grad()
    with saccade.look(model, gradients=True) as seen:
        (model(**inputs).last_hidden_state[:, -1] * direction).sum().backward()
    whole = torch.eye(11).expand(2, -1, -1)
    for site, weights in zip(seen.sites, told.attentions, strict=True):
        assert torch.allclose(site.gradient(range(11)), weights.grad, rtol=1e-3, atol=1e-6)
        whole = whole + (weights * weights.grad).clamp(min=0).mean(1) @ whole
        important = (weights * weights.grad).sum((-1, -2)).abs()  # O dO = A V dO = A dA
        assert torch.allclose(site.importance(), important, rtol=1e-3, atol=1e-5)
    assert torch.allclose(seen.relevance(10).scores, whole[:, -1], rtol=1e-3, atol=1e-6)


def test_norms_are_lengths_of_what_is_added_up():
    module, x = nn.MultiheadAttention(6, 2, batch_first=True).eval(), torch.randn(1, 5, 6)
    with torch.no_grad(), saccade.look(module) as seen:
        module(x, x, x)
    value = nn.functional.linear(x, module.in_proj_weight[12:], module.in_proj_bias[12:]).view(1, 5, 2, 3)
    each = torch.einsum("bkhd,ohd->bhko", value, module.out_proj.weight.view(6, 2, 3))
    vectors = seen[0].row(3)[..., None] * each
    found = seen[0].norms([3], output=module.out_proj.weight)[:, :, 0]
    assert torch.allclose(found, vectors.norm(dim=-1), atol=1e-6)


def test_measures_are_means_over_real_queries(bert):
    table = bert.measure("entropy", "coverage", "distance", "sink", "special", "entropy_normalised")
    assert (table.sites[0], table.heads[:4], table.values.shape) == (bert[0].name, (0, 1, 2, 3), (8, 6))
    weights, real = bert[0].weights().double(), given("bert")["attention_mask"].bool()
    rows = torch.cat([weights[b, :, real[b]] for b in range(2)], 1)
    entropy = torch.special.entr(rows).sum(-1)
    assert torch.allclose(table.values[:4, 0].double(), entropy.mean(1), atol=2e-6)
    counts = torch.cat([real[b].sum().expand(int(real[b].sum())) for b in range(2)])
    assert torch.allclose(table.values[:4, 5].double(), (entropy / counts.log()).mean(1), atol=2e-6)
    assert torch.allclose(table.values[:4, 3].double(), rows[..., 0].mean(1), atol=2e-6)
    covered = torch.cat([weights[b][:, real[b]].sum(1)[:, real[b]].clamp(max=1) for b in range(2)], 1)
    assert torch.allclose(table.values[:4, 1].double(), covered.mean(1), atol=2e-6)


def test_tokens_have_names(bert):
    ids = given("bert")["input_ids"]
    rows, slots = bert.tokens.of("self", 11, 11)
    assert rows.texts[1][2] == slots.texts[1][2] == f"w{ids[1, 2]}"
    assert slots.real.tolist() == given("bert")["attention_mask"].bool().tolist()


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=str)
def test_what_is_saved_is_read_again(tmp_path, options):
    model = built("t5")
    with saccade.look(model) as seen:
        model.generate(**text(), max_new_tokens=5, **options)
    seen.save(tmp_path / "seen")
    again = saccade.Seen.load(tmp_path / "seen")
    assert [repr(site) for site in again.sites] == [repr(site) for site in seen.sites]
    for one, other in zip(again.sites, seen.sites, strict=True):
        assert torch.allclose(one.weights(), other.weights(), atol=5e-6)
    assert again.tokens.target.ids.equal(seen.tokens.target.ids)
    with pytest.raises(ValueError, match=r"expected what Seen.save wrote"):
        saccade.Seen.load(tmp_path)


def test_what_reached_a_token_is_drawn_in_words_and_without_special_ones(monkeypatch):
    drawings = []
    monkeypatch.setattr(reached, "draw", lambda drawing, **to: drawings.append(drawing))
    labels = (("[CLS]", "play", "##ing", "on", "[PAD]"),)
    real, special = torch.tensor([[1, 1, 1, 1, 0]]).bool(), torch.tensor([[1, 0, 0, 0, 1]]).bool()
    flow = reached.Reached(torch.tensor([[0.6, 0.1, 0.2, 0.1, 0.0]]), labels, (0,), real, special)
    flow.show(merge="words")
    flow.show(merge="words", special=False)
    assert (drawings[0].sentences, drawings[-1].sentences) == ((("[CLS]", "playing", "on"),), (("playing", "on"),))
    assert drawings[0].weights[0][0].tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert drawings[-1].weights[0][0].tolist() == pytest.approx([0.75, 0.25])
    flow._replace(target=(2,)).show(merge="words")
    assert (drawings[0].note, drawings[-1].note) == ("what reached [CLS]", "what reached playing")
    with pytest.raises(ValueError, match="merge must be pieces or words; got 'letters'"):
        flow.show(merge="letters")


def test_every_drawing_takes_rows_and_images(bert, monkeypatch):
    drawings = []
    monkeypatch.setattr(drawn, "draw", lambda drawing, **to: drawings.append(drawing))
    white = torch.full((3, 3, 3), 255, dtype=torch.uint8).numpy()
    for make in (
        bert.show,
        lambda **asked: bert.page("a.html", **asked),
        lambda **asked: bert.figure("a.png", **asked),
    ):
        make(rows=[2, -1], image=white, title="what was seen")
    for drawing in drawings:
        assert drawing.sites[1].target.labels == (bert.tokens.source.texts[0][2], bert.tokens.source.texts[0][10])
        assert drawing.sites[0].source.image.grid == (3, 3)
    assert len(drawings) == 3


REFUSED = {
    r"site must be one of encoder.layer.0.*; got 'x'": lambda seen: seen["x"],
    r"site must be 0 to 1, or a name; got 2": lambda seen: seen[2],
    r"row must be 0 to 10; got 11": lambda seen: seen[0].row(11),
    r"head must be 0 to 3; got 4": lambda seen: seen[0].head(4),
    r"column must be 0 to 10; got -12": lambda seen: seen[0].column(-12),
    r"groups must be \[batch or 1, key, group\]": lambda seen: seen[0].mass(torch.ones(3, 2)),
    r"measures must be of entropy, .*; got ''": lambda seen: seen.measure(),
    r"measures must be of entropy, .*; got 'beauty'": lambda seen: seen.measure("beauty"),
    r"sites must be some of .*; got 'y\*'": lambda seen: seen.measure("entropy", sites="y*"),
    r"target must be a row from 0 to 10; got \[11, 11\]": lambda seen: seen.rollout(11),
    r"gradients must be asked for with look": lambda seen: seen[0].gradient([1]),
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_there_is_not_is_refused_in_one_line(bert, line):
    with pytest.raises(ValueError, match=line) as refused:
        REFUSED[line](bert)
    assert "\n" not in str(refused.value)


def test_a_long_input_is_not_written_out(monkeypatch):
    module, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.randn(1, 300, 4)
    monkeypatch.setattr(sites, "LIMIT", 10**5)
    with torch.no_grad(), saccade.look(module) as seen:
        module(x, x, x, need_weights=False)
    with pytest.raises(ValueError, match=r"would take .* GiB: ask for rows, or say full=True"):
        seen[0].weights()
    assert seen[0].weights(full=True).shape == (1, 2, 300, 300)
    assert seen[0].row(299).shape == (1, 2, 300)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_seen_is_refused():
    layer, x = nn.Linear(3, 3), torch.randn(1, 3)
    exported = torch.export.export(layer, (x,))
    for model, line in (
        (torch.jit.script(layer), "must not be scripted"),
        (nn.Sequential(torch.jit.trace(layer, x)), "must not be scripted, nobody sees into torch.jit; 0 is"),
        (exported, "must not be exported"),
        (exported.module(), "must not be exported"),
        (3, "must be a torch.nn.Module; got int"),
    ):
        with pytest.raises(ValueError, match=line):
            saccade.look(model)
    with pytest.raises(ValueError, match=r"sites must be names of modules, .*; got 'z'"):
        saccade.look(nn.Sequential(layer), sites="z")
    with pytest.raises(ValueError, match="rows must be"):
        saccade.look(layer, rows="first")


def test_nothing_seen_says_what_was_looked_for():
    layer = nn.Linear(3, 3)
    with pytest.warns(UserWarning, match="look saw no attention; it looked for"), saccade.look(layer) as seen:
        layer(torch.randn(1, 3))
    with pytest.raises(ValueError, match="look saw no attention"):
        seen[0]
    with pytest.warns(UserWarning, match="look saw nothing: the model did not run"), saccade.look(layer):
        pass


def test_nan_is_said():
    module = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    x = torch.full((1, 3, 4), torch.nan)
    with pytest.warns(UserWarning, match="NaN or infinity"), saccade.look(module) as seen:
        module(x, x, x)
    assert seen[0].check.status == "not finite"


def test_no_tokens_are_no_error():
    module, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.randn(1, 0, 4)
    with saccade.look(module) as seen:
        module(x, x, x)
    assert seen[0].weights().shape == (1, 2, 0, 0)
    with pytest.raises(ValueError, match="row must be none, there are none"):
        seen[0].row(0)
