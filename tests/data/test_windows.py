"""Windows equal slices in a loop, scales know the training part alone, and nothing of the future comes before it."""

import json
import re

import numpy as np
import pytest

from saccade.data.windows import Parts, Scaler, Windows, constant, parts
from saccade.errors import OptionError, RunError

ROWS, VARIABLES = 101, 3
VALUES = np.random.default_rng(0).normal(5.0, 2.0, (ROWS, VARIABLES)).astype(np.float32)


@pytest.mark.parametrize("part", [range(ROWS), range(67), range(67, 89), range(5, 40)])
@pytest.mark.parametrize(("window", "horizon", "stride"), [(7, 5, 1), (13, 2, 3), (1, 1, 11), (29, 11, 200)])
@pytest.mark.parametrize("targets", [None, (2,), (2, 0)])
def test_windows_are_slices(part, window, horizon, stride, targets):
    expected, first = [], max(part.start - window, 0)
    for start in range(first, ROWS):
        middle, end = start + window, start + window + horizon
        if end <= part.stop and middle >= part.start and (start - first) % stride == 0:
            expected.append((VALUES[start:middle], VALUES[middle:end][:, list(targets or range(VARIABLES))]))
    windows = Windows(VALUES, part, window=window, horizon=horizon, stride=stride, targets=targets)
    assert len(windows) == len(expected) > 0
    order = np.random.default_rng(1).permutation(len(windows))
    past, future = windows.batch(order)
    assert past.dtype == future.dtype == np.float32
    for row, place in enumerate(order):
        np.testing.assert_array_equal(past[row], expected[place][0])
        np.testing.assert_array_equal(future[row], expected[place][1])
    with pytest.raises(IndexError):
        windows.batch([len(windows)])


def test_validation_predicts_no_row_of_the_training_and_reads_back_into_it():
    training, validation, test = parts(ROWS, validation=23, test=0.1)
    numbered = np.arange(ROWS, dtype=np.float32)[:, None]
    seen = [Windows(numbered, part, window=11, horizon=5) for part in (training, validation, test)]
    predicted = [set(windows.batch(range(len(windows)))[1].astype(int).ravel()) for windows in seen]
    read = [set(windows.batch(range(len(windows)))[0].astype(int).ravel()) for windows in seen]
    assert predicted == [set(training[11:]), set(validation), set(test)]
    assert read[0] == set(training[:-5])
    assert min(read[1]) == validation.start - 11
    assert [len(windows) for windows in seen] == [len(training) - 15, len(validation) - 4, len(test) - 4]


