"""How answers are found: penalties of length, drawing, several runs as one; and what cannot be asked."""

import json
import shutil

import pytest

from saccade import decoding
from saccade.cli import main
from saccade.tasks.load import load
from saccade.tasks.translate.translator import Translator


@pytest.fixture
def ask(capsys):
    """Run a command; its status, its lines, and the last line of what it says."""

    def run(*arguments: object) -> tuple[int, list[str], str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = int(exit.code)
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), (captured.err.splitlines() or [""])[-1]

    return run


def test_a_penalty_ranks_the_answers_of_a_beam(ask, run_folder):
    translate, penalty = load(run_folder), decoding.wu(0.7)
    status, lines, _ = ask(
        "predict", run_folder, "123", "9", "--beam", 4, "--nbest", 3, "--length-penalty", 0.7, "--penalty", "wu"
    )
    found = translate.answer(["123", "9"], beam=4, nbest=3, manner=decoding.Manner(penalty))
    assert (status, lines) == (0, [answer.text for row in found for answer in row])
    for row in found:
        ranks = [one.score / penalty(len(one.target)) for one in row if one.target[-1] == "</s>"]
        assert ranks == sorted(ranks, reverse=True)


def test_what_is_drawn_is_decided_by_seed_and_input(ask, run_folder):
    drawn = ("--sample", "--temperature", 3, "--nbest", 4, "--scores")
    _, lines, _ = ask("predict", run_folder, "123", "456", "7", *drawn)
    assert len(lines) == 12
    assert len(set(lines[:4])) > 1
    for order in (("7", "123"), ("123", "7")):
        _, some, _ = ask("predict", run_folder, *order, *drawn)
        expected = {"123": lines[:4], "7": lines[8:]}
        assert some == [line for text in order for line in expected[text]]
    _, others, _ = ask("predict", run_folder, "123", "456", "7", *drawn, "--seed", 2)
    assert others != lines
    _, sure, _ = ask("predict", run_folder, "123", "--sample", "--top-k", 1)
    assert sure == [load(run_folder)("123").text]


def test_several_runs_answer_as_one(ask, run_folder, tmp_path):
    _, alone, _ = ask("predict", run_folder, "123", "45", "--scores", "--nbest", 2)
    for others in (run_folder, f"{run_folder},{run_folder}"):
        status, lines, _ = ask("predict", run_folder, "123", "45", "--scores", "--nbest", 2, "--ensemble", others)
        assert status == 0
        for line, other in zip(lines, alone, strict=True):
            assert line.split("\t")[0] == other.split("\t")[0]
            assert float(line.split("\t")[1]) == pytest.approx(float(other.split("\t")[1]), abs=2e-4)
    assert load(run_folder).joined([load(run_folder)])("123").weights is not None


def test_runs_that_are_not_alike_are_refused(ask, run_folder, tag_run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run_folder, other)
    said = json.loads((other / "tokenizer-target.json").read_text("utf-8"))
    vocabulary = said["model"]["vocab"]
    names = list(vocabulary)[-2:]
    vocabulary[names[0]], vocabulary[names[1]] = vocabulary[names[1]], vocabulary[names[0]]
    (other / "tokenizer-target.json").write_text(json.dumps(said), "utf-8")
    status, lines, error = ask("predict", run_folder, "123", "--ensemble", other)
    assert (status, lines) == (1, [])
    assert error.startswith("saccade: --ensemble must be runs of one vocabulary; expected the target's of ")
    _, _, error = ask("predict", run_folder, "123", "--ensemble", tag_run)
    assert error == f"saccade: --ensemble must be runs of translate, as {run_folder}; got {tag_run}, one of tag"
    _, _, error = ask("predict", tag_run, "Ann", "--ensemble", tag_run)
    assert error == "saccade: --ensemble is for runs that translate texts; got one of tag"
    _, _, error = ask("predict", tag_run, "Ann", "--sample")
    assert error == "saccade: --length-penalty and --sample are for runs that write texts; this one writes none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--temperature", 2), "--temperature goes with --sample, which is not there"),
        (("--top-k", 2), "--top-k goes with --sample, which is not there"),
        (("--top-p", 0.5), "--top-p goes with --sample, which is not there"),
        (("--seed", 2), "--seed goes with --sample, which is not there"),
        (("--penalty", "wu"), "--penalty wu goes with --length-penalty, which is not there"),
        (("--sample", "--beam", 2), "--sample goes without --beam and --length-penalty: what is drawn is not"),
        (("--sample", "--length-penalty", 1), "--sample goes without --beam and --length-penalty"),
        (("--length-penalty", 1), "--length-penalty ranks the answers of a beam: it goes with --beam of at least 2"),
        (("--early", "--beam", 2), "--early goes with --length-penalty, which is not there"),
        (("--length-penalty", -1, "--beam", 2), "--length-penalty must be at least 0; got -1.0"),
        (("--sample", "--temperature", 0), "--temperature must be above 0; got 0.0"),
        (("--sample", "--top-k", -1), "--top-k must be at least 0; got -1"),
        (("--sample", "--top-p", 2), "--top-p must be above 0 and at most 1; got 2.0"),
    ],
)
def test_what_cannot_be_asked_is_one_line(ask, run_folder, digits, options, message):
    for command in (("predict", run_folder, "123"), ("evaluate", run_folder, "--data", digits)):
        status, lines, error = ask(*command, *options)
        assert (status, lines) == (1, [])
        assert error.startswith(f"saccade: {message}")


def test_an_early_end(ask, run_folder, monkeypatch):
    seen, answers = [], Translator.answers

    def watched(self, inputs, **given):
        seen.append(given["manner"].early)
        return answers(self, inputs, **given)

    monkeypatch.setattr(Translator, "answers", watched)
    for options in ((), ("--early",)):
        status, lines, _ = ask("predict", run_folder, "123", "9", "--beam", 3, "--length-penalty", 2, *options)
        assert (status, len(lines)) == (0, 2)
    assert seen == [False, True]


def test_answers_in_bfloat16(ask, run_folder, tag_run, digits):
    """Close to those in float32, and not the same."""
    plain, rough = (
        ask("predict", run_folder, "123", "000900", "5 5", "--beam", 3, "--scores", "--precision", precision)[1]
        for precision in ("float32", "bfloat16")
    )
    assert rough != plain
    for line, other in zip(plain, rough, strict=True):
        assert float(line.split("\t")[1]) == pytest.approx(float(other.split("\t")[1]), abs=0.5)
    for command in (("predict", tag_run, "Ann sleeps"), ("evaluate", run_folder, "--data", digits, "--json")):
        status, lines, _ = ask(*command, "--precision", "bfloat16")
        assert (status, len(lines)) == (0, 1)


def test_measures_are_of_what_is_asked(ask, run_folder, digits):
    translate, data = load(run_folder), ("evaluate", run_folder, "--data", digits, "--json")
    _, lines, _ = ask(*data, "--sample", "--temperature", 4)
    wild = json.loads(lines[0])["exact_match"]
    _, lines, _ = ask(*data, "--sample", "--temperature", 0.01)
    assert wild < json.loads(lines[0])["exact_match"]
    assert translate.others == ()
