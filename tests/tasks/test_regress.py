"""The model of numeric sequences: what it learns, foresees, measures and refuses."""

import json
from itertools import islice

import numpy as np
import pytest
import torch

from saccade.attention.catalogue import MECHANISMS
from saccade.attention.poolings import POOLINGS
from saccade.data.seriescorpus import SeriesBatch, SeriesFile, SeriesPart, learn_codec
from saccade.errors import DataError, OptionError, RunError
from saccade.models.linear import LinearBaseline
from saccade.runs import Run
from saccade.tasks.load import load
from saccade.tasks.regress.learner import RegressLearner
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.regress.regressor import Stretch
from saccade.tasks.regress.task import new_model

TINY = {"hidden": 8, "heads": 2, "hops": 3, "batch_size": 8, "dropout": 0.2, "encoder": "lstm", "direct": False}
TINY |= {"attention": "context-vector", "query": "last"}
AHEAD = {**TINY, "horizon": 3, "window": 12, "patch": 1, "instance_norm": False, "independent": False}


def same(one, other, within=1e-5) -> None:
    scale = np.abs(one.values).max()
    np.testing.assert_allclose(one.values, other.values, atol=within * scale)
    assert (one.names, one.targets, one.times) == (other.names, other.targets, other.times)
    if one.weights is not None:
        np.testing.assert_allclose(one.weights, other.weights, atol=within)


def stretches(run, file: SeriesFile, most: int) -> list[Stretch]:
    return list(islice(load(run).each(file), most))


def table(path, columns=()) -> SeriesFile:
    return SeriesFile((path,), columns)


def test_it_learns_to_forecast(forecast_run, waves):
    scores = Run(forecast_run).read_config()["scores"]
    assert scores["mse"] < 0.05  # of standardised numbers: more than 95 % of the variance is told
    assert load(forecast_run).evaluate(table(waves)).mse < 0.05


def test_it_learns_what_no_linear_map_can(marked_run, marked):
    scores = load(marked_run).evaluate(SeriesFile(marked, forecast=False))
    assert scores.mse < 0.05 < 0.5 < scores.linear_mse
    assert scores.per_output["y1"]["mae"] < 1 < scores.per_output["y1"]["linear_mae"]


def test_it_looks_at_what_is_marked(marked_run, marked):
    inputs = stretches(marked_run, SeriesFile(marked, forecast=False), 200)
    found = 0
    for given, answer in zip(inputs, load(marked_run).answer(inputs), strict=True):
        assert answer.weights.shape == (1, 1, 8)
        found += answer.weights[0, 0].argmax() == given.values[:, 1].argmax()
    assert found >= 190


@pytest.mark.parametrize(
    "options",
    [
        {**AHEAD},
        {**AHEAD, "attention": "additive", "query": "learned", "independent": True, "instance_norm": True},
        {**AHEAD, "attention": "self", "encoder": "transformer", "patch": 4, "direct": True},
        {**AHEAD, "attention": "structured-self-attention", "encoder": "gru"},
        {**AHEAD, "attention": "none"},
    ],
)
def test_a_loaded_run_answers_as_the_one_that_was_trained_in_any_company(tmp_path, train, waves, options):
    trained = train(tmp_path / "run", RegressOptions(**options), waves)
    inputs = stretches(tmp_path / "run", table(waves), 50)
    for given, one, other in zip(inputs, trained.answer(inputs), load(tmp_path / "run").answer(inputs), strict=True):
        same(one, other, within=0)
        same(one, trained(given))
        assert one.values.shape == (3, 2)
        assert one.past is given.values
        if options.get("attention") == "none":
            assert one.weights is None
        else:
            assert one.weights.shape[2] == 12
            np.testing.assert_allclose(one.weights.sum(-1), 1, atol=1e-5)


def test_of_a_table_the_last_window_comes_first_and_then_those_whose_future_is_known(forecast_run, waves):
    file = table(waves)
    values, times = file.table().values, file.table().times
    inputs = list(load(forecast_run).each(file))
    assert len(inputs) == (300 - 12) // 3 + 1
    for place, given in enumerate(inputs):
        end = 300 - 3 * place
        np.testing.assert_array_equal(given.values, values[end - 12 : end])
        assert given.times == times[end - 12 : end]
        if place:
            np.testing.assert_array_equal(given.truth, values[end : end + 3])
    assert inputs[0].truth is None
    assert str(inputs[0]) == f"12 steps to {times[-1]}"


