"""Comparing attentions: one split for all, honest figures, no winner inside the spread, and going on."""

import json
import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from saccade.data.labelled import LabelledFile
from saccade.data.pairs import PairFile
from saccade.data.seriescorpus import SeriesFile
from saccade.data.tagged import TaggedFile
from saccade.errors import OptionError, RunError, SaccadeError
from saccade.runs import Run
from saccade.tasks.base import Start
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.load import task_of
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.regress.regressor import Regressor
from saccade.tasks.regress.task import Regress, new_model
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.translate.options import TranslateOptions
from saccade.training import compare as comparing
from saccade.training import trial as trials
from saccade.training.compare import compare, read_plan, with_attentions
from saccade.training.comparison import Comparison, Row, Spread, row, spread, touch
from saccade.training.entropy import entropy_of, normalised_entropy
from saccade.training.parting import hold_out
from saccade.training.trial import TRIAL, Cost, Trial, held_out_inputs, read_trial, run_trial, train_and_measure

SMALL = TranslateOptions(level="char", embedding=4, hidden=4, epochs=1, batch_size=16)


def silent(line: str) -> None:
    pass


# Entropy


def naive_entropy(weights: list[float]) -> float | None:
    total = sum(weights)
    if total <= 0 or len(weights) < 2:
        return None
    entropy = 0.0
    for weight in weights:
        if weight > 0:
            entropy -= weight / total * math.log(weight / total)
    return entropy / math.log(len(weights))


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 11), (2, 3, 5, 2), (7, 1), (13,)])
def test_entropy_equals_plain_loops(shape):
    weights = torch.rand(shape).double() * 3
    weights[torch.rand(shape) < 0.3] = 0.0
    weights.view(-1, shape[-1])[0] = 0.0
    rows = [naive_entropy(each) for each in weights.view(-1, shape[-1]).tolist()]
    expected = [value for value in rows if value is not None]
    np.testing.assert_allclose(normalised_entropy(weights), expected, atol=1e-12)


def test_entropy_of_answers_is_the_mean_of_all_their_rows():
    words, sentences = (np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.2, 0.3, 0.5]])), np.array([[0.9, 0.1]])
    document = SimpleNamespace(weights=words, sentences=sentences)
    flat, blind = SimpleNamespace(weights=np.array([[1.0, 1.0, 1.0]])), SimpleNamespace(weights=None)
    rows = [[0.5, 0.5], [1, 0], [0.2, 0.3, 0.5], [0.9, 0.1], [1, 1, 1]]
    expected = sum(naive_entropy(one) for one in rows) / len(rows)
    assert entropy_of([document, blind, flat]) == pytest.approx(expected)
    assert entropy_of([blind]) is None
    assert entropy_of([]) is None


# What may be said


def compared(task: str, name: str, **found: list[float]) -> Comparison:
    rows = tuple(
        row(attention, {f"{attention}-{i}": measured({name: value}) for i, value in enumerate(values)})
        for attention, values in found.items()
    )
    return Comparison(Path("none"), task, (), rows, {}).ranked()


def measured(figures: dict[str, float], **others) -> dict:
    return {"figures": figures, "seconds": 1.0, "memory": None, "entropy": None, "parameters": 3, **others}


def test_a_winner_is_better_by_more_than_the_spread():
    found = compared("classify", "accuracy", b=[0.70, 0.72], a=[0.90, 0.92])
    assert [one.attention for one in found.rows] == ["a", "b"]
    assert found.sentence() == "a is best in accuracy, by more than the spread of the seeds"


def test_nobody_wins_inside_the_spread():
    ties = {
        "the same": ([0.9, 0.9], [0.9, 0.9]),
        "overlapping": ([0.90, 0.94], [0.89, 0.93]),
        "one wide": ([0.99, 0.99], [0.40, 1.00]),
    }
    for name, (a, b) in ties.items():
        sentence = compared("classify", "accuracy", a=a, b=b).sentence()
        assert sentence.endswith("within the spread of the seeds: no attention is the best"), name


def test_one_of_several_may_be_within_the_spread_of_the_best_even_if_it_is_not_the_second():
    found = compared("classify", "accuracy", a=[0.96, 0.97], b=[0.80, 0.82], c=[0.40, 0.99], d=[0.1, 0.1])
    assert [one.attention for one in found.rows] == ["a", "b", "c", "d"]
    assert found.sentence() == "a has the best accuracy, but c is within the spread of the seeds"


