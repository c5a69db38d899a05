"""The commands for runs of every task, as a person uses them, from a file to answers."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

import saccade
from saccade.cli import main
from saccade.runs import Run
from saccade.tasks.load import load

TINY = {
    "classify": ["--embedding", 6, "--hidden", 8, "--epochs", 1],
    "tag": ["--embedding", 6, "--hidden", 8, "--character-hidden", 4, "--epochs", 1],
    "regress": ["--hidden", 8, "--epochs", 1, "--window", 12],
}


@pytest.fixture
def ask(capsys):
    """Run a command that must succeed; its lines on standard output and on standard error."""

    def run(*arguments: object) -> tuple[list[str], list[str]]:
        assert main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def piped(capsys, monkeypatch):
    """Predict for lines of standard input; what is said there, on standard error, and the exit status."""

    def run(folder: Path, text: str) -> tuple[list[str], list[str], int]:
        monkeypatch.setattr("saccade.cli.predict._standard_input", lambda: io.BytesIO(text.encode()))
        status = main(["predict", str(folder)])
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err.splitlines(), status

    return run


def test_train_resume_and_fine_tune_a_classifier(ask, tmp_path, films):
    out, said = ask("train", "classify", "--train", films, "--out", tmp_path / "run", *TINY["classify"])
    assert out == []
    assert said[-1].startswith(f"{tmp_path / 'run'}: best validation loss ")
    assert "accuracy" in said[-1]
    assert f"{films}: holding out 30 texts for validation (give others with --valid)" in said
    _, said = ask("train", "classify", "--out", tmp_path / "run", "--resume")
    assert f"{tmp_path / 'run'}: this training is finished; nothing to resume" in said
    child = tmp_path / "child"
    ask(
        "train",
        "classify",
        "--from",
        tmp_path / "run",
        "--train",
        films,
        "--valid",
        films,
        "--out",
        child,
        "--epochs",
        1,
    )
    config = Run(child).read_config()
    assert (config["options"]["hidden"], config["data"]["validation_texts"]) == (8, 300)


def test_a_child_reads_its_files_as_its_parent_did(ask, tmp_path):
    """Several labels, documents, other columns, a horizon: what the parent's options say need not be said again."""
    file = tmp_path / "a.csv"
    file.write_text("what,is\n" + "".join(f'a b {n}. c.,"x,{"yz"[n % 2]}"\n' for n in range(30)))
    run, child = tmp_path / "run", tmp_path / "child"
    options = ["--several", "--documents", *TINY["classify"]]
    ask("train", "classify", "--train", file, "--columns", "what,is", "--out", run, *options)
    ask("train", "classify", "--train", file, "--columns", "what,is", "--out", child, "--from", run, "--epochs", 1)
    assert load(child).codec.labels == ("x", "y", "z")
    assert Run(child).read_config()["options"]["several"]


def test_a_child_of_a_forecaster_forecasts(ask, tmp_path, waves, forecast_run):
    ask("train", "regress", "--train", waves, "--out", tmp_path / "child", "--from", forecast_run, "--epochs", 1)
    assert load(tmp_path / "child").options.horizon == 3


def test_evaluate_a_classifier(ask, classify_run, films, tmp_path):
    (line,), _ = ask("evaluate", classify_run, "--data", films, "--json")
    scores = json.loads(line)
    assert list(scores) == ["loss", "accuracy", "macro_f1", "per_label", "confusion", "texts", "seconds"]
    assert (scores["texts"], scores["accuracy"] > 0.95) == (300, True)
    assert sum(scores["confusion"]["bad"].values()) == scores["per_label"]["bad"]["count"] == 100
    table = "\n".join(ask("evaluate", classify_run, "--data", films)[0])
    for part in ("accuracy", "macro_f1", "precision", "recall", "good", "odd"):
        assert part in table


def test_predict_with_a_classifier(ask, piped, classify_run, tmp_path):
    trained = load(classify_run)
    texts = ["a superb film", "the story was dull", "", "it was weird"]
    expected = [trained(text).text for text in texts]
    lines, said = ask("predict", classify_run, *texts)
    assert lines == expected
    assert said == ["saccade: '': the input is empty, and so nothing was read"]
    assert piped(classify_run, "\n".join(texts) + "\n")[0] == expected
    plain, labelled = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    plain.write_text("\n".join(filter(None, texts)))
    labelled.write_text("".join(json.dumps({"text": text, "label": "?"}) + "\n" for text in texts if text))
    without = [label for label, text in zip(expected, texts, strict=True) if text]
    assert ask("predict", classify_run, "--data", plain)[0] == without
    assert ask("predict", classify_run, "--data", labelled)[0] == without
    (line,), _ = ask("predict", classify_run, texts[0], "--scores")
    assert line == f"good\t{trained(texts[0]).probabilities['good']:.4f}"
    ask("predict", classify_run, *texts, "--attention", tmp_path / "a.jsonl")
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [",".join(record["labels"]) for record in records] == expected


