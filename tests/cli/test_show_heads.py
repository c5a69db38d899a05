"""`saccade show --heads`: every head of a run's own model while it answers, labelled with what it read and wrote."""

import json
from pathlib import Path

import numpy as np
import pytest

import saccade
from saccade.cli import main
from saccade.lens.capture.answered import drawing_of_heads
from saccade.tasks.load import load


@pytest.fixture
def ask(capsys):
    """Run a command that must succeed; its lines on standard output."""

    def run(*arguments: object) -> list[str]:
        assert main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def say(capsys):
    """Run a command that must fail; the one line that it says."""

    def run(*arguments: object) -> str:
        capsys.readouterr()  # what a training said
        assert main([str(argument) for argument in arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("saccade: ")

    return run


def seen_in(folder: Path, given: object):
    """The answer of a run to an input, and the drawing of every head while it was made."""
    trained = load(folder)
    with saccade.look(trained.model) as seen:
        found = trained.answer([given])[0]
    answer = found[0] if isinstance(found, list) else found
    return answer, drawing_of_heads(seen, answer)


def trained_on(folder: Path, task: str, file: Path, *options: object) -> Path:
    given = ("--embedding", 8, "--hidden", 8, "--epochs", 1, *options)
    assert main(["train", task, "--train", str(file), "--out", str(folder), *map(str, given)]) == 0
    return folder


def test_a_translator_step_by_step(run_folder):
    answer, drawing = seen_in(run_folder, "123")
    (site,) = drawing.sites
    assert (site.name, site.heads, len(site.target.labels) > 3) == ("decoder.attention", ("0",), True)
    assert (site.source.labels, site.target.labels) == (answer.source, answer.target)
    np.testing.assert_allclose(site.weights[0], answer.weights, atol=1e-6)
    entropy = -(answer.weights * np.log(answer.weights.clip(1e-30))).sum(-1).mean()
    assert drawing.figures[0].values[0] == pytest.approx([entropy], abs=1e-4)


def test_a_translator_that_copies(tmp_path, digits):
    answer, drawing = seen_in(trained_on(tmp_path / "run", "translate", digits, "--level", "char", "--copy"), "123")
    (site,) = drawing.sites
    assert site.target.labels == answer.target
    np.testing.assert_allclose(site.weights[0], answer.weights, atol=1e-6)


def test_a_classifier_with_self_attention(tmp_path, films):
    run = trained_on(tmp_path / "run", "classify", films, "--encoder", "transformer")
    answer, drawing = seen_in(run, "a superb film")
    *layers, pool = drawing.sites
    assert layers
    for site in layers:
        assert site.source.labels == site.target.labels == answer.source[0]
        assert site.weights.shape == (len(site.heads), 3, 3)
        np.testing.assert_allclose(site.weights.sum(-1), 1, atol=1e-5)
    assert (pool.source.labels, pool.target.labels) == (answer.source[0], (answer.text,))
    np.testing.assert_allclose(pool.weights[:, 0], answer.weights[0], atol=1e-6)
    assert [len(row) for row in drawing.figures[0].values] == [len(site.heads) for site in drawing.sites]


def test_a_document_has_a_site_for_each_sentence(tmp_path, films):
    run = trained_on(tmp_path / "run", "classify", films, "--documents")
    read = ("it was a superb story.", "a film.", "it was awful.", "a fine film of it.")
    answer, drawing = seen_in(run, read)
    *words, sentences = drawing.sites
    assert [site.name for site in words] == [f"read.words.pool, sentence {number}" for number in range(1, 5)]
    for site, source, weights in zip(words, answer.source, answer.weights, strict=True):
        assert site.source.labels == source
        np.testing.assert_allclose(site.weights[:, 0], weights, atol=1e-6)
    assert sentences.source.labels == tuple(f"sentence {number}" for number in range(1, 5))
    np.testing.assert_allclose(sentences.weights[:, 0], answer.sentences, atol=1e-6)
    _, drawing = seen_in(run, ("a film.",))
    assert [site.source.labels for site in drawing.sites] == [("a", "film", "."), ("sentence 1",)]


def test_documents_in_which_words_see_words(tmp_path, films):
    run = trained_on(tmp_path / "run", "classify", films, "--documents", "--encoder", "transformer")
    _, drawing = seen_in(run, ("it was a superb story.", "a film.", "a fine film."))
    squares = [site for site in drawing.sites if "self_attention" in site.name]
    assert all(site.target.labels == site.source.labels for site in squares)
    assert {site.source.labels[0] for site in squares} == {"it", "a", "sentence 1"}
    for site in squares:
        np.testing.assert_allclose(site.weights.sum(-1), 1, atol=1e-5)


def test_a_tagger(tag_run):
    answer, drawing = seen_in(tag_run, ("Ann", "Lee", "sees", "Rome"))
    (site,) = drawing.sites
    assert site.source.labels == answer.source
    assert site.target.labels == tuple(f"{word}/{tag}" for word, tag in zip(answer.source, answer.tags, strict=True))
    np.testing.assert_allclose(site.weights[0], answer.weights, atol=1e-6)


def test_regressors(forecast_run, marked_run, waves, marked):
    trained = load(forecast_run)
    given = trained.parse(json.dumps([[500.0 + n, 3.0] for n in range(12)]))
    answer, drawing = seen_in(forecast_run, given)
    assert drawing.sites[-1].source.labels == tuple(str(step) for step in range(1, 13))
    np.testing.assert_allclose(drawing.sites[-1].weights[:, 0], answer.weights[0], atol=1e-6)
    answer, drawing = seen_in(marked_run, np.load(marked[0])[0])
    assert len(drawing.sites[-1].source.labels) == 8
    np.testing.assert_allclose(drawing.sites[-1].weights[:, 0], answer.weights[0], atol=1e-6)


def test_a_series_of_patches_variable_by_variable(tmp_path, waves):
    run = tmp_path / "run"
    options = ["--horizon", "3", "--window", "32", "--patch", "8", "--stride", "4", "--hidden", "8", "--epochs", "1"]
    assert main(["train", "regress", "--train", str(waves), "--out", str(run), *options]) == 0
    given = load(run).parse(json.dumps([[500.0 + n, 3.0] for n in range(32)]))
    drawing = seen_in(run, given)[1]
    names = [site.name for site in drawing.sites]
    assert all(name.endswith((", load", ", wind")) for name in names)
    read = drawing.sites[-1]
    assert read.target.labels == ("+1", "+2", "+3")
    assert read.source.labels == tuple(str(place) for place in range(len(read.source.labels)))  # patches are no steps


def test_the_pieces_of_a_pretrained_encoder_are_places(tmp_path, films, bert):
    run = tmp_path / "run"
    options = ["--pretrained", str(bert), "--hidden", "8", "--epochs", "1", "--freeze"]
    assert main(["train", "classify", "--train", str(films), "--out", str(run), *options]) == 0
    *layers, _ = seen_in(run, "a superb film")[1].sites
    assert [site.name for site in layers] == [f"embed.0.model.encoder.layer.{n}.attention.self" for n in (0, 1)]
    for site in layers:
        assert len(site.heads) == 2
        assert site.source.labels == tuple(str(place) for place in range(site.weights.shape[2]))
        np.testing.assert_allclose(site.weights.sum(-1), 1, atol=1e-5)  # nothing was cut away


def test_drawn_in_the_terminal_as_a_picture_and_as_a_page(ask, tag_run, classify_run, forecast_run, waves, tmp_path):
    files = ["--png", tmp_path / "a.png", "--page", tmp_path / "a.html"]
    lines = ask("show", tag_run, "Ann Lee sees Rome", "--heads")
    assert lines[:2] == ["read   Ann Lee sees Rome", "answer B-per I-per O B-loc"]
    assert "attention.attend, head 0" in "\n".join(lines)
    assert ask("show", tag_run, "Ann Lee sees Rome") != lines  # what it draws by itself has stayed
    assert ask("show", tag_run, "Ann Lee sees Rome", "--heads", *files) == []
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert '"kind":"layers"' in (tmp_path / "a.html").read_text("utf-8")
    assert ask("show", classify_run, "a superb film", "--heads")[1] == "answer good"
    assert any(line.startswith("readout") for line in ask("show", forecast_run, "--data", waves, "--heads"))


def test_nothing_to_look_at_is_one_line(say, capsys, tmp_path, digits, run_folder, tag_run):
    run = trained_on(tmp_path / "run", "translate", digits, "--level", "char", "--attention", "none")
    said = "expected a model and an input with something to look at; it"
    assert say("show", run, "12", "--heads") == f"{run}: {said} looks at nothing (--attention none)"
    assert main(["show", str(tag_run), " ", "--heads"]) == 1
    doubt, line = capsys.readouterr().err.splitlines()
    assert line == f"saccade: {tag_run}: {said} got an input that is empty, or too long to be read"
    assert "the input is empty" in doubt
    assert say("show", run_folder, "123", "--heads", "--png", "a.gif").startswith("the name of a picture must end in")