def test_one_seed_names_no_winner():
    assert "one seed tells nothing" in compared("classify", "accuracy", a=[0.9], b=[0.1]).sentence()
    # also where the others of an attention failed
    assert "one seed tells nothing" in compared("classify", "accuracy", a=[0.9, 0.9], b=[0.1]).sentence()


def test_a_model_without_attention_that_wins_is_not_called_nobody():
    assert (
        compared("classify", "accuracy", dot=[0.1, 0.11], none=[0.9, 0.91]).sentence().startswith("the model without")
    )


def test_errors_are_better_the_lower_they_are():
    found = compared("regress", "mse", a=[0.5, 0.51], b=[0.1, 0.11])
    assert [one.attention for one in found.rows] == ["b", "a"]
    assert found.sentence().startswith("b is best in mse")


def test_the_sentence_depends_on_neither_the_order_nor_the_scale():
    chance = np.random.default_rng(5)
    for _ in range(50):
        values = {name: chance.normal(chance.normal(0, 1), 0.5, 3).tolist() for name in "abc"}
        said = compared("classify", "accuracy", **values).sentence()
        turned = compared("classify", "accuracy", **dict(reversed(values.items()))).sentence()
        scaled = {name: [3 + 7 * value for value in each] for name, each in values.items()}
        assert said == turned == compared("classify", "accuracy", **scaled).sentence()


def test_touching_is_symmetric_and_of_the_edge():
    assert touch(Spread(0.3, 0.1), Spread(0.1, 0.1))
    assert touch(Spread(0.1, 0.1), Spread(0.3, 0.1))
    assert not touch(Spread(0.1, 0.1), Spread(0.31, 0.1))
    assert touch(Spread(0.1, None), Spread(9.0, 0.1))


def test_rows_summarise_their_trainings():
    first = measured({"accuracy": 0.5, "loss": 1.0}, seconds=2.0, memory=100.0, entropy=0.2)
    second = measured({"accuracy": 0.8}, seconds=4.0, memory=300.0, entropy=0.4)
    found = row("a", {"a-0": first, "a-1": second})
    assert found.figures["accuracy"] == pytest.approx((0.65, math.sqrt(0.045)))
    assert set(found.figures) == {"accuracy"}  # what one training lacks has no mean
    assert (found.seconds, found.memory, found.entropy, found.parameters) == (3.0, 300.0, pytest.approx(0.3), 3)
    assert row("b", {}) == Row("b", {}, None, None, None, None, ())
    assert spread([2.0]) == (2.0, None)


def test_the_table_has_a_line_for_each_attention_and_gaps_for_what_is_missing():
    found = compared("classify", "accuracy", a=[0.5, 0.7], b=[])
    lines = found.markdown().splitlines()
    assert lines[0] == "| attention | accuracy | seconds | MiB | entropy | parameters |"
    assert lines[2:4] == ["| a | 0.6 ± 0.14 | 1.0 | – | – | 3 |", "| b | – | – | – | – | – |"]
    assert "a alone is finished" in lines[5]


# What is held out


@pytest.fixture
def files(tmp_path):
    """For each task its options, a file, and how an input reads."""
    (tmp_path / "texts.tsv").write_text(
        "".join(f"{'ab'[i % 2]}\ttext {i}\tof\n".replace("\tof", "") for i in range(97))
    )
    (tmp_path / "pairs.csv").write_text("de,en\n" + "".join(f'"eins, {i}",one {i}\n' for i in range(89)))
    (tmp_path / "tags.txt").write_text("".join(f"word{i} A\nnext B\n\n" for i in range(83)))
    x = np.random.default_rng(0).normal(size=(79, 5, 3)).astype(np.float32)
    np.savez(tmp_path / "sequences.npz", x=x, y=x[:, 0, :2])
    return {
        "classify": (ClassifyOptions(), LabelledFile((tmp_path / "texts.tsv",))),
        "translate": (TranslateOptions(level="word"), PairFile((tmp_path / "pairs.csv",), ("de", "en"))),
        "tag": (TagOptions(), TaggedFile((tmp_path / "tags.txt",))),
        "regress": (RegressOptions(), SeriesFile((tmp_path / "sequences.npz",), forecast=False)),
    }


