"""From what was seen to what is drawn: the same weights, one example, without its padding."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import saccade
from saccade.lens.capture import drawn
from saccade.lens.heads import Top
from saccade.lens.tokens import patches, tokens

transformers = pytest.importorskip("transformers")
from zoo import built, given  # noqa: E402


class Letters:
    """A tokenizer of letters, with two special ones, that cuts words into pieces of one."""

    all_special_ids = (7, 8)

    def convert_ids_to_tokens(self, ids):
        return ["[CLS]" if i == 7 else "[SEP]" if i == 8 else f"##{i}" if i % 2 else f"w{i}" for i in ids]

    def decode(self, ids, skip_special_tokens=True):
        return " ".join(map(str, ids.tolist()))


@pytest.fixture(scope="module")
def bert():
    model, inputs = built("bert"), given("bert")
    with torch.no_grad(), saccade.look(model, tokenizer=Letters()) as seen:
        model(**inputs)
    return seen, inputs


@pytest.mark.parametrize("example", [0, 1])
def test_an_example_is_drawn_with_its_own_weights_and_without_padding(bert, example):
    seen, inputs = bert
    real = inputs["attention_mask"][example].bool()
    drawing = seen.drawing(example=example)
    assert [one.name for one in drawing.sites] == [site.name for site in seen.sites]
    for one, site in zip(drawing.sites, seen.sites, strict=True):
        exact = site.weights()[example][:, real][:, :, real].numpy()
        np.testing.assert_array_equal(one.weights, exact)
        labels = Letters().convert_ids_to_tokens(inputs["input_ids"][example][real].tolist())
        assert list(one.source.labels) == list(one.target.labels) == labels
        entropy = -(exact * np.log(np.maximum(exact, 1e-30))).sum(-1).mean(-1)
        figures = drawing.figures[0].values[seen.sites.index(site)]
        np.testing.assert_allclose(figures, entropy, atol=1e-5)


def test_long_inputs_are_drawn_by_the_largest_of_each_row(bert, monkeypatch):
    seen, _ = bert
    whole = seen.drawing(example=1).sites[0].weights
    monkeypatch.setattr(drawn, "DENSE", 30)
    monkeypatch.setattr(drawn, "KEPT", 3)
    some = seen.drawing(example=1).sites[0].weights
    assert isinstance(some, Top)
    np.testing.assert_allclose(some.weights, -np.sort(-whole, -1)[..., :3], rtol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(whole, some.keys.astype(int), -1), some.weights, rtol=1e-6)
    monkeypatch.setattr(drawn, "MOST", 30)
    with pytest.raises(ValueError, match=r"rows must say which to draw, .* has 7 rows of 11 slots: rows=slice"):
        seen.drawing(example=1)
    rows = seen.drawing(example=0, rows=[-1, 2])
    np.testing.assert_array_equal(rows.sites[0].weights, seen.sites[0].rows([-1, 2])[0].numpy())


def test_one_head_the_mean_and_words(bert):
    seen, _ = bert
    name, weights = seen.sites[1].name, seen.sites[1].weights()[0].numpy()
    one = seen.drawing(sites=name, head=2)
    np.testing.assert_array_equal(one.sites[0].weights[0], weights[2])
    mean = seen.drawing(sites=name, head="mean")
    np.testing.assert_allclose(mean.sites[0].weights[0], weights.mean(0), rtol=1e-6)
    words = seen.drawing(sites=name, merge="words").sites[0]
    assert len(words.source.labels) < len(one.sites[0].source.labels)
    np.testing.assert_allclose(words.weights.sum(-1), 1.0, atol=1e-5)


def test_it_is_drawn_everywhere(bert, tmp_path, capsys):
    seen, _ = bert
    seen.show(head=0, sites=seen.sites[0].name, png=tmp_path / "a.png", page=tmp_path / "a.html", title="<b>")
    assert "head 0" in capsys.readouterr().out
    seen.figure(tmp_path / "b.svg")
    seen.page(tmp_path / "b.html", merge="words")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("a.png", "a.html", "b.svg", "b.html"))
    (block,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "b.html").read_text("utf-8"), re.S)
    assert len(json.loads(block)["examples"][0]["sites"]) == len(seen.sites)
    assert "<b>" not in (tmp_path / "a.html").read_text("utf-8")
    assert "<iframe" in seen._repr_html_()
    assert saccade.draw is not None


def test_what_reached_a_token_is_shown_without_padding(bert, capsys, tmp_path):
    seen, inputs = bert
    found = seen.rollout()
    found.show(1, merge="words", special=True, page=tmp_path / "reached.html")
    last = int(inputs["attention_mask"][1].nonzero().max())
    assert found.target[1] == last
    words = tokens(found.labels[1][: last + 1], words="auto")
    said = capsys.readouterr().out
    assert all(name in said for name in words.names)
    (block,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "reached.html").read_text("utf-8"), re.S)
    (shown,) = json.loads(block)["examples"][0]["weights"]
    sums = np.bincount(words.words, found.scores[1][: last + 1].numpy())
    np.testing.assert_allclose(np.ravel(shown) / 10_000, sums, atol=1e-4)
    with pytest.raises(ValueError, match="example must be 0 to 1; got 2"):
        found.show(2)


def test_an_image_lies_under_its_patches():
    model, inputs = built("vit"), given("vit")
    with torch.no_grad(), saccade.look(model) as seen:
        model(**inputs)
    keys = seen.sites[0].shape[3]
    side = int((keys - 1) ** 0.5)
    pixels = np.zeros((16, 16, 3), np.uint8)
    image = seen.drawing(image=pixels).sites[0].source.image
    assert image.grid == (side, side)
    assert image.places == tuple(range(keys - side * side, keys))
    own = patches(pixels, (1, 2), places=[1, 2])
    assert seen.drawing(image=own).sites[0].source.image is own


def test_generations_are_drawn_with_what_was_written():
    model, inputs = built("gpt2"), given("gpt2")
    with torch.no_grad(), saccade.look(model, tokenizer=Letters()) as seen:
        written = model.generate(**inputs, max_new_tokens=4, do_sample=False, pad_token_id=0)
    one = seen.drawing(example=0).sites[0]
    real = inputs["attention_mask"][0].bool()
    labels = Letters().convert_ids_to_tokens(written[0].tolist())[: len(real) + 3]
    kept = [label for label, there in zip(labels, [*real.tolist(), True, True, True], strict=True) if there]
    assert list(one.source.labels) == kept
    np.testing.assert_allclose(one.weights.sum(-1), 1.0, atol=1e-5)


def test_models_without_tokens_are_drawn_by_places():
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).eval()
    with torch.no_grad(), saccade.look(layer) as seen:
        layer(torch.randn(1, 4, 6))
    assert seen.drawing().sites[0].source.labels == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"example": 2}, "example must be 0 to 1; got 2"),
        ({"sites": "nowhere*"}, r"sites must be some of .*; got 'nowhere\*'"),
        ({"head": 9}, r"head of .* must be one of 0, 1, .*; got 9"),
        ({"merge": "lines"}, "merge must be pieces or words; got 'lines'"),
        ({"measures": ["beauty"]}, "measures must be of entropy, .*; got 'beauty'"),
        ({"rows": [40]}, r"row must be 0 to 10; got 40"),
    ],
)
def test_what_cannot_be_drawn_is_named(bert, words, line):
    with pytest.raises(ValueError, match=line):
        bert[0].drawing(**words)
