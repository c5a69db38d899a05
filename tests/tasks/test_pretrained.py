"""Classifiers and taggers on a pretrained encoder: what they learn, keep, show and refuse."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from saccade.data.labelled import LabelledFile
from saccade.data.tagged import TaggedFile
from saccade.errors import MissingExtraError, OptionError, RunError
from saccade.lens.answers import drawing_of
from saccade.runs import Run
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.load import load
from saccade.tasks.tag.options import TagOptions

OPTIONS = {"classify": ClassifyOptions, "tag": TagOptions}
TINY = {"hidden": 8, "heads": 2, "batch_size": 8}
TEXTS = ["superb", "the story was dull and it was long", "a weird film.", "it", "fine " * 50, "Zürich 下雨", "  ", ""]
tasks = pytest.mark.parametrize("task", ["classify", "tag"])
few = pytest.mark.parametrize(
    ("task", "kind", "more"),
    [
        ("classify", "bert", {}),
        ("classify", "roberta", {"encoder": "none", "freeze": True}),
        ("tag", "roberta", {}),
        ("tag", "bert", {"encoder": "none", "output": "softmax", "freeze": True}),
    ],
)
kinds = pytest.mark.parametrize("kind", ["bert", "roberta"])


def same(one, other, within=1e-5) -> None:
    assert one.source == other.source
    likely, others = one.probabilities, other.probabilities
    assert likely == pytest.approx(others, abs=within)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None:
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_allclose(a, b, atol=within)


@pytest.fixture
def data(films, names) -> dict[str, Path]:
    return {"classify": films, "tag": names}


@pytest.fixture
def folder(request, tmp_path, kind) -> Path:
    """A copy of the encoder's folder, which may be deleted."""
    return shutil.copytree(request.getfixturevalue(kind), tmp_path / "model")


def on(folder: Path, task: str, **options):
    attention = {"attention": "multi-head"} if task == "tag" else {}
    return OPTIONS[task](pretrained=str(folder), **{**TINY, **attention, **options})


@few
def test_a_run_stands_on_its_own(train, tmp_path, data, folder, task, kind, more):
    said: list[str] = []
    trained = train(tmp_path / "run", on(folder, task, **more), data[task], said=said)
    how = "kept as it is (--freeze)" if "freeze" in more else "trained further (--pretrained-rate 3e-05)"
    assert any(line.startswith(f"{folder}: an encoder of ") and line.endswith(how) for line in said)
    shutil.rmtree(folder)
    run = tmp_path / "run"
    assert {"encoder.json", "tokenizer.json", "weights.safetensors"} <= {path.name for path in run.iterdir()}
    assert json.loads((run / "encoder.json").read_text())["model_type"] == kind
    together = load(run).answer(TEXTS * 9)
    for text, one, other in zip(TEXTS * 9, trained.answer(TEXTS * 9), together, strict=True):
        same(one, other, within=0)
        same(one, trained(text))
    assert trained.model(**trained.sample())[0].shape[0] == 2
    file = LabelledFile((data[task],)) if task == "classify" else TaggedFile((data[task],))
    assert trained.evaluate(file).accuracy == load(run).evaluate(file).accuracy


@tasks
@pytest.mark.parametrize("kind", ["bert"])
def test_it_learns_and_is_frozen_where_it_shall_be(tmp_path, data, folder, task, kind):
    from saccade.tasks.base import Start
    from saccade.tasks.load import task_of
    from saccade.training.fit import fit

    weights = load_file(folder / "model.safetensors")
    begun = weights["bert.embeddings.word_embeddings.weight"]
    rates = {"learning_rate": 0.01, "pretrained_rate": 0.005, "dropout": 0.1, "epochs": 8, "batch_size": 16}
    for freeze in (False, True):
        options = on(folder, task, **rates, freeze=freeze)
        start = Start(task_of(options).files((data[task],), task_of(options).columns, options), None)
        trained = fit(tmp_path / str(freeze), options, start, device="cpu", say=lambda line: None)
        accuracy = Run(tmp_path / str(freeze)).read_config()["scores"]["accuracy"]
        assert freeze or accuracy > 0.95
        state = trained.model.state_dict()
        (table,) = (tensor for name, tensor in state.items() if name.endswith("word_embeddings.weight"))
        assert torch.equal(table, begun) == freeze


@few
def test_resumed_it_ends_with_the_same_bits(resumed, data, folder, task, kind, more):
    resumed(on(folder, task, **more), data[task])


