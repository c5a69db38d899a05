"""Attended series: what is refused, which variables are shown, and how they look in a terminal and in a picture."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from saccade.lens import figure
from saccade.lens.series import attended_series, most_looked_at, panels
from saccade.lens.terminal import draw
from saccade.lens.terminal.shades import ASCII

LOAD = attended_series(
    ["load", "heat"],
    [[1, 20], [2, 24], [5, 20], [8, 21], [4, 22]],
    [[0.0, 0.1, 0.0, 0.2, 0.1], [0.0, 0.0, 0.5, 0.1, 0.0]],
    [[5], [6], [1]],
    targets=["load"],
    truth=[[4], [8], [2]],
    times=["mon", "tue", "wed", "thu", "fri"],
    text="five days",
    note="error 1.4",
)


def random_series(times, variables, horizon=3, shared=True, **options):
    generator = np.random.default_rng(5)
    past = generator.normal(size=(times, variables)).cumsum(0)
    weights = generator.dirichlet(np.ones(times), size=variables)
    names = [f"v{place}" for place in range(variables)]
    predicted = generator.normal(size=(horizon, variables))
    return attended_series(names, past, weights[0] if shared else weights, predicted, **options)


def drawn(series, width=60, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(series, console=Console(file=file, width=width))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"past": np.zeros((5, 3))}, r"past must be \[time, variable\] = \[5, 2\]; got \[5, 3\]"),
        ({"past": 3.0}, r"past must be \[time, variable\] = \[0, 2\]; got \[\]"),
        ({"weights": np.zeros(7)}, r"weights must be \[time\] = \[5\]; got \[7\]"),
        ({"weights": np.zeros((5, 2))}, r"weights must be \[variable, time\] = \[2, 5\]; got \[5, 2\]"),
        ({"predicted": np.zeros((3, 1))}, r"predicted must be \[horizon, target\] = \[3, 2\]; got \[3, 1\]"),
        ({"truth": np.zeros((4, 2))}, r"truth must be \[horizon, target\] = \[3, 2\]; got \[4, 2\]"),
        ({"times": "abcdef"}, "times must label 5 times, or 8 with the horizon; got 6"),
        ({"past": np.full((5, 2), np.nan)}, "past must be finite; 10 of 10 values are not"),
        ({"predicted": np.full((3, 2), np.inf)}, "predicted must be finite; 6 of 6 values are not"),
        ({"weights": np.full(5, -0.5)}, "weights must be finite and at least 0; got values from -0.5 to -0.5"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    right = {"past": np.zeros((5, 2)), "weights": np.zeros(5), "predicted": np.zeros((3, 2))}
    given = right | change
    with pytest.raises(ValueError, match=message):
        attended_series(["a", "b"], given.pop("past"), given.pop("weights"), given.pop("predicted"), **given)


def test_a_series_is_a_frozen_copy_and_a_vector_is_a_horizon_of_one():
    past = np.zeros((2, 3))
    series = attended_series("abc", past, [0.5, 0.5], [1, 2, 3], truth=[3, 2, 1])
    past[:] = 1
    assert series.past.max() == 0
    assert series.predicted.tolist() == [[1, 2, 3]]
    assert series.truth.tolist() == [[3, 2, 1]]
    with pytest.raises(ValueError, match="read-only"):
        series.past[0] = 1


def test_a_target_may_be_none_of_the_variables():
    series = attended_series("ab", np.ones((3, 2)), np.ones((2, 3)), [7], targets=["price"])
    first, *others = panels(series)
    assert (first.name, first.past.size, first.weights.size, first.predicted.tolist()) == ("price", 0, 0, [7])
    assert [(panel.name, panel.past.size, panel.predicted.size) for panel in others] == [("a", 3, 0), ("b", 3, 0)]


def test_of_many_variables_the_targets_and_the_most_looked_at_stay():
    weights = np.arange(7)[:, None] / 7 * np.ones((7, 2))
    series = attended_series("abcdefg", np.ones((2, 7)), weights, [1], targets="b")
    shown, out = most_looked_at(series, 3)
    assert ([panel.name for panel in shown], out) == (["b", "f", "g"], 4)


# In the terminal


def test_past_weights_forecast_and_truth_stand_in_their_columns():
    assert [line.rstrip() for line in drawn(LOAD).splitlines()] == [
        "read   five days",
        "       error 1.4",
        "",
        "load         ▁▂▅█▄|▅▆▁  1 to 8",
        "  truth           |▄█▂",
        "  looked at   ░ ▒░",
        "heat         ▁█▁▃▅|  20 to 24",
        "  looked at    █░",
        "             mon to fri",
        "",
        "before the bar the past, after it the forecast",
        "· 0.005  ░ 0.045  ▒ 0.12  ▓ 0.24  █ 0.41",
    ]


def test_weights_that_all_variables_share_stand_below_them_once():
    text = drawn(random_series(11, 3))
    assert text.count("looked at") == 1
    assert text.index("v2") < text.index("looked at")


@pytest.mark.parametrize(("times", "width"), [(1000, 50), (61, 100), (97, 40), (1, 30)])
def test_a_long_past_shares_cells_and_stays_within_the_terminal(times, width):
    series = random_series(times, 2, horizon=17, shared=False)
    lines = drawn(series, width).splitlines()
    rows = [line for line in lines if "|" in line or "looked at" in line]
    assert max(map(len, rows)) <= width
    assert len({row.index("|") for row in rows if "|" in row}) == 1


def test_cells_sum_weights_and_count_from_the_end_of_the_past():
    def shown(weights):
        return drawn(attended_series("a", np.arange(101)[:, None], weights, [[0]]), 45)

    (step,) = re.findall(r"a cell is (\d+) times", shown(np.zeros(101)))
    assert 101 % int(step)
    weights = np.zeros(101)
    weights[[101 - int(step), 100]] = 0.5
    row = next(line for line in shown(weights).splitlines() if "looked at" in line)
    assert row.endswith(" █")
    assert "█ 0.81" in shown(weights)  # the least that gets the darkest shade, where the scale ends at one


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_without_blocks_gets_ascii(encoding):
    text = drawn(LOAD, encoding=encoding)
    assert text.encode("ascii")
    assert ASCII[-1] in text


def test_more_variables_than_fit_are_left_out_and_counted():
    text = drawn(random_series(3, 17))
    assert "v11" in text
    assert "v12" not in text
    assert "Left out: 5 of 17 variables." in text


def test_no_past_and_a_line_that_never_moves_are_drawn():
    assert "a" in drawn(attended_series("a", np.zeros((0, 1)), [], [3]))
    assert "▅▅▅|▅" in drawn(attended_series("a", np.ones((3, 1)), [0, 0, 0], [1]))


# As a picture


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_series_is_the_same_picture(tmp_path, suffix):
    for name in "ab":
        figure.save(LOAD, tmp_path / f"{name}{suffix}", title="Load")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_lines_hold_the_values_and_the_background_the_weights():
    load, heat, _ = figure.draw(LOAD, title="Load").axes
    past, truth, forecast, _ = load.lines
    assert past.get_ydata().tolist() == [1, 2, 5, 8, 4]
    assert truth.get_ydata().tolist() == [4, 4, 8, 2]
    assert forecast.get_ydata().tolist() == [4, 5, 6, 1]
    assert forecast.get_xdata().tolist() == [4, 5, 6, 7]
    for axes, weights in ((load, LOAD.weights[0]), (heat, LOAD.weights[1])):
        assert np.array_equal(axes.collections[0].get_array(), weights[None])
        assert axes.collections[0].get_clim() == (0, 0.5)
    # The background does not stretch the axis.
    assert heat.get_ylim()[0] > 19
    assert [label.get_text() for label in heat.get_xticklabels()] == ["mon", "tue", "wed", "thu", "fri"]


@pytest.mark.filterwarnings("ignore:no installed font")
@pytest.mark.parametrize(
    "series",
    [
        random_series(7, 17, shared=False),
        attended_series(["$x^{$", "👩\u200d🔬", "温度"], np.ones((1, 3)), [1], [1, 2, 3], times=["\x1b"]),
        attended_series("a", np.zeros((0, 1)), [], [3]),
        attended_series([], np.zeros((3, 0)), [0, 0, 0], np.zeros((2, 0))),
    ],
)
def test_strange_series_are_drawn_everywhere(tmp_path, series):
    figure.save(series, tmp_path / "series.png", title="$x^{$")
    assert drawn(series, 20, "ascii")