def test_documents_are_texts_or_lists_of_sentences(ask, tmp_path):
    file = tmp_path / "a.jsonl"
    records = [{"text": ["a b c.", "d e"], "label": "xy"[n % 2]} for n in range(30)]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    ask("train", "classify", "--documents", "--train", file, "--out", tmp_path / "run", *TINY["classify"])
    lines, _ = ask("predict", tmp_path / "run", '["a b c.", "d e"]', "a b c. d e", "--attention", tmp_path / "a")
    assert lines[0] == lines[1]
    one, other = (json.loads(line) for line in (tmp_path / "a").read_text().splitlines())
    assert one["source_tokens"] == other["source_tokens"] == [["a", "b", "c", "."], ["d", "e"]]
    assert np.sum(one["sentence_weights"]) == pytest.approx(1, abs=1e-5)
    long = " ".join(f"Sentence {n}." for n in range(10_000))
    _, said = ask("predict", tmp_path / "run", long)
    assert any(line.endswith("only the first 200 sentences were read (--max-sentences)") for line in said)
    assert max(map(len, said)) < 200
    assert "Classifier" in "\n".join(ask("describe", tmp_path / "run")[0])


def test_a_tagger_from_a_file_to_tags(ask, tmp_path, names):
    _, said = ask("train", "tag", "--train", names, "--out", tmp_path / "run", "--characters", "none", *TINY["tag"])
    assert "span F1" in said[-1]
    ask("train", "tag", "--from", tmp_path / "run", "--train", names, "--out", tmp_path / "child", "--epochs", 1)
    described = "\n".join(ask("describe", tmp_path / "child")[0])
    for part in ("Tagger", "Total params", "characters", "none", "training_sentences", "span_f1"):
        assert part in described


def test_evaluate_a_tagger(ask, tag_run, names):
    (line,), _ = ask("evaluate", tag_run, "--data", names, "--json")
    scores = json.loads(line)
    assert scores["sentences"] == 240
    assert scores["span_f1"] > 0.95
    assert set(scores["per_label"]) == {"per", "loc"}
    assert scores["never_seen"] == []
    table = "\n".join(ask("evaluate", tag_run, "--data", names)[0])
    for part in ("span_f1", "sentences_right", "per", "loc", "recall"):
        assert part in table


def test_predict_with_a_tagger(ask, piped, tag_run, names, tmp_path):
    trained = load(tag_run)
    texts = ["Ann Lee sees Rome.", "now Bo Ray likes old Ulm", ""]
    lines, said = ask("predict", tag_run, *texts)
    assert lines == [trained(text).line(scores=False) for text in texts]
    assert lines[0] == "Ann/B-per Lee/I-per sees/O Rome/B-loc ./O"
    assert said == ["saccade: '': the input is empty, and so is the answer"]
    assert piped(tag_run, "\n".join(texts))[0] == lines[:2]
    assert ask("predict", tag_run, '["Ann", "Lee"]')[0] == ["Ann/B-per Lee/I-per"]
    bare = tmp_path / "bare.conll"
    bare.write_text("Ann\nLee\nsees\nRome\n.\n\n")
    assert ask("predict", tag_run, "--data", bare)[0] == lines[:1]
    assert len(ask("predict", tag_run, "--data", names)[0]) == 240
    (line,), _ = ask("predict", tag_run, "Rome", "--scores", "--attention", tmp_path / "a.jsonl")
    assert line == f"Rome/{trained('Rome').tags[0]}/{trained('Rome').probabilities[0]:.2f}"
    assert json.loads((tmp_path / "a.jsonl").read_text())["weights"] == [[1.0]]
    _, said = ask("predict", tag_run, "Xu sah Köln")
    assert said == ["saccade: 'Xu sah Köln': 3 of its 3 words were never seen in training"]


def test_show_a_tagger(ask, tag_run):
    drawn, _ = ask("show", tag_run, "Ann Lee sees Rome")
    assert "Rome" in "\n".join(drawn)


def test_a_forecaster_from_a_table_to_numbers(ask, tmp_path, waves):
    options = ["--horizon", 3, "--columns", "wind", *TINY["regress"]]
    _, said = ask("train", "regress", "--train", waves, "--out", tmp_path / "run", *options)
    assert "linear" in said[-1]
    assert f"{waves}: the last 60 of 300 rows are kept for validation (--validation)" in said
    trained = load(tmp_path / "run")
    assert trained.codec.targets == (1,)
    scores = json.loads(ask("evaluate", tmp_path / "run", "--data", waves, "--json")[0][0])
    assert set(scores["per_output"]) == {"wind"}
    described = "\n".join(ask("describe", tmp_path / "run")[0])
    for part in ("Forecaster", "horizon", "training_examples", "linear_mse"):
        assert part in described


