"""saccade align: the links of a run's weights, in order, and how good they are."""

import json
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from saccade.alignments import Choice, Method
from saccade.alignments.symmetry import symmetrize, transposed
from saccade.alignments.weights import above, likeliest
from saccade.data.aligned import pharaoh, read_pharaoh
from saccade.data.pairs import PairFile
from saccade.metrics import alignment_scores
from saccade.tasks.base import Start
from saccade.tasks.load import load
from saccade.tasks.translate.aligning import align
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit


@pytest.fixture
def say(command):
    """Run `saccade align`."""
    return partial(command, "align")


PAIRS = [("1 2 3", "3 - 2 1"), ("007", "7-0-0"), ("12 3", "3-2-1"), ("9 8 7 6", "6 7 89")]


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    for name, side in (("s", 0), ("t", 1)):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS), "utf-8")
    return tmp_path / "s", tmp_path / "t"


@pytest.fixture
def gold(tmp_path) -> Path:
    """Links of the pairs: all on the diagonal are sure, those of the first source word possible."""
    lines = []
    for source, target in PAIRS:
        s, t = len(source.split()), len(target.split())
        sure, possible = [[n, n] for n in range(min(s, t))], [[0, n] for n in range(t)]
        lines.append(json.dumps({"src": source.split(), "tgt": target.split(), "sure": sure, "possible": possible}))
    (tmp_path / "gold.jsonl").write_text("\n".join(lines), "utf-8")
    return tmp_path / "gold.jsonl"


@pytest.fixture(scope="module")
def blind(tmp_path_factory, digits) -> Path:
    """A run that looks at nothing."""
    folder = tmp_path_factory.mktemp("runs") / "blind"
    options = TranslateOptions(level="char", attention="none", embedding=4, hidden=4, epochs=1, batch_size=100)
    fit(folder, options, Start(PairFile((digits,)), None), device="cpu", say=lambda line: None)
    return folder


def given(files: tuple[Path, Path]) -> tuple[object, ...]:
    return "--source", files[0], "--target", files[1]


def test_links_are_those_of_the_weights_in_order(say, run_folder, files):
    translate = load(run_folder)
    for options, shift in ((), False), (("--shift",), True):
        found = align(translate, PAIRS, choice=Choice(shift=shift))
        said = say(run_folder, *given(files), *options)
        assert said == (0, [pharaoh(likeliest(one.weights)) for one in found], [])
        said = say(run_folder, *given(files), *options, "--threshold", 0.3)
        assert said == (0, [pharaoh(above(one.weights, 0.3)) for one in found], [])
        assert said.lines[1] == "0-0"
    assert say(run_folder, *given(files), "--shift") != say(run_folder, *given(files))


def test_both_directions_together(say, run_folder, files):
    translate = load(run_folder)
    forward = [likeliest(one.weights) for one in align(translate, PAIRS)]
    turned = align(translate, [(target, source) for source, target in PAIRS])
    backward = [transposed(likeliest(one.weights)) for one in turned]
    lines = {}
    for how in get_args(Method):
        said = say(run_folder, *given(files), "--reverse", run_folder, "--symmetrize", how)
        expected = [pharaoh(symmetrize(*both, how)) for both in zip(forward, backward, strict=True)]
        assert said == (0, expected, [])
        lines[how] = said.lines
    assert lines["intersection"] != lines["union"]
    assert say(run_folder, *given(files), "--reverse", run_folder).lines == lines["grow-diag-final-and"]


def test_many_pairs_stay_in_order(say, run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("saccade.cli.align._AT_ONCE", 7)
    many = [PAIRS[n % 4] for n in range(50)]
    for name, side in (("s", 0), ("t", 1)):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in many), "utf-8")
    lines = say(run_folder, *given((tmp_path / "s", tmp_path / "t"))).lines
    assert lines == [lines[n % 4] for n in range(50)]


