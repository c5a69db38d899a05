"""Whole models: words keep the sums of rows, top weights and what they leave out make one, what is hidden is gone."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.lens import views
from saccade.lens.heads import Top, layers, measured, short_names, site, top
from saccade.lens.tokens import patches, spelled, tokens, words_of_ids, words_of_offsets, words_of_pieces

HEADS, QUERIES, KEYS = 3, 5, 7
SOURCE = tokens(["[CLS]", "un", "##believ", "##ably", "tired", "now", "[SEP]"], words="auto", special=[0, 6])
TARGET = tokens(["so", "##mu", "##ch", "<x>", "fun"], words="wordpiece", special=[3])


def weights_of(seed=0, shape=(HEADS, QUERIES, KEYS)):
    return np.random.default_rng(seed).dirichlet(np.full(shape[2], 0.4), size=shape[:2])


def both(seed=0, k=KEYS):
    """The same site with all weights, and with the top of each row."""
    dense = weights_of(seed)
    cut = top(dense, k)
    return site("a", SOURCE, TARGET, dense), site("a", SOURCE, TARGET, cut.weights, keys=cut.keys, rest=cut.rest)


def sums(one):
    if isinstance(one.weights, Top):
        return one.weights.weights.sum(-1) + one.weights.rest
    return one.weights.sum(-1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, KEYS))
def test_top_weights_and_what_they_leave_out_are_the_row(seed, k):
    dense = weights_of(seed)
    cut = top(dense, k)
    assert np.allclose(cut.weights.sum(-1) + cut.rest, 1, atol=1e-6)
    assert np.allclose(np.take_along_axis(dense, cut.keys, -1), cut.weights)
    assert np.allclose(cut.weights, -np.sort(-dense, axis=-1)[..., :k])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, KEYS))
def test_words_keep_the_sums_of_rows_and_top_weights_give_the_same_words(seed, k):
    whole, cut = both(seed, k)
    for one in (whole, cut):
        pieces = np.stack([sums(one)[:, np.array(TARGET.words) == word].mean(1) for word in range(3)], 1)
        assert np.allclose(sums(views.merged(one)), pieces, atol=1e-6)
    merged = views.dense(views.merged(both(seed)[1]))
    assert np.allclose(merged, views.merged(whole).weights, atol=1e-6)
    assert np.allclose(merged[:, :, 1], whole.weights[:, :, 1:4].sum(2) @ np.array([[1, 1, 1, 0, 0], [0, 0, 0, 3, 0],
                       [0, 0, 0, 0, 3]]).T / 3, atol=1e-6)  # fmt: skip


def test_merged_words_have_names_and_stay_special():
    merged = views.merged(both()[0])
    assert merged.source.labels == ("[CLS]", "unbelievably", "tired", "now", "[SEP]")
    assert merged.target.labels == ("somuch", "<x>", "fun")
    assert (merged.source.special, merged.target.special) == ((0, 4), (1,))


@pytest.mark.parametrize("renormalise", [False, True])
def test_what_is_hidden_is_gone_and_the_rest_stays_or_is_divided(renormalise):
    for one in both():
        without = views.hidden(one, renormalise=renormalise)
        kept = weights_of()[:, [0, 1, 2, 4]][:, :, 1:6]
        expected = kept / kept.sum(-1, keepdims=True) if renormalise else kept
        assert np.allclose(views.dense(without), expected, atol=1e-6)
        assert without.source.labels == SOURCE.labels[1:6]
        assert without.source.words == (0, 0, 0, 1, 2)
        assert without.target.labels == ("so", "##mu", "##ch", "fun")
        if renormalise:
            assert np.allclose(sums(without), 1, atol=1e-6)


def test_what_is_left_out_shares_in_a_row_that_is_divided():
    one = views.hidden(both(k=3)[1], renormalise=True)
    assert one.weights.rest.max() > 0.01
    assert np.allclose(sums(one), 1, atol=1e-6)


def test_mean_and_largest_over_heads_agree_for_whole_and_top_weights():
    whole, cut = both()
    for over in ("mean", "max"):
        expected = getattr(weights_of(), over)(0)
        for one in (whole, cut):
            assert np.allclose(views.dense(views.reduced(one, over))[0], expected, atol=1e-6)


def test_what_is_below_a_threshold_counts_as_left_out():
    cut = views.thresholded(both()[1], 0.2)
    assert cut.weights.weights[cut.weights.weights > 0].min() >= 0.2
    assert np.allclose(sums(cut), 1, atol=1e-6)


def test_heads_and_sites_are_chosen_by_name_place_mean_and_largest():
    drawn = layers([both()[0], both(1)[1]._replace(name="b")], figures={"entropy": [[1, 2, 3], [4, 5, np.nan]]})
    one = views.at(drawn, "b", 2)
    assert [(site.name, site.heads) for site in one.sites] == [("b", ("2",))]
    assert np.isnan(one.figures[0].values[0]).all()
    assert views.at(drawn, -1, "1").figures[0].values[0].tolist() == [5]
    assert views.at(drawn, 0, "mean").figures == ()
    assert len(views.at(drawn, head=0).sites) == 2
    assert np.allclose(views.map_of(one.sites[0]).weights, weights_of(1)[2], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda d: views.at(d, "c"), "site must be one of a, b, or a place from 0 to 1; got 'c'"),
        (lambda d: views.at(d, 2), "site must be one of a, b, or a place from 0 to 1; got 2"),
        (lambda d: views.at(d, "a", 3), "head of a must be one of 0, 1, 2, mean, max, or a place from 0 to 2; got 3"),
        (lambda d: measured(d, "sink"), "figures must be one of entropy; got 'sink'"),
        (lambda d: layers([]), "layers need at least one site; got none"),
        (lambda d: layers([d.sites[0]] * 2), "sites must have names of their own; got 'a' 2 times"),
        (lambda d: layers(d.sites, figures={"x": [[1]]}), "figures 'x' must be one array for each of 2 sites; got 1"),
        (lambda d: layers(d.sites, figures={"x": [[1], [1]]}), "figures 'x' of a must be [head] = [3]; got (1,)"),
        (
            lambda d: layers(d.sites, curves={"deletion": {"random": ([0, 2], [1, 0])}}),
            "curve 'random' of 'deletion' must be rising fractions from 0 to 1 and as many finite scores; "
            "got [2] and [2]",
        ),
        (
            lambda d: site("a", "ab", "c", [[[1.0]]]),
            "weights of a must be [head, query, key] = [1, 1, 2]; got [1, 1, 1]",
        ),
        (lambda d: site("a", "ab", "c", [[1.0, 0]]), "weights of a must be [head, query, key]; got (1, 2)"),
        (
            lambda d: site("a", "ab", "c", [[[np.nan, 1]]]),
            "weights of a must be finite and at least 0; got values from nan to nan",
        ),
        (lambda d: site("a", "ab", "c", [[[1]]], keys=[[[2]]]), "keys of a must be places of 2 tokens, 0 to 1; got 2"),
        (
            lambda d: site("a", "ab", "c", [[[1, 1]]], keys=[[[1, 1]]]),
            "keys of a must differ within a row; got one twice",
        ),
        (
            lambda d: site("a", "ab", "c", [[[1]]], keys=[[[0.5]]]),
            "keys of a must be whole numbers [1, 1, 1]; got float64 [1, 1, 1]",
        ),
        (lambda d: site("a", "ab", "c", [[[1, 0]]], heads=["x", "y"]), "heads of a must be 1 names; got 2"),
        (
            lambda d: tokens("ab", words="bpe"),
            "words must be one of auto, wordpiece, sentencepiece, bytes, or numbers; got 'bpe'",
        ),
        (lambda d: tokens("ab", words=[0]), "words must be one number for each of 2 tokens; got 1"),
        (lambda d: tokens("ab", words=[0, 2]), "words must count up from 0, one by one; got [0, 2]"),
        (lambda d: tokens("ab", special=[2]), "special must be places of 2 tokens, 0 to 1; got 2"),
        (lambda d: patches(np.zeros((2, 2)), (1, 1)), "pixels must be uint8 [height, width, 3]; got float64 [2, 2, 3]"),
        (lambda d: patches(np.zeros((2, 2), np.uint8), (0, 1)), "grid must be at least 1 by 1; got 0 by 1"),
        (
            lambda d: patches(np.zeros((2, 2), np.uint8), (2, 2), places=[0]),
            "places must be one for each of 2 by 2 patches; got 1",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line(wrong, message):
    drawn = layers([both()[0], both()[1]._replace(name="b")], figures={"entropy": [np.zeros(3), np.zeros(3)]})
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        wrong(drawn)


def test_a_long_input_is_refused_whole_and_taken_by_its_rows():
    labels = [str(place) for place in range(100_000)]
    endless = np.broadcast_to(np.float32(0), (1, 100_000, 100_000))
    with pytest.raises(ValueError, match=r"at most 16,777,216 cells a head; got 100,000 by 100,000: give the largest"):
        site("a", labels, labels, endless)
    cut = site("a", labels, labels, np.full((1, 100_000, 1), 0.5), keys=np.zeros((1, 100_000, 1), int))
    assert views.received(cut)[0, 0] == pytest.approx(0.5)
    assert views.sinks(cut) == (0,)
    assert views.left_out(cut) == "top 1 of 100,000 per row; the rest, 50% on average, is left out"
    with pytest.raises(ValueError, match="a map of a must have at most 16,777,216 cells; got 100,000 by 100,000"):
        views.map_of(cut)


def test_what_is_given_is_frozen():
    for one in both():
        arrays = one.weights if isinstance(one.weights, Top) else [one.weights]
        assert not any(array.flags.writeable for array in arrays)


def test_nothing_at_all_is_drawn_as_nothing():
    for one in (site("a", "", "", np.zeros((2, 0, 0))), site("a", "xy", "", np.zeros((0, 0, 2)))):
        assert views.merged(one).weights.shape == one.weights.shape
        assert views.hidden(one).weights.shape == one.weights.shape
        assert views.thumbnails(one, 4).shape == one.weights.shape
        assert views.received(one).shape == (len(one.heads), len(one.source.labels))


def test_words_are_found_from_pieces_ids_and_offsets():
    assert words_of_pieces(["un", "##der", "stand"]) == (0, 0, 1)
    assert words_of_pieces(["▁un", "der", "<s>", "x"], special=[2]) == (0, 0, 1, 2)
    assert words_of_pieces(["He", "llo", "Ġyou"]) == (0, 0, 1)
    assert words_of_pieces(["a", "b"]) == (0, 1)
    assert words_of_ids([None, None, 0, 0, 1, None]) == (0, 1, 2, 2, 3, 4)
    assert words_of_offsets([(0, 0), (0, 2), (2, 4), (4, 5), (6, 8), (0, 0)], "noon, do") == (0, 1, 1, 2, 3, 4)
    assert words_of_offsets([(0, 1), (1, 2)], "晚上") == (0, 1)


def test_words_are_spelled_without_the_signs_of_the_tokenizer():
    assert spelled(["▁half", "▁pa", "st", "▁"], [0, 1, 1, 2]) == ("half", "past", "▁")
    assert spelled(["ĠæĻ", "ļ", "Ċ"], [0, 0, 1]) == ("晚", "\n")
    assert tokens(["a##", "##b"], words="wordpiece").names == ("a##b",)


def test_names_of_sites_lose_what_all_share():
    named = [site(name, "", "", np.zeros((1, 0, 0))) for name in ("m.layer.0.self", "m.layer.11.self")]
    assert short_names(layers(named)) == ["layer.0", "layer.11"]
    assert short_names(layers(named[:1])) == ["m.layer.0.self"]
    other = site("decoder", "", "", np.zeros((1, 0, 0)))
    assert short_names(layers([*named, other])) == ["m.layer.0.self", "m.layer.11.self", "decoder"]


@pytest.mark.parametrize("side", [2, 3, 100])
def test_thumbnails_keep_the_largest_weight_of_what_shares_a_cell(side):
    for one in both():
        small = views.thumbnails(one, side)
        assert small.shape == (HEADS, min(QUERIES, side), min(KEYS, side))
        assert np.allclose(small.max((1, 2)), weights_of().max((1, 2)))
    assert np.allclose(views.thumbnails(both()[1], 100), weights_of(), atol=1e-6)