def test_evaluate_a_forecaster(ask, forecast_run, waves):
    scores = json.loads(ask("evaluate", forecast_run, "--data", waves, "--json")[0][0])
    names = "mse mae linear_mse linear_mae per_output examples seconds"
    assert list(scores) == names.split()
    assert scores["examples"] == 286
    table = "\n".join(ask("evaluate", forecast_run, "--data", waves)[0])
    for part in ("mse", "linear_mae", "load", "wind"):
        assert part in table


def test_predict_with_a_forecaster(ask, piped, forecast_run, waves, tmp_path):
    trained = load(forecast_run)
    rows = [line.split(",")[1:] for line in waves.read_text().splitlines()[-12:]]
    text = json.dumps([[float(cell) for cell in row] for row in rows])
    lines, said = ask("predict", forecast_run, text)
    assert lines == trained(trained.parse(text)).text.split("\n")
    assert len(lines) == 3
    assert said == []
    assert ask("predict", forecast_run, "--data", waves)[0][:3] == lines  # the last window comes first
    assert piped(forecast_run, text)[0] == lines
    ask("predict", forecast_run, text, "--attention", tmp_path / "a.jsonl")
    record = json.loads((tmp_path / "a.jsonl").read_text())
    assert np.sum(record["weights"]) == pytest.approx(1, abs=1e-4)


def test_sequences_from_two_arrays_to_numbers(ask, tmp_path, marked, marked_run):
    _, said = ask("train", "regress", "--train", *marked, "--out", tmp_path / "run", *TINY["regress"])
    assert f"{marked[0]} + {marked[1]}: holding out 120 of 600 sequences for validation (--validation)" in said
    scores = json.loads(ask("evaluate", marked_run, "--data", *marked, "--json")[0][0])
    assert scores["examples"] == 600
    lines, _ = ask("predict", marked_run, "--data", marked[0])
    truth = np.load(marked[1])
    assert np.abs(np.array(list(map(float, lines))) - truth).mean() < 0.5
    assert "Forecaster" in "\n".join(ask("describe", marked_run)[0])


def test_an_answer_before_a_bad_line(forecast_run, piped):
    rows = [[500.0, 3.0]] * 12
    lines, said, status = piped(forecast_run, f"{json.dumps(rows)}\nnonsense\n{json.dumps(rows)}\n")
    assert len(lines) == 3
    assert said == ["saccade: standard input:2: expected a JSON list of rows of numbers; got 'nonsense'"]
    assert status == 1


def test_help_of_every_task(capsys):
    for task in ("translate", "classify", "tag", "regress"):
        out = io.StringIO()
        with pytest.raises(SystemExit) as caught:
            main(["train", task, "--help"])
        out.write(capsys.readouterr().out)
        assert caught.value.code in (0, None)
        for part in ("--train", "--valid", "--from", "--attention", "--hidden", "--resume"):
            assert part in out.getvalue()


def test_show_a_classifier(ask, classify_run, films, tmp_path):
    first = films.read_text("utf-8").splitlines()[0].split("\t")[1]
    shown, _ = ask(
        "show", classify_run, first, "--terminal", "--png", tmp_path / "a.png", "--page", tmp_path / "a.html"
    )
    assert any(first.split()[0] in line for line in shown)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "a.html").read_text("utf-8")
    assert ask("show", classify_run, "--data", films, "--item", 1)[0] == ask("show", classify_run, first)[0]


def test_show_a_forecaster(ask, forecast_run, waves, tmp_path):
    for item in (1, 2):  # the first is of a future that nobody knows
        ask("show", forecast_run, "--data", waves, "--item", item, "--png", tmp_path / f"{item}.png")
    assert (tmp_path / "1.png").read_bytes() != (tmp_path / "2.png").read_bytes()
    assert "truth" not in "".join(ask("show", forecast_run, "--data", waves)[0])
    assert "truth" in "".join(ask("show", forecast_run, "--data", waves, "--item", 2)[0])


def test_a_picture_of_confusions(ask, classify_run, tag_run, films, names, tmp_path, capsys):
    ask("evaluate", classify_run, "--data", films, "--png", tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert main(["evaluate", str(tag_run), "--data", str(names), "--png", str(tmp_path / "no.png")]) == 1
    assert capsys.readouterr().err.startswith("saccade: --png is for runs that give a text one label")


def test_train_from_python(films, tmp_path):
    options = saccade.ClassifyOptions(embedding=6, hidden=8, epochs=1)
    trained = saccade.train(options, films, tmp_path / "run", device="cpu")
    assert trained.evaluate(saccade.LabelledFile((films,))).texts == len(films.read_text("utf-8").splitlines())
    again = saccade.load(tmp_path / "run")
    assert again("a film").probabilities == trained("a film").probabilities