def test_gold_measures(say, run_folder, files, gold, tmp_path):
    plain = say(run_folder, *given(files)).lines
    said = say(run_folder, "--gold", gold)
    assert said.lines == plain
    sizes = [(len(source.split()), len(target.split())) for source, target in PAIRS]
    (tmp_path / "links").write_text("\n".join(plain), "utf-8")
    links = list(read_pharaoh(tmp_path / "links", sizes))
    sure = [{(n, n) for n in range(min(size))} for size in sizes]
    scores = alignment_scores(links, sure, [{(0, n) for n in range(t)} for _, t in sizes])
    figures = dict(line.split() for line in said.errors)
    assert figures == {
        "precision": f"{scores.precision:.4f}",
        "recall": f"{scores.recall:.4f}",
        "aer": f"{scores.aer:.4f}",
        "said": str(scores.said),
        "sure": str(scores.sure),
    }
    # With --out the links are in the file and the figures on standard output; the files may be given beside.
    out = say(run_folder, "--gold", gold, *given(files), "--out", tmp_path / "out")
    assert out == (0, said.errors, [])
    assert (tmp_path / "out").read_text("utf-8").splitlines() == plain


def test_a_broken_line_leaves_the_old_file(say, run_folder, files, tmp_path):
    out = tmp_path / "out"
    out.write_text("old")
    files[1].write_text("a\n\nb\nc\n", "utf-8")
    said = say(run_folder, *given(files), "--out", out)
    assert said == (1, [], [f"saccade: {files[1]}:2: expected a word at least; the line is empty"])
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "s", "t"]


def test_files_that_do_not_fit(say, run_folder, files, gold):
    files[1].write_text("a\nb\n", "utf-8")
    said = say(run_folder, *given(files))
    assert said.errors == [f"saccade: {files[1]}: expected as many lines as its partner; it ends before line 3"]
    assert said.status == 1
    files[0].write_text("1 2 3\n007\n", "utf-8")
    files[1].write_text("3 - 2 1\n7 0\n", "utf-8")
    said = say(run_folder, *given(files), "--gold", gold)
    expected = f"expected 1 and 1 words, as in {gold}:2; got 1 and 2"
    assert said.errors == [f"saccade: {files[0]}:2: {expected}"]
    files[1].write_text("3 - 2 1\n70\n", "utf-8")
    said = say(run_folder, *given(files), "--gold", gold)
    assert said.errors == [f"saccade: {files[0]}: expected as many pairs as in {gold}; it ends before pair 3"]


def test_runs_that_cannot_align(say, run_folder, blind, files, tmp_path):
    said = say(blind, *given(files))
    nothing = (
        f"saccade: {blind}: expected a translator that looks at its source; it looks at nothing (--attention none)"
    )
    assert said == (1, [], [nothing])
    assert say(run_folder, *given(files), "--reverse", blind) == said
    config = json.loads((run_folder / "config.json").read_text())
    (tmp_path / "tagger").mkdir()
    (tmp_path / "tagger" / "config.json").write_text(json.dumps({**config, "task": "tag"}))
    said = say(tmp_path / "tagger", *given(files))
    assert said == (1, [], [f"saccade: {tmp_path / 'tagger'}: expected a run of the task translate; got tag"])
    assert "no: expected a run folder; there is none" in say(tmp_path / "no", *given(files)).errors[0]


@pytest.fixture
def transformers(tmp_path, digits, capsys) -> tuple[Path, Path]:
    """Two runs of Transformers of two layers, hardly trained."""
    small = {"level": "char", "encoder": "transformer", "decoder": "transformer", "hidden": 8, "heads": 2, "layers": 2}
    for seed in range(2):
        options = TranslateOptions(**small, epochs=1, batch_size=100, seed=seed)
        fit(tmp_path / f"{seed}", options, Start(PairFile((digits,)), None), device="cpu", say=lambda line: None)
    capsys.readouterr()  # what the trainings said
    return tmp_path / "0", tmp_path / "1"