@kinds
def test_documents_are_read_sentence_by_sentence(train, tmp_path, folder, kind):
    path = tmp_path / "documents.jsonl"
    made = ((["a film", "it was " + ("dull", "fine")[n % 2]] * (n % 3 + 1), "ab"[n % 2]) for n in range(40))
    records = ({"text": text, "label": label} for text, label in made)
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    trained = train(tmp_path / "run", on(folder, "classify", documents=True), path)
    texts = [("a film",), ("a film", "it was dull", "  ", "superbest superbest"), (), ("a",) * 9]
    for text, together in zip(texts, trained.answer(texts), strict=True):
        same(together, trained(text))
        assert len(together.source) == sum(bool(sentence.strip()) for sentence in text)
        for words, weights in zip(together.source, together.weights, strict=True):
            assert weights.shape == (1, len(words))
            assert weights.sum() == pytest.approx(1, abs=1e-5)


@kinds
def test_words_are_shown_and_not_their_pieces(train, tmp_path, data, folder, kind):
    trained = train(tmp_path / "run", on(folder, "classify"), data["classify"])
    verdict = trained("a superbest film")
    first, last = {"bert": ("[CLS]", "[SEP]"), "roberta": ("<s>", "</s>")}[kind]
    assert verdict.source == ((first, "a", "superbest", "film", last),)
    ((weights,),) = verdict.weights
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    ((ids, _),) = trained.codec.vocabulary.cut_many(["a superbest film"], 99)
    said = trained.model(torch.tensor([ids]), torch.tensor([len(ids)]))
    assert len(ids) > 5
    counts = [count for _, count in trained.codec.vocabulary.spans("a superbest film", 99)]
    each = [part.sum().item() for part in said.words[0].split(counts)]
    np.testing.assert_allclose(weights, each, atol=1e-6)
    assert drawing_of(verdict, text="a superbest film").sentences == verdict.source


@pytest.mark.parametrize("kind", ["bert"])
def test_the_state_of_a_word_is_that_of_its_first_piece(train, tmp_path, data, folder, kind):
    trained = train(tmp_path / "run", on(folder, "tag", encoder="none", attention="none"), data["tag"])
    words, codec = ("Ann", "\u200b", "superbest", "Rome"), trained.codec
    ((ids, first),) = codec.pieces.words_many([words])
    assert first[1] == 0
    states = trained.model.pretrained(torch.tensor([ids]))[0]
    expected = torch.stack([states[place - 1] * (place > 0) for place in first])
    found = trained.model(torch.tensor([first]), torch.tensor([4]), None, torch.tensor([ids])).logits[0]
    torch.testing.assert_close(found, trained.model.output(expected))
    assert len(trained(words).tags) == 4
    assert len(trained(words * 30).tags) == 120  # more pieces than it has positions


@pytest.mark.parametrize("kind", ["bert"])
def test_texts_of_more_pieces_than_there_are_positions_are_cut_and_counted(train, tmp_path, folder, kind):
    path, said = tmp_path / "a.tsv", []
    path.write_text("".join(f"{'ab'[n % 2]}\t{'a film ' * (n % 4 * 10 + 1)}\n" for n in range(40)))
    trained = train(tmp_path / "run", on(folder, "classify"), path, valid=(path,), said=said)
    line = "20 training texts are longer than what is read of them (the encoder has no more positions)"
    assert line in said, said
    assert Run(tmp_path / "run").read_config()["data"]["cut"] == 20
    assert trained.doubts("a film " * 30) == ["only the first 38 tokens were read (the encoder has no more positions)"]
    same(trained("a film " * 30), trained("a film " * 13))
    short = train(tmp_path / "short", on(folder, "classify", max_length=5), path)
    assert short.doubts("a film " * 30) == ["only the first 5 tokens were read (--max-length)"]


@tasks
@pytest.mark.parametrize("kind", ["bert"])
def test_a_frozen_one_is_set_free_where_it_is_fine_tuned(train, tmp_path, data, folder, task, kind):
    train(tmp_path / "run", on(folder, task, freeze=True), data[task])
    shutil.rmtree(folder)
    name = "encoder.layer.0.output.dense.weight"
    before = next(v for k, v in Run(tmp_path / "run").read_weights().items() if k.endswith(name))
    for freeze in (False, True):
        child = train(tmp_path / str(freeze), OPTIONS[task](freeze=freeze), data[task], parent=tmp_path / "run")
        after = next(v for k, v in child.model.state_dict().items() if k.endswith(name))
        assert torch.equal(before, after) == freeze