def test_changing_the_future_changes_nothing_before_it():
    """The scale, the windows of the training and those of the validation are blind to what comes after them."""

    def until(end):
        values = VALUES.copy()
        values[end:] = 1e6
        split = parts(ROWS, validation=23, test=17)
        scaler = Scaler.fit(values[split.training.start : split.training.stop])
        scaled = scaler.transform(values)
        seen = [Windows(scaled, part, window=11, horizon=5) for part in split[:2]]
        return split, [scaler.mean, scaler.std], [windows.batch(range(len(windows))) for windows in seen]

    split, scale, batches = until(ROWS)
    for end, untouched in ((split.test.start, 2), (split.validation.start, 1)):
        _, other_scale, other = until(end)
        for mine, theirs in zip(scale, other_scale, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for mine, theirs in zip(batches[:untouched], other[:untouched], strict=True):
            np.testing.assert_array_equal(mine[0], theirs[0])
            np.testing.assert_array_equal(mine[1], theirs[1])


def test_parts_follow_one_another():
    assert parts(100, validation=0.2, test=0.1) == Parts(range(70), range(70, 90), range(90, 100))
    assert parts(10, validation=1) == Parts(range(9), range(9, 10), range(10, 10))
    assert parts(14400, validation=2880, test=2880) == Parts(range(8640), range(8640, 11520), range(11520, 14400))
    for sizes, message in {
        (0.5, 0.5): "--validation + --test must leave rows for training; got 5 + 5 of 10 rows",
        (11, 0): "--validation + --test must leave rows for training; got 11 + 0 of 10 rows",
        (-1, 0): "--validation must be a number of rows, or a share from 0 to 1; got -1",
        (1, 2.5): "--test must be a number of rows, or a share from 0 to 1; got 2.5",
    }.items():
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            parts(10, validation=sizes[0], test=sizes[1])


@pytest.mark.parametrize("shape", [(ROWS, VARIABLES), (11, 7, VARIABLES)])
def test_a_scale_is_mean_and_deviation_and_can_be_undone(shape):
    x = np.random.default_rng(2).normal(5.0, 2.0, shape).astype(np.float32)
    scaler = Scaler.fit(x)
    rows = x.reshape(-1, VARIABLES).astype(np.float64)
    np.testing.assert_allclose(scaler.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scaler.std, rows.std(0), rtol=1e-12)
    z = scaler.transform(x)
    assert z.dtype == scaler.inverse(z).dtype == np.float32
    np.testing.assert_allclose(z, (x - rows.mean(0)) / rows.std(0), atol=1e-5)
    np.testing.assert_allclose(scaler.inverse(z), x, atol=1e-5)
    np.testing.assert_array_equal(scaler.of((2, 0)).inverse(z[..., [2, 0]]), scaler.inverse(z)[..., [2, 0]])


def test_a_variable_that_never_changes_is_divided_by_one():
    x = VALUES.copy()
    x[:, 1] = 0.1  # whose mean in floating point is not quite 0.1
    assert constant(x) == (1,)
    assert constant(VALUES) == ()
    scaler = Scaler.fit(x)
    assert scaler.std[1] == 1.0
    np.testing.assert_allclose(scaler.transform(x)[:, 1], 0.0, atol=1e-7)
    np.testing.assert_allclose(scaler.std[[0, 2]], Scaler.fit(VALUES).std[[0, 2]])


def test_a_scale_is_kept_exactly(tmp_path):
    scaler, path = Scaler.fit(VALUES), tmp_path / "scale.json"
    path.write_text(scaler.to_json())
    again = Scaler.load(path)
    np.testing.assert_array_equal(again.mean, scaler.mean)
    np.testing.assert_array_equal(again.std, scaler.std)
    with pytest.raises(RunError, match="no: expected a readable file; got No such file or directory"):
        Scaler.load(tmp_path / "no")
    good = {"mean": [1.0, 2.0], "std": [1.0, 2.0]}
    for wrong in ({"std": [1.0]}, {"std": [1.0, 0.0]}, {"mean": [1.0, float("nan")]}, {"mean": 1.0, "std": 1.0}):
        path.write_text(json.dumps(good | wrong))
        with pytest.raises(RunError, match=r"expected a finite mean and a std above 0 of each variable; got something"):
            Scaler.load(path)
    for text in ("", "[]", "{}", '{"mean": ["a"], "std": [1]}'):
        path.write_text(text)
        with pytest.raises(RunError, match="expected a scale, the JSON of mean and std; got something else"):
            Scaler.load(path)


MISTAKES = {
    "--window + --horizon must fit the series: got 336 + 96 steps for 101 rows": {"window": 336, "horizon": 96},
    "--window + --horizon must fit the series: got 100 + 2 steps for 101 rows": {"window": 100, "horizon": 2},
    "--horizon must fit each part of the series: got 7 steps for the 6 rows from 95 on": {
        "window": 2,
        "horizon": 7,
        "part": range(95, 101),
    },
    "--window must be at least 1; got 0": {"window": 0, "horizon": 7},
    "--horizon must be at least 1; got 0": {"window": 7, "horizon": 0},
    "--stride must be at least 1; got 0": {"window": 7, "horizon": 5, "stride": 0},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_windows_that_do_not_fit(message):
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        Windows(VALUES, **{"part": range(ROWS)} | MISTAKES[message])


def test_the_last_window_fits_and_a_part_of_other_rows_does_not():
    assert len(Windows(VALUES, range(ROWS), window=99, horizon=2)) == 1
    with pytest.raises(ValueError, match=r"^part must be a range of the 101 rows; got range\(0, 102\)$"):
        Windows(VALUES, range(ROWS + 1), window=5, horizon=2)