def test_forecasts_are_in_the_units_of_the_file(forecast_run, waves):
    trained = load(forecast_run)
    for answer in trained.answer(stretches(forecast_run, table(waves), 20)[1:]):
        assert np.abs(answer.values - answer.truth).mean(0) == pytest.approx(0, abs=25)
        assert np.abs(answer.values[:, 1] - answer.truth[:, 1]).max() < 0.5
        rows = answer.text.split("\n")
        assert answer.line(scores=False) == answer.text
        found = np.array([[float(cell) for cell in row.split(",")] for row in rows])
        np.testing.assert_allclose(found, answer.values, rtol=1e-5)


def test_a_record_is_json(forecast_run, marked_run, waves, marked):
    for run, file in ((forecast_run, table(waves)), (marked_run, SeriesFile(marked, forecast=False))):
        trained = load(run)
        for given in stretches(run, file, 3):
            answer = trained(given)
            record = json.loads(json.dumps(trained.record(given, [answer])))
            assert record["names"] == list(trained.codec.names)
            assert np.shape(record["past"]) == given.values.shape
            np.testing.assert_allclose(record["answer"], answer.values, rtol=1e-6)
            np.testing.assert_allclose(np.sum(record["weights"], -1), 1, atol=1e-4)


def test_measures_equal_a_recount_over_every_window(tmp_path, train, waves):
    task_columns = ("wind", "load")
    trained = train(tmp_path / "run", RegressOptions(**AHEAD), waves, columns=task_columns)
    values = table(waves).table().values
    scores, errors, linear = trained.evaluate(table(waves, task_columns)), [], []
    for start in range(300 - 12 - 3 + 1):
        past, future = values[start : start + 12], values[start + 12 : start + 15, [1, 0]]
        standard = torch.from_numpy(trained.codec.inputs.transform(past))[None]
        baseline = trained.codec.outputs.inverse(trained.baseline(standard)[0].numpy())
        errors.append(trained(past).values - future)
        linear.append(baseline - future)
    std = trained.codec.outputs.std
    assert trained.codec.targets == (1, 0)
    for name, found in (("", np.array(errors)), ("linear_", np.array(linear))):
        assert getattr(scores, f"{name}mse") == pytest.approx(((found / std) ** 2).mean(), rel=1e-3)
        assert getattr(scores, f"{name}mae") == pytest.approx(np.abs(found / std).mean(), rel=1e-3)
        for place, variable in enumerate(task_columns):
            expected = np.abs(found[..., place]).mean()
            assert scores.per_output[variable][f"{name}mae"] == pytest.approx(expected, rel=1e-3)
    assert scores.examples == len(errors)


def test_measures_of_sequences_equal_a_recount(tmp_path, train, marked):
    trained = train(tmp_path / "run", RegressOptions(**TINY), *marked)
    x, y = (np.load(path) for path in marked)
    scores = trained.evaluate(SeriesFile(marked, forecast=False))
    error = np.array([trained(one).values[0] for one in x[:600]]) - y
    std = float(trained.codec.outputs.std[0])
    assert scores.mse == pytest.approx(((error / std) ** 2).mean(), rel=1e-3)
    assert scores.per_output["y1"]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-3)
    assert scores.examples == 600


def test_what_is_validated_by_is_what_is_measured(tmp_path, train, waves):
    trained = train(tmp_path / "run", RegressOptions(**AHEAD), waves, valid=(waves,))
    scores, kept = trained.evaluate(table(waves)), Run(tmp_path / "run").read_config()["scores"]
    for name in ("mse", "mae", "linear_mse", "linear_mae"):
        assert kept[name] == pytest.approx(getattr(scores, name), rel=1e-5)
    assert kept["loss"] == kept["mse"] == min(line["loss"] for line in Run(tmp_path / "run").read_metrics())


def test_the_scale_and_the_baseline_are_those_of_the_training_part(tmp_path, train, waves):
    trained = train(tmp_path / "run", RegressOptions(**AHEAD, validation=90), waves)
    values = table(waves).table().values
    np.testing.assert_allclose(trained.codec.inputs.mean, values[:210].mean(0, dtype=np.float64))
    lines = waves.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text(
        "\n".join(lines[:211] + [f"{line},9e3,9e3" for line in (one.split(",")[0] for one in lines[211:])])
    )
    again = train(tmp_path / "other", RegressOptions(**AHEAD, validation=90), other)
    assert again.codec.to_json() == trained.codec.to_json()
    assert torch.equal(again.baseline.weight, trained.baseline.weight)
    said: list[str] = []
    train(tmp_path / "third", RegressOptions(**AHEAD, validation=0.1), waves, said=said)
    assert f"{waves}: the last 30 of 300 rows are kept for validation (--validation)" in said


