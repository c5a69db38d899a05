"""The tagger of words: what it learns, looks at, measures and refuses."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.data.spans import is_well_formed
from saccade.data.tagged import Tagged, TaggedFile, words_of
from saccade.errors import DataError, OptionError, RunError
from saccade.metrics import span_scores
from saccade.runs import Run
from saccade.tasks.load import load
from saccade.tasks.tag.options import TagOptions

TINY = {
    "embedding": 6,
    "hidden": 8,
    "character_embedding": 3,
    "character_hidden": 4,
    "heads": 2,
    "batch_size": 8,
    "cased": False,
}
TEXTS = ["Ann Lee sees old Rome.", "Rome", "now Bo Ray likes Zürich , Eve and Ulm " * 3, "!"]


def same(one, other, within=1e-5) -> None:
    assert (one.source, one.tags) == (other.source, other.tags)
    assert one.probabilities == pytest.approx(other.probabilities, abs=within)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None:
        np.testing.assert_allclose(one.weights, other.weights, atol=within)


@pytest.fixture(scope="module")
def parts_of_speech(tmp_path_factory) -> Path:
    """A file of sentences whose tags mark no spans."""
    path = tmp_path_factory.mktemp("data") / "parts.jsonl"
    words = [("Ann", "NOUN"), ("sees", "VERB"), ("a", "DET"), ("dog", "NOUN"), (".", "PUNCT"), ("runs", "VERB")]
    sentences = [[words[(n * i + i) % 6] for i in range(n % 5 + 1)] for n in range(40)]
    records = ({"words": [word for word, _ in one], "tags": [tag for _, tag in one]} for one in sentences)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def test_it_learns_and_tags_names_that_it_never_saw(tag_run, names):
    trained = load(tag_run)
    scores = trained.evaluate(TaggedFile((names,)))
    assert min(scores.span_f1, scores.accuracy) > 0.95
    assert Run(tag_run).read_config()["scores"]["span_f1"] > 0.95
    assert trained("Ann Lee likes Oslo .").line(scores=False) == "Ann/B-per Lee/I-per likes/O Oslo/B-loc ./O"


def test_a_loaded_run_answers_as_the_one_that_was_trained(tmp_path, train, names):
    trained = train(tmp_path / "run", TagOptions(**TINY, attention="multi-head"), names)
    for one, other in zip(trained.answer(TEXTS), load(tmp_path / "run").answer(TEXTS), strict=True):
        same(one, other, within=0)


def test_tags_do_not_depend_on_their_company(tag_run):
    trained = load(tag_run)
    for text, together in zip(TEXTS * 30, trained.answer(TEXTS * 30), strict=True):
        same(together, trained(text))


@pytest.mark.parametrize(
    "options",
    [
        {"output": "softmax", "characters": "lstm", "attention": "multi-head"},
        {"encoder": "transformer", "characters": "none"},
        {"encoder": "gru", "attention": "general+sparsemax"},
        {"layers": 2, "least": 2},
    ],
)
def test_neither_do_they_for_other_taggers(tmp_path, train, names, options):
    trained = train(tmp_path / "run", TagOptions(**TINY, **options), names)
    heads = (2,) if "multi-head" in options.values() or "transformer" in options.values() else ()
    for text, together in zip(TEXTS, trained.answer(TEXTS), strict=True):
        alone = trained(text)
        same(together, alone)
        words = len(words_of(text))
        assert len(alone.source) == len(alone.tags) == len(alone.probabilities) == words
        if "layers" in options:
            assert alone.weights is None
        else:
            assert alone.weights.shape == (*heads, words, words)
            np.testing.assert_allclose(alone.weights.sum(-1), 1, atol=1e-5)


def test_spans_are_whole_even_of_a_tagger_that_knows_nothing(tmp_path, train, names):
    trained = train(tmp_path / "run", TagOptions(**TINY, learning_rate=1e-9), names)
    assert trained.codec.spans
    with torch.no_grad():
        for layer in (trained.model.embedding.table, trained.model.output):  # any tag for any word
            layer.weight.normal_(std=9)
    answers = trained.answer(TEXTS)
    assert len({tag for answer in answers for tag in answer.tags}) > 2
    assert all(is_well_formed(answer.tags) for answer in answers)


def test_a_record_is_json_and_its_weights_sum_to_one(tag_run):
    trained = load(tag_run)
    for text in [*TEXTS, ""]:
        record = json.loads(json.dumps(trained.record(text, [trained(text)])))
        words = words_of(text)
        assert record["source_tokens"] == list(words)
        assert len(record["tags"]) == len(record["probabilities"]) == len(words)
        if words:
            assert np.shape(record["weights"]) == (len(words), len(words))
            np.testing.assert_allclose(np.sum(record["weights"], -1), 1, atol=1e-4)


@pytest.mark.parametrize("spans", [True, False])
def test_measures_equal_a_recount(tmp_path, train, names, parts_of_speech, spans):
    file = names if spans else parts_of_speech
    trained = train(tmp_path / "run", TagOptions(**TINY, least=3), file)
    examples = [*TaggedFile((file,)), Tagged(("Ann", "Zoë"), ("NEW", trained.codec.tags[-1]))]
    scores, said = trained.evaluate(examples), [trained(one.words).tags for one in examples]
    true = [one.tags for one in examples]
    pairs = [pair for one, other in zip(said, true, strict=True) for pair in zip(one, other, strict=True)]
    words = [word.lower() for one in examples for word in one.words]
    unseen = [a == b for (a, b), word in zip(pairs, words, strict=True) if word not in trained.codec.words.words]
    assert scores.accuracy == sum(a == b for a, b in pairs) / len(pairs)
    assert scores.unknown_accuracy == pytest.approx(sum(unseen) / len(unseen))
    assert scores.sentences_right == sum(a == b for a, b in zip(said, true, strict=True)) / len(true)
    assert scores.never_seen == ("NEW",)
    assert (scores.words, scores.sentences) == (len(pairs), len(examples))
    if spans:
        assert (scores.span_precision, scores.span_recall, scores.span_f1, scores.per_label) == span_scores(said, true)
    else:
        assert scores.span_f1 is None
        counts = Counter(other for _, other in pairs)
        assert {tag: row["count"] for tag, row in scores.per_label.items()} == {
            tag: counts[tag] for pair in pairs for tag in pair
        }
        for tag, row in scores.per_label.items():
            hits = sum(pair == (tag, tag) for pair in pairs)
            assert row["recall"] == pytest.approx(hits / max(counts[tag], 1))


@pytest.mark.parametrize("output", ["crf", "softmax"])
def test_what_is_validated_by_is_what_is_measured(tmp_path, train, names, output):
    trained = train(tmp_path / "run", TagOptions(**TINY, output=output), names, valid=(names,))
    scores, lines = trained.evaluate(TaggedFile((names,))), Run(tmp_path / "run").read_metrics()
    kept = Run(tmp_path / "run").read_config()["scores"]
    assert kept == min(lines, key=lambda line: (-line["span_f1"], line["loss"]))
    assert kept["accuracy"] == pytest.approx(scores.accuracy, rel=1e-6)
    assert kept["span_f1"] == pytest.approx(scores.span_f1, rel=1e-6)


def test_the_loss_is_that_of_a_word(tmp_path, train, parts_of_speech):
    options = TagOptions(**TINY, output="softmax", dropout=0.0, word_dropout=0.0)
    trained = train(tmp_path / "run", options, parts_of_speech, valid=(parts_of_speech,))
    losses = []
    for sentence in TaggedFile((parts_of_speech,)):
        words, lengths, characters, _ = side(trained, sentence)
        likely = trained.model(words, lengths, characters).logits[0].softmax(-1).detach()
        losses += [-math.log(likely[i, trained.codec.tags.index(tag)]) for i, tag in enumerate(sentence.tags)]
    kept = Run(tmp_path / "run").read_config()["scores"]["loss"]
    assert kept == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def side(trained, sentence):
    from saccade.data.taggedcorpus import side_by_side

    return side_by_side([sentence.words], trained.codec)


def test_doubts(tag_run):
    trained = load(tag_run)
    assert trained.doubts("Ann sees Rome.") == []
    assert trained.doubts(" ") == trained.doubts(()) == ["the input is empty, and so is the answer"]
    assert trained.doubts("Xu sah Rome gestern") == ["3 of its 4 words were never seen in training"]
    assert trained("").tags == ()
    assert [answer.source for answer in trained.answer(["", "Rome", ()])] == [(), ("Rome",), ()]


def test_inputs_are_texts_and_lists_of_words(tag_run):
    trained = load(tag_run)
    assert trained.parse("Ann, Bo!") == ("Ann", ",", "Bo", "!")
    assert trained.parse('["Ann,", "New York"]') == ("Ann,", "New York")
    assert trained.parse("[Ann]") == ("[", "Ann", "]")
    assert len(trained.parse("[" * 100_000)) == 100_000
    for text in ("[1]", "[[]]", '[""]'):
        with pytest.raises(DataError, match=r"^expected a text, or a JSON list of words; got "):
            trained.parse(text)


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "additive"},
        {"encoder": "transformer", "characters": "lstm", "output": "softmax"},
        {"encoder": "gru", "word_dropout": 0.4, "characters": "none"},
    ],
)
def test_resumed_it_ends_with_the_same_bits(resumed, names, options):
    resumed(TagOptions(**TINY, **options), names)


def test_a_run_holds_what_it_should(tag_run):
    files = {"config.json", "words.json", "characters.json", "tags.json", "weights.safetensors", "metrics.jsonl"}
    assert {path.name for path in tag_run.iterdir()} == files | {"checkpoints", "tensorboard"}
    config = Run(tag_run).read_config()
    assert config["task"] == "tag"
    assert config["data"]["training_sentences"] + config["data"]["validation_sentences"] == 240
    assert sum(config["data"]["tags"].values()) == config["data"]["words"]
    assert json.loads((tag_run / "tags.json").read_text()) == {
        "tags": ["B-loc", "B-per", "I-per", "O"],
        "cased": False,
        "spans": True,
    }
    torch.load(tag_run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("name", ["words.json", "characters.json", "tags.json"])
@pytest.mark.parametrize("text", ["", "3", '{"tags": 3}', "\x00"])
def test_broken_files_are_named(tmp_path, train, names, name, text):
    train(tmp_path / "run", TagOptions(**TINY), names)
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(RunError, match=rf"{name}: expected (tags|a lexicon); got .+"):
        load(tmp_path / "run")


def test_fine_tuning(tmp_path, train, names, tag_run, classify_run, parts_of_speech):
    before = (tag_run / "weights.safetensors").read_bytes()
    child = train(tmp_path / "child", TagOptions(learning_rate=1e-9), names, parent=tag_run)
    assert (tag_run / "weights.safetensors").read_bytes() == before
    for one, other in zip(child.answer(TEXTS), load(tag_run).answer(TEXTS), strict=True):
        same(one, other, within=1e-3)
    broken = tmp_path / "broken.conll"
    broken.write_text("Ann B-per\n\nsees O\nLee I-per\n")
    refused = [
        (names, {"hidden": 64}, tag_run, OptionError, r"--hidden must stay 16, with which .* was made; got 64"),
        (names, {"output": "softmax"}, tag_run, OptionError, r"--output must stay crf, .*; got softmax"),
        (names, {}, classify_run, RunError, r"expected a run of the task tag; got classify"),
        (parts_of_speech, {}, tag_run, DataError, r"parts\.jsonl:1: expected tags of the training .*; got 'NOUN'"),
        (broken, {}, tag_run, DataError, r"broken\.conll:3: expected spans as in the training; got I-per after O"),
    ]
    for file, options, parent, kind, line in refused:
        with pytest.raises(kind, match=line):
            train(tmp_path / "refused", TagOptions(**options), file, parent=parent)
        assert not (tmp_path / "refused").exists()


def test_tags_of_broken_spans_are_learned_without_constraints(tmp_path, train):
    """As of CoNLL 2003 itself, where B- marks only what stands right behind a span of its kind."""
    path, said = tmp_path / "iob1.conll", []
    path.write_text("Ann I-per\nLee I-per\nsees O\nBo I-per\nEve B-per\n\n" * 20)
    trained = train(tmp_path / "run", TagOptions(**TINY), path, said=said)
    assert any("so any tag may follow any" in line for line in said)
    assert not trained.codec.spans
    assert trained.model.crf.allowed.all()
    assert all(math.isfinite(line["loss"]) for line in Run(tmp_path / "run").read_metrics())
    assert not load(tmp_path / "run").codec.spans


def test_word_vectors_begin_the_embedding(tmp_path, train, names):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("rome 1 1 1 1 1 1\nann 2 2 2 2 2 2\nzoo 3 3 3 3 3 3\n")
    said: list[str] = []
    options = TagOptions(**TINY, vectors=str(vectors), learning_rate=1e-12)
    trained = train(tmp_path / "run", options, names, said=said)
    assert any(line.endswith("vectors.txt: vectors for 2 of 16 words") for line in said), said
    table, codec = trained.model.embedding.table.weight, trained.codec
    for word, value in (("Rome", 1.0), ("ann", 2.0)):
        torch.testing.assert_close(table[codec.word_ids([word])[0]], torch.full((6,), value), atol=1e-3, rtol=0)
    vectors.write_text("rome 1 1 1\n")
    with pytest.raises(OptionError, match=r"--embedding must be the width of the vectors; got 6, but those of"):
        train(tmp_path / "other", options, names)
    assert not (tmp_path / "other").exists()


def test_sentences_that_are_too_long_are_left_out_and_told(tmp_path, train, names):
    said: list[str] = []
    train(tmp_path / "run", TagOptions(**TINY, max_length=5), names, valid=(names,), said=said)
    sentences = list(TaggedFile((names,)))
    left = sum(len(one.words) > 5 for one in sentences)
    assert f"left out {left} training sentences of more than 5 words (--max-length)" in said
    assert Run(tmp_path / "run").read_config()["data"]["too_long"] == left
    with pytest.raises(
        OptionError, match=r"^--max-length must leave some training sentences; got 2, which leaves none$"
    ):
        train(tmp_path / "other", TagOptions(**TINY, max_length=2), names)
    assert not (tmp_path / "other").exists()


def test_evaluating_on_tags_of_another_kind_is_refused(tag_run, parts_of_speech):
    line = r"^.*parts\.jsonl:1: expected tags of the training \(B-loc, .*\); got none of them, but DET, NOUN"
    with pytest.raises(DataError, match=line):
        load(tag_run).evaluate(TaggedFile((parts_of_speech,)))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"attention": "nonsense"}, r"^--attention must be of none, multi-head, .*; got 'nonsense'$"),
        ({"attention": "context-vector"}, r"^--attention must be of none, .*; got 'context-vector'$"),
        ({"attention": "additive+local-p"}, r"^--attention must be of none, .*; got 'additive\+local-p'$"),
        ({"hidden": 7}, r"^--hidden must be even, half for each direction; got 7$"),
        ({"character_hidden": 5}, r"^--character-hidden must be even, half for each direction; got 5$"),
        ({"encoder": "transformer", "hidden": 8, "heads": 3}, r"^--hidden must be a multiple of --heads; got 8 and 3$"),
        (
            {"attention": "multi-head", "hidden": 8, "heads": 3},
            r"^--hidden must be a multiple of --heads; got 8 and 3$",
        ),
        ({"word_dropout": 1.0}, r"^--word-dropout must be at least 0 and below 1; got 1.0$"),
        ({"least": 0}, r"^--least must be at least 1; got 0$"),
    ],
)
def test_options_that_cannot_be(options, line):
    with pytest.raises(OptionError, match=line):
        TagOptions(**options)
