"""Attention maps: what is refused, and how tokens are shown."""

import numpy as np
import pytest

from saccade.lens.maps import attention_map, copies, readable, scale_end, spacing, visible


def test_shape_must_fit_the_tokens():
    with pytest.raises(ValueError, match=r"weights must be \[target, source\] = \[5, 7\]; got \[7, 5\]"):
        attention_map("abcdefg", "vwxyz", np.zeros((7, 5)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.5])
def test_values_must_be_weights(wrong):
    with pytest.raises(ValueError, match="weights must be finite and at least 0; got values from"):
        attention_map("ab", "x", [[0.5, wrong]])


def test_rounding_is_forgiven_and_the_map_is_a_frozen_copy():
    given = np.array([[1.004, -0.001]])
    map = attention_map("ab", "x", given)
    assert map.weights.dtype == np.float32
    assert map.weights.tolist() == [[1, 0]]
    given[:] = 0.5
    assert map.weights.tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="read-only"):
        map.weights[0, 0] = 0


def test_nothing_written_is_a_map():
    assert attention_map("abc", "", []).weights.shape == (0, 3)


@pytest.mark.parametrize(
    ("token", "label"),
    [
        (" ", "␣"),
        ("", "∅"),
        ("New York", "New␣York"),
        ("\t\n", "\\t\\n"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202eabc", "\\u202eabc"),
        ("\u200d", "\\u200d"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("\ud800", "\\ud800"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
        ("时间", "时间"),
    ],
)
def test_every_token_can_be_seen(token, label):
    assert visible(token) == label


def test_running_text_keeps_its_spaces_and_shows_what_hides():
    assert readable("half past\nnine \u202e\x07") == "half past\nnine \\u202e\\x07"


@pytest.mark.parametrize(
    ("largest", "end"), [(1.0, 1.0), (0.93, 1.0), (0.4, 0.4), (0.31, 0.4), (0.1, 0.1), (0.012, 0.02), (0.0, 1.0)]
)
def test_scale_ends_at_a_tidy_number_no_smaller_than_the_largest_weight(largest, end):
    assert scale_end(np.array([[largest, 0]], dtype=np.float32)) == end


def test_weights_above_one_are_drawn_as_they_are():
    map = attention_map("ab", "x", [[0.5, 3.0]])
    assert map.weights.tolist() == [[0.5, 3.0]]
    assert scale_end(map.weights) == 3.0


def test_copied_has_a_share_for_each_token_written_or_none():
    map = attention_map("ab", "xyz", np.ones((3, 2)), copied=[0.2, 0.5, 0.9])
    assert [copies(map, row) for row in range(3)] == [False, False, True]
    assert not copies(attention_map("ab", "x", [[1, 0]]), 0)
    with pytest.raises(ValueError, match=r"copied must be \[target\] = \[3\]; got \[2\]"):
        attention_map("ab", "xyz", np.ones((3, 2)), copied=[1, 0])
    with pytest.raises(
        ValueError, match=r"copied must be finite and at least 0 and at most 1; got values from 0\.0 to 3\.0"
    ):
        attention_map("ab", "xyz", np.ones((3, 2)), copied=[1, 0, 3])


@pytest.mark.parametrize(
    ("tokens", "between"),
    [
        (["half", "past"], " "),
        ("half past", ""),
        (["晚上", "九点"], ""),
        (["晚上", "9", "点"], ""),
        (["오늘", "날씨"], " "),
        ([], ""),
    ],
)
def test_words_are_spaced_and_characters_are_not(tokens, between):
    assert spacing(tokens) == between