def test_sequences_are_held_out_by_chance_and_by_the_seed(tmp_path, train, marked):
    configs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tmp_path / name, RegressOptions(**TINY, validation=37, seed=seed), *marked)
        configs.append(Run(tmp_path / name).read_config()["data"])
    assert (configs[0]["training_examples"], configs[0]["validation_examples"]) == (563, 37)
    assert configs[0]["fingerprint"] == configs[1]["fingerprint"] != configs[2]["fingerprint"]
    for validation in (600, 0.0001, 2.5):
        with pytest.raises(OptionError, match=r"^--validation"):
            train(tmp_path / "d", RegressOptions(**TINY, validation=validation), *marked)
        assert not (tmp_path / "d").exists()


def test_inputs_are_lists_of_rows(forecast_run):
    trained = load(forecast_run)
    rows = [[500.0 + i, 3.0] for i in range(12)]
    assert trained.parse(json.dumps(rows)).values.tolist() == rows
    assert trained.doubts(trained.parse(json.dumps(rows))) == []
    rows[3] = [500.0, 1e4]
    assert trained.doubts(trained.parse(json.dumps(rows))) == [
        "more than 10 deviations from the mean of the training: wind"
    ]
    for text in ("", "x", "{}", "[[1, 2], [3]]", "[" * 100_000, f"[[1{'0' * 400}]]", '["\\ud800"]'):
        with pytest.raises(DataError, match=r"^expected "):
            trained.parse(text)
    for cell, line in (
        ("NaN", "expected finite numbers; got nan"),
        ("null", "expected finite numbers; got nan"),
        ("1e39", "expected finite numbers; got inf"),
    ):
        with pytest.raises(DataError, match=line):
            trained.parse(json.dumps(rows).replace("10000.0", cell))
    with pytest.raises(DataError, match=r"^expected numbers of \[time, variable\] = \[12, 2\], .*; got \[11, 2\]$"):
        trained.parse(json.dumps(rows[1:]))


@pytest.mark.parametrize(
    "options",
    [
        {**AHEAD, "stride": 2},
        {**AHEAD, "encoder": "transformer", "patch": 4, "instance_norm": True, "independent": True},
    ],
)
def test_resumed_it_ends_with_the_same_bits(resumed, waves, options):
    resumed(RegressOptions(**options), waves)


def test_resumed_sequences_end_with_the_same_bits(resumed, marked):
    resumed(RegressOptions(**{**TINY, "attention": "multi-hop"}), *marked)


def test_a_run_holds_what_it_should(forecast_run):
    files = {"config.json", "scale.json", "baseline.safetensors", "weights.safetensors", "metrics.jsonl"}
    assert {path.name for path in forecast_run.iterdir()} == files | {"checkpoints", "tensorboard"}
    config = Run(forecast_run).read_config()
    assert config["task"] == "regress"
    assert config["data"]["training_examples"] == 240 - 12 - 3 + 1
    assert config["data"]["validation_examples"] == 60 - 3 + 1
    torch.load(forecast_run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("name", ["scale.json", "baseline.safetensors"])
@pytest.mark.parametrize("text", ["", "{}", "\x00"])
def test_broken_files_are_named(tmp_path, train, waves, name, text):
    train(tmp_path / "run", RegressOptions(**AHEAD), waves)
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(RunError, match=rf"{name}: expected (the scale of a series|a whole safetensors file); got .+"):
        load(tmp_path / "run")


def test_fine_tuning(tmp_path, train, waves, marked, forecast_run, tag_run):
    before = (forecast_run / "weights.safetensors").read_bytes()
    child = train(
        tmp_path / "child", RegressOptions(learning_rate=1e-9, horizon=3, window=12), waves, parent=forecast_run
    )
    assert (forecast_run / "weights.safetensors").read_bytes() == before
    assert child.codec.to_json() == load(forecast_run).codec.to_json()
    inputs = stretches(forecast_run, table(waves), 9)
    for one, other in zip(child.answer(inputs), load(forecast_run).answer(inputs), strict=True):
        same(one, other, within=1e-3)
    other = tmp_path / "other.csv"
    other.write_text(waves.read_text().replace("wind", "rain", 1))
    ahead = {"horizon": 3, "window": 12}
    refused = [
        ((waves,), {**ahead, "horizon": 5}, forecast_run, OptionError, r"--horizon must stay 3, .*; got 5"),
        ((waves,), {**ahead, "hidden": 8}, forecast_run, OptionError, r"--hidden must stay 16, .*; got 8"),
        ((waves,), ahead, tag_run, RunError, r"expected a run of the task regress; got tag"),
        (
            (other,),
            ahead,
            forecast_run,
            DataError,
            r"other\.csv: expected the variables of the training, load, wind; got",
        ),
    ]
    for files, options, parent, kind, line in refused:
        with pytest.raises(kind, match=line):
            train(tmp_path / "refused", RegressOptions(**options), *files, parent=parent)
        assert not (tmp_path / "refused").exists()
    with pytest.raises(OptionError, match=r"^--columns must stay load,wind, as in training; got wind$"):
        train(tmp_path / "refused", RegressOptions(**ahead), waves, parent=forecast_run, columns=("wind",))


def test_a_table_with_doubts_says_so(tmp_path, train, waves):
    path, said = tmp_path / "a.csv", []
    lines = waves.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",flat", *(f"{line},7" for line in lines[1:50] + lines[51:])]))
    train(tmp_path / "run", RegressOptions(**AHEAD), path, said=said)
    assert f"{path}: flat never changes" in said
    assert any(line.startswith(f"{path}: ") and "step" in line for line in said), said