@pytest.mark.parametrize("name", ["classify", "translate", "tag", "regress"])
def test_what_is_held_out_is_what_a_training_of_that_seed_would_hold_out(tmp_path, files, name):
    options, file = files[name]
    task = task_of(options)
    said: list[str] = []
    start = hold_out(tmp_path / "parts", task, options, Start(file, None), said.append)
    assert "holding out" in said[0]
    prints = []
    for seed, begin in ((0, Start(file, None)), (0, start), (1, start)):
        options = replace(options, seed=seed)
        parts, folder = task.parts(begin, options, silent), tmp_path / f"{len(prints)}"
        folder.mkdir()
        codec = task.learn(begin, parts[0], options)
        corpora = (task.corpus(folder, f"{i}", part, codec, options) for i, part in enumerate(parts))
        prints.append([corpus.fingerprint for corpus in corpora])
    assert prints[0] == prints[1] == prints[2]
    # Without it another seed holds out others.
    others = task.parts(Start(file, None), options, silent)
    assert task.corpus(tmp_path, "others", others[1], codec, options).fingerprint != prints[0][1]


def test_parts_are_written_once_and_must_stay(tmp_path, files):
    options, file = files["translate"]
    folder, task = tmp_path / "parts", task_of(options)
    hold_out(folder, task, options, Start(file, None), silent)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert {path.name for path in before} == {"training.jsonl", "validation.jsonl"}
    hold_out(folder, task, options, Start(file, None), silent)
    file.paths[0].write_text("de,en\n" + "".join(f"zwei {i},two {i}\n" for i in range(89)))
    with pytest.raises(RunError, match="expected the examples it began with; they have changed"):
        hold_out(folder, task, options, Start(file, None), silent)
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_what_has_a_label_of_its_own_is_trained_on(tmp_path):
    path = tmp_path / "texts.tsv"
    path.write_text(
        "".join(f"{'ab'[i % 2]}\ttext {i}\n" for i in range(50)) + "".join(f"l{i}\tx {i}\n" for i in range(30))
    )
    start = hold_out(
        tmp_path / "parts", task_of(ClassifyOptions()), ClassifyOptions(), Start(LabelledFile((path,)), None), silent
    )
    known = {label for example in start.train for label in example.labels}
    assert len(known) == 32
    assert 0 < len(list(start.valid)) < 8
    assert sorted(e.sentences for part in (start.train, start.valid) for e in part) == sorted(
        e.sentences for e in LabelledFile((path,))
    )


def test_files_that_were_given_and_tables_are_left_as_they_are(tmp_path, files):
    options, file = files["translate"]
    given = Start(file, file)
    assert hold_out(tmp_path / "parts", task_of(options), options, given, silent) is given
    forecast, table = RegressOptions(horizon=3, window=5), Start(SeriesFile((tmp_path / "no.csv",)), None)
    assert hold_out(tmp_path / "parts", task_of(forecast), forecast, table, silent) is table
    assert not (tmp_path / "parts").exists()


def test_links_that_go_with_the_lines_of_a_file_are_not_parted(tmp_path, files):
    _, file = files["translate"]
    options = TranslateOptions(guided=1.0, alignments="links")
    with pytest.raises(OptionError, match="--alignments needs --valid where trainings are compared; got links"):
        hold_out(tmp_path / "parts", task_of(options), options, Start(file, None), silent)
    given = Start(file, file)
    assert hold_out(tmp_path / "parts", task_of(options), options, given, silent) is given


@pytest.mark.parametrize("name", ["classify", "translate", "tag", "regress"])
def test_inputs_come_from_files_in_the_form_of_the_training_files(tmp_path, files, name):
    options, file = files[name]
    run, paths = Run(tmp_path / "run"), [str(path) for path in file.paths]
    run.create()
    data = {"train": paths, "columns": list(file.columns or ())}
    run.write_config({"task": name, "options": vars(options), "data": data})
    trained = SimpleNamespace(each=lambda found: list(found.sequences().inputs))
    inputs = held_out_inputs(run.folder, paths, trained)
    first = {"classify": ("text 0",), "translate": "eins, 0", "tag": ("word0", "next")}
    if name == "regress":
        assert np.array_equal(inputs, file.sequences().inputs)
    else:
        assert inputs[0] == first[name]
        assert len(inputs) == len(list(file))


def test_a_sample_is_drawn_from_all(tmp_path):
    path = tmp_path / "texts.tsv"
    path.write_text("".join(f"{'ab'[i > 500]}\ttext {i}\n" for i in range(1009)))  # sorted by label
    run = Run(tmp_path / "run")
    run.create()
    data = {"train": [], "columns": ["text", "label"]}
    run.write_config({"task": "classify", "options": vars(ClassifyOptions()), "data": data})
    numbers = [int(given[0].split()[1]) for given in held_out_inputs(run.folder, [str(path)], None)]
    assert len(numbers) == len(set(numbers)) == 200
    assert 60 < sum(number > 500 for number in numbers) < 140
    assert numbers == [int(given[0].split()[1]) for given in held_out_inputs(run.folder, [str(path)], None)]