@tasks
@pytest.mark.parametrize("kind", ["bert"])
def test_broken_runs_are_named(monkeypatch, train, tmp_path, data, folder, task, kind):
    train(tmp_path / "run", on(folder, task), data[task])
    for name, line in (("encoder.json", "expected the configuration of an encoder"), ("tokenizer.json", "a tokenizer")):
        whole = (tmp_path / "run" / name).read_text()
        for text in ("", "[]", "\x00"):
            (tmp_path / "run" / name).write_text(text)
            with pytest.raises(RunError, match=rf"{name}: .*{line}; got "):
                load(tmp_path / "run")
        (tmp_path / "run" / name).write_text(whole)
    load(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"^this needs transformers, .*: pip install 'saccade\[pretrained\]'$"):
        load(tmp_path / "run")


def smaller(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 7}))


@tasks
@pytest.mark.parametrize("kind", ["bert"])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (shutil.rmtree, "expected a folder with a model in it; there is none"),
        (lambda f: [path.unlink() for path in f.glob("*o*.txt")] + [(f / "tokenizer.json").unlink()], "expected a tok"),
        (lambda f: (f / "model.safetensors").unlink(), "expected weights in model.safetensors; got none"),
        (lambda f: (f / "model.safetensors").write_text("x"), "expected weights in safetensors; got "),
        (
            smaller,
            "expected a tokenizer of the model's 7 pieces; got one of 60",
        ),
    ],
)
def test_folders_that_cannot_be_taken_leave_nothing_behind(train, tmp_path, data, folder, task, kind, change, line):
    change(folder)
    with pytest.raises(OptionError, match=rf"^--pretrained {folder}: {line}"):
        train(tmp_path / "run", on(folder, task), data[task])
    assert not (tmp_path / "run").exists()


@tasks
@pytest.mark.parametrize("kind", ["bert"])
def test_heads_that_do_not_divide_the_encoder(train, tmp_path, data, folder, task, kind):
    which = {"classify": {"self_attention": "multi-head"}, "tag": {"attention": "multi-head"}}[task]
    options = on(folder, task, encoder="none", **{**which, "heads": 3})
    line = r"^--heads must divide the width of the encoder of --pretrained, 16; got 3$"
    with pytest.raises(OptionError, match=line):
        train(tmp_path / "run", options, data[task])


REFUSED = [
    *((task, "vectors", "v.txt", "--vectors v.txt") for task in OPTIONS),
    *((task, "least", 3, "--least 3") for task in OPTIONS),
    *((task, "characters", "lstm", "--characters lstm") for task in OPTIONS),
    *((task, "embedding", 7, "--embedding 7") for task in OPTIONS),
    *((task, "vocab_size", 777, "--vocab-size 777") for task in OPTIONS),
    *((task, "word_dropout", 0.7, "--word-dropout 0.7") for task in OPTIONS),
    ("classify", "level", "char", "--level char"),
    ("classify", "cased", True, "--cased"),
    ("tag", "character_hidden", 6, "--character-hidden 6"),
]


@pytest.mark.parametrize(("task", "name", "value", "given"), REFUSED)
def test_what_does_not_go_together(task, name, value, given):
    line = f"^{given} does not go with --pretrained, whose tokenizer and states take its place$"
    with pytest.raises(OptionError, match=line):
        OPTIONS[task](pretrained="m", **{name: value})


@tasks
def test_options_that_cannot_be(train, tmp_path, data, task):
    with pytest.raises(OptionError, match=r"^--pretrained-rate must be above 0; got 0$"):
        OPTIONS[task](pretrained_rate=0)
    with pytest.raises(OptionError, match=r"^--freeze needs the encoder of --pretrained; there is none$"):
        train(tmp_path / "run", OPTIONS[task](freeze=True, **TINY), data[task])


@tasks
def test_a_run_from_before_there_were_pretrained_encoders(train, tmp_path, data, task):
    sizes = {"embedding": 4, "character_hidden": 4}
    trained = train(tmp_path / "run", OPTIONS[task](**TINY, **sizes), data[task])
    run = Run(tmp_path / "run")
    config = run.read_config()
    for name in ("pretrained", "freeze", "pretrained_rate"):
        del config["options"][name]
    run.write_config(config)
    for one, other in zip(trained.answer(TEXTS), load(tmp_path / "run").answer(TEXTS), strict=True):
        assert one.probabilities == other.probabilities