def learner_of(**options) -> tuple[RegressLearner, SeriesBatch]:
    from pathlib import Path

    from saccade.data.series import Table

    file = SeriesFile((Path("t.csv"),))
    rng = np.random.default_rng(1)
    file._found = Table(rng.normal(size=(40, 2)).astype(np.float32), ("a", "b"))
    made = RegressOptions(**{**AHEAD, **options})
    codec = learn_codec(SeriesPart(file, range(40)), forecast=True, window=12)
    baseline = LinearBaseline(torch.zeros(11, 3).double(), torch.zeros(3).double(), (0, 1))
    batch = SeriesBatch(torch.randn(4, 12, 2), torch.randn(4, 3, 2))
    return RegressLearner(new_model(made, codec), baseline), batch


NAMES = [*POOLINGS, "self", "none", *(name for name in MECHANISMS if name != "reinforce")]


@pytest.mark.parametrize("name", [*NAMES, "additive+sparsemax+local-p"])
def test_every_attention_trains(name):
    torch.manual_seed(1)
    learner, batch = learner_of(attention=name, encoder="gru", dropout=0.0)
    optimizer = torch.optim.SGD(learner.parameters(), 0.05)
    losses = []
    for _ in range(8):
        step = learner.objective(batch)
        optimizer.zero_grad()
        step.loss.backward()
        optimizer.step()
        losses.append(step.loss.item())
    assert losses[-1] < losses[0]


def test_the_loss_is_the_mean_of_the_squares():
    learner, batch = learner_of(dropout=0.0)
    step, values = learner.objective(batch), learner.model(batch.past).values
    expected = ((values - batch.answer) ** 2).double()
    torch.testing.assert_close(step.loss.double(), expected.mean(), rtol=1e-6, atol=0)
    torch.testing.assert_close(step.total.double(), expected.sum(), rtol=1e-6, atol=0)
    assert step.counted.item() == 4 * 3 * 2
    figures = learner.figures([learner.check(batch), learner.check(SeriesBatch(*(part[:1] for part in batch)))])
    twice = torch.cat([expected, expected[:1]])
    assert figures["loss"] == figures["mse"] == pytest.approx(twice.mean().item(), rel=1e-6)
    still = torch.cat([batch.past, batch.past[:1]])[:, -1:, :]
    error = (torch.cat([batch.answer, batch.answer[:1]]) - still).double()
    assert figures["linear_mae"] == pytest.approx(error.abs().mean().item(), rel=1e-6)


def test_what_is_counted_stands_where_the_model_is():
    learner, batch = learner_of(encoder="none", attention="none")
    step = learner.to("meta").objective(SeriesBatch(*(part.to("meta") for part in batch)))
    assert step.counted.device == step.total.device == torch.device("meta")


def test_a_window_of_one_step(tmp_path, train, waves):
    trained = train(tmp_path / "run", RegressOptions(**{**AHEAD, "window": 1}), waves)
    assert trained.baseline.weight.shape == (0, 3)
    assert trained([[500.0, 3.0]]).values.shape == (3, 2)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"attention": "nonsense"}, r"^--attention must be of self, .*, or a mechanism \(.*'nonsense'\)$"),
        ({"attention": "reinforce"}, r"^--attention must learn without a reward; got 'reinforce'$"),
        ({"attention": "additive+reinforce"}, r"^--attention must learn without a reward; got 'additive\+reinforce'$"),
        ({"hidden": 7}, r"^--hidden must be even, .*; got 7$"),
        ({"encoder": "transformer", "hidden": 8, "heads": 5}, r"^--hidden must be a multiple of --heads; got 8 and 5$"),
        ({"patch": 0}, r"^--patch must be at least 1; got 0$"),
        ({"horizon": -1}, r"^--horizon must be at least 0; got -1$"),
        ({"validation": float("nan")}, r"^--validation must be at least 0; got nan$"),
    ],
)
def test_options_that_cannot_be(options, line):
    with pytest.raises(OptionError, match=line):
        RegressOptions(**options)