def test_of_a_table_only_what_forecasts_its_end_is_looked_at(tmp_path):
    rows, horizon, window, kept = 101, 3, 7, 23
    np.save(tmp_path / "table.npy", np.arange(rows * 2, dtype=np.float32).reshape(rows, 2))
    options = RegressOptions(horizon=horizon, window=window, validation=kept, hidden=4)
    task, file = Regress(), SeriesFile((tmp_path / "table.npy",))
    start = Start(file, None)
    codec = task.learn(start, task.parts(start, options, silent)[0], options)
    trained = Regressor(new_model(options, codec.codec), codec.codec, codec.baseline, options)
    run = Run(tmp_path / "run")
    run.create()
    data = {"train": [str(tmp_path / "table.npy")], "columns": []}
    run.write_config({"task": "regress", "options": vars(options), "data": data})
    ends = [int(given.values[-1, 0]) // 2 + 1 for given in held_out_inputs(run.folder, (), trained)]
    # The first row that is forecast after `end` rows is row `end`; the last possible forecast is yet to come.
    assert sorted(ends) == [end for end in range(rows % horizon, rows + 1, horizon) if end >= rows - kept]


# Comparing


@pytest.fixture
def fake(monkeypatch):
    """Trainings that take no time: each is as good as `quality` says; what was trained stands in `trained`."""
    state = SimpleNamespace(
        trained=[], quality=lambda name, seed: {"additive": 90.0, "dot": 80.0}[name] + seed, stop=None
    )

    def run(trial: Trial) -> str | None:
        name, seed = trial.options["attention"], trial.options["seed"]
        if state.stop == (name, seed):
            raise KeyboardInterrupt
        state.trained.append(trial)
        quality = state.quality(name, seed)
        Path(trial.folder).mkdir(parents=True, exist_ok=True)
        Run(trial.folder).write_config({"task": trial.task, "finished": not isinstance(quality, str)})
        if isinstance(quality, str):
            return quality
        found = {**measured({"chrf": quality}), "measured_on": trial.measured_on}
        (Path(trial.folder) / TRIAL).write_text(json.dumps(found))
        return None

    monkeypatch.setattr(comparing, "run_trial", run)
    return state


def begin(folder: Path, digits: Path, attentions=("dot", "additive"), seeds=2, options=SMALL, **others) -> Comparison:
    resume, said = others.pop("resume", False), others.pop("said", [])
    start = Start(PairFile((digits,)), None, resume=resume)
    return compare(folder, options, start, attentions, seeds, device="cpu", say=said.append, **others)


def test_every_training_has_the_same_examples_and_a_seed_of_its_own(tmp_path, digits, fake):
    found = begin(tmp_path / "c", digits, options=replace(SMALL, seed=7))
    assert [(t.options["attention"], t.options["seed"]) for t in fake.trained] == [
        ("dot", 7),
        ("additive", 7),
        ("dot", 8),
        ("additive", 8),
    ]
    assert len({(t.train, t.valid, t.test, t.columns) for t in fake.trained}) == 1
    others = [{**t.options, "attention": "", "seed": 0} for t in fake.trained]
    assert all(one == others[0] for one in others)
    held = [
        set(path.read_text().splitlines()) for path in (Path(fake.trained[0].train[0]), Path(fake.trained[0].valid[0]))
    ]
    assert len(held[0]) + len(held[1]) == 400
    assert not held[0] & held[1]
    assert [one.attention for one in found.rows] == ["additive", "dot"]
    assert [Path(path).name for path in found.rows[0].runs] == ["additive-7", "additive-8"]
    assert found.sentence() == "additive is best in chrf, by more than the spread of the seeds"


def test_the_table_is_written_with_all_that_made_it(tmp_path, digits, fake):
    begin(tmp_path / "c", digits)
    found = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert found["rows"][0]["attention"] == "additive"
    assert found["rows"][0]["figures"]["chrf"] == {"mean": 90.5, "deviation": pytest.approx(math.sqrt(0.5))}
    assert found["plan"]["attentions"] == ["dot", "additive"]
    assert found["versions"]["torch"] == torch.__version__
    assert found["machine"]["threads"] == torch.get_num_threads()
    assert found["machine"]["cpu"]
    assert (tmp_path / "c" / "comparison.md").read_text().splitlines()[2].startswith("| additive | 90.5 ± 0.71 |")


def test_what_is_finished_is_not_trained_again(tmp_path, digits, fake):
    fake.stop = ("dot", 1)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "c", digits)
    assert len(fake.trained) == 2
    assert "| additive | 90 |" in (tmp_path / "c" / "comparison.md").read_text()  # what there is
    fake.stop, fake.trained = None, []
    said: list[str] = []
    found = begin(tmp_path / "c", digits, resume=True, said=said)
    assert [(t.options["attention"], t.options["seed"]) for t in fake.trained] == [("dot", 1), ("additive", 1)]
    assert "[1/4] dot, seed 0: finished before" in said
    assert all(len(one.runs) == 2 for one in found.rows)
    fake.trained = []
    assert begin(tmp_path / "c", digits, resume=True).rows == found.rows
    assert not fake.trained