def test_a_choice_by_agreement_is_kept(say, transformers, files):
    run, reverse = transformers
    plain = say(run, *given(files)).lines
    said = say(run, "--reverse", reverse, *given(files), "--choose")
    assert (said.status, said.errors, len(said.lines)) == (0, [], 16)
    measured, *typed = said.lines[0].split("  ")
    assert [float(line.split()[0]) for line in said.lines] == sorted(
        (float(x.split()[0]) for x in said.lines), reverse=True
    )
    for folder, line in zip(transformers, typed, strict=True):
        path, *flags = line.split()
        assert path == str(folder)
        kept = json.loads((folder / "alignment.json").read_text())
        assert kept["chosen"] == {"agreement": pytest.approx(float(measured), abs=1e-4), "on": f"{files[0]} {files[1]}"}
        # What is printed does by hand what is kept.
        assert say(folder, *given(files)) == say(folder, *given(files), *flags)
    assert say(run, *given(files), "--layer", 1).lines == plain
    assert say(run, *given(files), "--layer", 0, "--head", 1, "--shift").status == 0


def test_a_choice_by_gold_is_the_best(say, transformers, files, gold):
    run, reverse = transformers
    said = say(run, "--reverse", reverse, "--gold", gold, "--choose")
    assert (said.status, said.errors, len(said.lines)) == (0, [], 2 * 2 * 3 * 2)
    assert say(run, "--gold", gold).errors[2].split() == ["aer", said.lines[0].split()[0]]
    turned = [json.loads(line) for line in gold.read_text().splitlines()]
    for one in turned:
        one["src"], one["tgt"] = one["tgt"], one["src"]
        one.update({name: [link[::-1] for link in one[name]] for name in ("sure", "possible")})
    gold.write_text("\n".join(map(json.dumps, turned)))
    assert say(reverse, "--gold", gold).errors[2].split() == ["aer", said.lines[12].split()[0]]


def test_layers_that_are_not_there(say, transformers, run_folder, files):
    run, _ = transformers
    none = "layer and head must be of a Transformer's decoder; got a decoder of the kind lstm"
    assert say(run_folder, *given(files), "--layer", 0).errors == [f"saccade: {run_folder}: {none}"]
    assert say(run, *given(files), "--head", 2).errors == [f"saccade: {run}: head must be from -2 to 1; got 2"]
    (run / "alignment.json").write_text('{"layer": 7, "head": null, "shift": false, "posterior": false}')
    assert say(run, *given(files)).errors == [f"saccade: {run}: layer must be from -2 to 1; got 7"]


FILES = "align must be given --source and --target, or --gold; got"
OPTIONS = {
    (): f"{FILES} none of them",
    ("--source", "a"): f"{FILES} one of the files alone",
    ("--gold", "a", "--target", "a"): f"{FILES} one of the files alone",
    ("--gold", "a", "--symmetrize", "union"): "--symmetrize needs --reverse, its other direction; got union alone",
    ("--source", "a", "--target", "b", "--choose"): (
        "--choose needs --gold, links that people drew, or --reverse, to agree with; got neither"
    ),
    ("--gold", "a", "--choose", "--head", 0): "--choose chooses the --head; got both",
    ("--gold", "a", "--choose", "--shift"): "--choose chooses the --shift; got both",
    ("--gold", "a", "--choose", "--posterior"): "--choose chooses the --posterior; got both",
    ("--gold", "a", "--threshold", 0): "--threshold must be above 0 and at most 1; got 0.0",
    ("--gold", "a", "--threshold", "nan"): "--threshold must be above 0 and at most 1; got nan",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options(say, run_folder, options):
    assert say(run_folder, *options) == (1, [], [f"saccade: {OPTIONS[options]}"])


def test_an_unknown_way_names_the_others(say, run_folder):
    said = say(run_folder, "--symmetrize", "grow")
    assert said.status == 2
    assert all(how in said.errors[0] for how in get_args(Method))