def test_attentions_and_seeds_may_be_added_and_nothing_else_changed(tmp_path, digits, fake):
    begin(tmp_path / "c", digits, ["dot"], 1)
    fake.trained = []
    begin(tmp_path / "c", digits, ["dot", "additive"], 2, resume=True)
    assert len(fake.trained) == 3
    assert read_plan(tmp_path / "c")["seeds"] == 2
    fake.trained = []
    with pytest.raises(OptionError, match=r"--batch-size must stay 16, with which .* began; got 8"):
        begin(tmp_path / "c", digits, options=replace(SMALL, batch_size=8), resume=True)
    other = tmp_path / "other.tsv"
    other.write_text(digits.read_text())
    with pytest.raises(RunError, match="with which it began"):
        begin(tmp_path / "c", other, resume=True)
    # Another test is another measuring: nothing that was measured before counts.
    begin(tmp_path / "c", digits, resume=True, test=[digits])
    assert len(fake.trained) == 4


def test_one_that_dies_does_not_take_the_others_along(tmp_path, digits, fake):
    fake.quality = lambda name, seed: "killed by signal 9" if name == "dot" and seed else 50.0 + seed
    said: list[str] = []
    found = begin(tmp_path / "c", digits, seeds=3, said=said)
    dot = next(one for one in found.rows if one.attention == "dot")
    assert len(dot.runs) == 1
    assert [line.split(": ")[1] for line in dot.failed] == ["killed by signal 9"] * 2
    assert f"- failed: {tmp_path / 'c' / 'dot-1'}: killed by signal 9" in (tmp_path / "c" / "comparison.md").read_text()
    fake.quality = lambda name, seed: "out of memory"
    with pytest.raises(SaccadeError, match=r"every training failed; the first: .*dot-0: out of memory"):
        begin(tmp_path / "d", digits)


@pytest.mark.parametrize(("decoder", "ctc"), [("transformer", 0.0), ("none", 1.0)])
def test_decoders_that_take_no_attention_are_not_compared(decoder, ctc):
    options = TranscribeOptions(decoder=decoder, ctc=ctc)
    with pytest.raises(OptionError, match=f"needs --decoder lstm or gru, which take any; got {decoder}"):
        with_attentions(options, ["additive", "dot"], seeds=1)


MISTAKES = {
    "--attention must be .*'bahdanau'": {"attentions": ["additive", "bahdanau"]},
    "--attention must name each attention once; got dot twice": {"attentions": ["dot", "additive", "dot"]},
    "--attention must name the attentions to compare": {"attentions": []},
    "--seeds must be at least 1; got 0": {"seeds": 0},
    "--seed must be below 2147483648": {"options": replace(SMALL, seed=2**31 - 1)},
    "no.tsv: ": {"test": [Path("no.tsv")]},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found_before_anything_is_trained(tmp_path, digits, fake, mistake):
    with pytest.raises((SaccadeError, OSError), match=mistake):
        begin(tmp_path / "c", digits, **MISTAKES[mistake])
    assert not fake.trained
    assert not (tmp_path / "c").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, digits, fake):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="expected a new or empty folder; it holds parts"):
        begin(tmp_path, digits)
    assert (tmp_path / "parts" / "mine.txt").read_text() == "mine"
    begin(tmp_path / "c", digits)
    before = (tmp_path / "c" / "comparison.json").read_bytes()
    with pytest.raises(RunError, match=r"it holds a comparison already \(go on with --resume, or choose another\)"):
        begin(tmp_path / "c", digits)
    assert (tmp_path / "c" / "comparison.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="expected a folder that can be written"):
        begin(tmp_path / "file", digits)


def test_a_broken_file_leaves_nothing_behind_not_even_in_a_folder_that_was_there(tmp_path, digits, fake):
    broken = tmp_path / "broken.tsv"
    broken.write_text("a\tb\nno tab\n")
    (tmp_path / "there").mkdir()
    for name in ("there", "new"):
        with pytest.raises(SaccadeError, match=r"broken\.tsv:2: expected source TAB target"):
            begin(tmp_path / name, broken)
    assert not list((tmp_path / "there").iterdir())
    assert not (tmp_path / "new").exists()


# One training


def tried(folder: Path, digits: Path, **options) -> Trial:
    given = vars(replace(SMALL, **options))
    return Trial(str(folder), "translate", given, (str(digits),), (str(digits),), (), ("source", "target"), "cpu")


def test_a_training_is_measured_as_evaluate_would(tmp_path, digits):
    trial = tried(tmp_path / "run", digits)
    assert trial.measured() is None
    train_and_measure(trial)
    found = trial.measured()
    task = trial.kind
    trained = task.load(tmp_path / "run")
    scores = trained.evaluate(trial.files(trial.valid))
    assert found["figures"]["chrf"] == pytest.approx(scores.chrf)
    assert found["figures"]["loss"] == pytest.approx(scores.loss)
    assert found["parameters"] == sum(p.numel() for p in trained.model.parameters())
    assert 0 < found["entropy"] < 1
    assert found["seconds"] > 0
    assert found["memory"] is None or found["memory"] > 50
    assert replace(trial, test=(str(digits),)).measured() is not None  # the same files
    assert replace(trial, test=("other.tsv",)).measured() is None


def test_a_resumed_training_counts_what_the_killed_one_had_done(tmp_path):
    killed = Cost(tmp_path)
    killed.on_train_start(None, None)
    killed.before, killed.memory = 100.0, 1e9
    saved = killed.state_dict()
    resumed = Cost(tmp_path)
    resumed.load_state_dict(saved)
    resumed.on_train_start(None, None)
    resumed.on_train_end(None, None)
    assert 100 <= read_trial(tmp_path)["seconds"] < 101
    assert read_trial(tmp_path)["memory"] == 1e9


PROGRAMS = {
    "pass": None,
    "print('noise'); print('{\"crash\": \"MemoryError: no\"}'); sys.exit(1)": "MemoryError: no",
    "os.kill(os.getpid(), 9)": "killed by signal 9",
    "os._exit(3)": "ended with status 3",
}


def program(monkeypatch, code: str) -> None:
    from subprocess import PIPE, Popen

    lines = ["import os, sys", "told = sys.stdin.buffer.raw", "told.readline()", code]
    run = [sys.executable, "-c", "\n".join(lines)]
    monkeypatch.setattr(trials, "_started", lambda: Popen(run, stdin=PIPE, stdout=PIPE, text=True))


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize("code", PROGRAMS)
def test_however_a_training_dies_there_is_a_line(tmp_path, digits, monkeypatch, code):
    program(monkeypatch, code)
    assert run_trial(tried(tmp_path / "run", digits)) == PROGRAMS[code]


def test_a_mistake_before_or_after_the_training_ends_the_comparison_and_one_in_it_does_not(
    tmp_path, digits, monkeypatch
):
    program(monkeypatch, 'print(\'{"mistake": "x:2: no TAB"}\'); sys.exit(1)')
    trial, run = tried(tmp_path / "run", digits), Run(tmp_path / "run")
    with pytest.raises(SaccadeError, match="x:2: no TAB"):
        run_trial(trial)
    run.create()
    run.write_config({"task": "translate"})
    assert run_trial(trial) == "x:2: no TAB"
    run.write_config({"task": "translate", "finished": True})
    with pytest.raises(SaccadeError, match="x:2: no TAB"):
        run_trial(trial)


def test_a_training_that_is_told_to_stop_by_the_end_of_its_input_stops(tmp_path, digits, monkeypatch):
    """As when the process that began it was killed."""
    read, write = os.pipe()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: read))

    def endless(trial):
        os.close(write)
        for _ in range(3000):
            time.sleep(0.01)
        raise AssertionError("nobody stopped it")

    monkeypatch.setattr(trials, "train_and_measure", endless)
    os.write(write, json.dumps(vars(tried(tmp_path, digits))).encode() + b"\n")
    assert trials.main() == trials.STOPPED
