"""The classifier of texts and documents: what it learns, looks at, measures and refuses."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.attention.poolings import PLAIN, POOLINGS
from saccade.data.labelled import Labelled, LabelledFile
from saccade.data.labelledcorpus import LabelledBatch
from saccade.errors import DataError, OptionError, RunError
from saccade.metrics import label_scores
from saccade.runs import Run
from saccade.tasks.classify.learner import ClassifyLearner, count, decide
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.classify.task import Classify
from saccade.tasks.load import load

TINY = {"embedding": 6, "hidden": 8, "heads": 2, "hops": 3, "batch_size": 8}
TEXTS = ["superb", "the story was dull and it was long", "a weird film", "it", "fine " * 50, "a film of the story"]


def same(one, other, within=1e-5) -> None:
    assert (one.labels, one.source) == (other.labels, other.source)
    assert one.probabilities == pytest.approx(other.probabilities, abs=within)
    for a, b in zip(one.weights or (), other.weights or (), strict=True):
        np.testing.assert_allclose(a, b, atol=within)
    if one.sentences is not None:
        np.testing.assert_allclose(one.sentences, other.sentences, atol=within)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory) -> Path:
    """A file of documents with labels, of which some have two: one sentence of each has the word that decides."""
    path = tmp_path_factory.mktemp("data") / "reviews.jsonl"
    neutral = ["it was a film .", "we saw it there", "the story of a man", "he went home and slept"]
    lines = []
    for n in range(60):
        sentences = [neutral[(n + i) % 4] for i in range(n % 4 + 2)]
        sentences[n % len(sentences)] = ("the play was superb today", "a dull play it was")[n % 2]
        labels = ["good"] if n % 2 == 0 else ["bad"]
        lines.append(json.dumps({"text": sentences, "label": labels + ["long"] * (len(sentences) > 3)}) + "\n")
    path.write_text("".join(lines), "utf-8")
    return path


def documents(path: Path, folder: Path) -> Path:
    """The same with one label each."""
    file = folder / "single.jsonl"
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    file.write_text("".join(json.dumps({**one, "label": one["label"][0]}) + "\n" for one in records), "utf-8")
    return file


def test_it_learns_and_is_what_was_written(classify_run, films):
    trained, examples = load(classify_run), list(LabelledFile((films,)))
    assert trained.evaluate(examples).accuracy > 0.95
    assert Run(classify_run).read_config()["scores"]["accuracy"] > 0.95


def test_a_loaded_run_answers_as_the_one_that_was_trained(tmp_path, train, films):
    trained = train(tmp_path / "run", ClassifyOptions(**TINY), films)
    for one, other in zip(trained.answer(TEXTS), load(tmp_path / "run").answer(TEXTS), strict=True):
        same(one, other, within=0)


def test_a_verdict_does_not_depend_on_its_company(classify_run):
    trained = load(classify_run)
    for text, together in zip(TEXTS * 20, trained.answer(TEXTS * 20), strict=True):
        same(together, trained(text))


@pytest.mark.parametrize("pooling", ["context-vector", "multi-hop"])
def test_neither_does_that_on_a_document(tmp_path, train, reviews, pooling):
    options = ClassifyOptions(documents=True, several=True, attention=pooling, **TINY)
    trained = train(tmp_path / "run", options, reviews)
    texts = [example.sentences for example in LabelledFile((reviews,), several=True)]
    for text, together in zip(texts, trained.answer(texts), strict=True):
        alone = trained(text)
        same(together, alone)
        hops = 3 if pooling == "multi-hop" else 1
        assert len(alone.source) == len(alone.weights) == alone.sentences.shape[1] == len(text)
        assert [weights.shape for weights in alone.weights] == [(hops, len(words)) for words in alone.source]
        for weights in (*alone.weights, alone.sentences):
            np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_a_verdict_holds_all_labels_and_its_weights_sum_to_one(classify_run):
    trained = load(classify_run)
    for verdict in trained.answer(TEXTS):
        assert set(verdict.probabilities) == {"bad", "good", "odd"}
        assert sum(verdict.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert list(verdict.probabilities.values()) == sorted(verdict.probabilities.values(), reverse=True)
        assert verdict.labels == (next(iter(verdict.probabilities)),)
        ((weights,),) = verdict.weights
        assert len(weights) == len(verdict.source[0])
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        assert verdict.line(scores=False) == verdict.text == verdict.labels[0]
        assert verdict.line(scores=True) == f"{verdict.text}\t{verdict.probabilities[verdict.text]:.4f}"


def test_a_record_is_json(classify_run):
    trained = load(classify_run)
    for text in [*TEXTS, ""]:
        record = json.loads(json.dumps(trained.record(text, [trained(text)])))
        assert record["labels"] == list(trained(text).labels)
        ((weights,),) = record["weights"]
        assert len(weights) == len(record["source_tokens"][0])
        assert sum(weights) == pytest.approx(1 if text else 0, abs=1e-5)


def naive(trained, examples: list[Labelled]) -> tuple[float, list[tuple[str, ...]]]:
    """The mean loss and the labels said, a text at a time."""
    losses, said = [], []
    for example in examples:
        verdict = trained(example.sentences)
        if trained.options.several:
            terms = [p if name in example.labels else 1 - p for name, p in verdict.probabilities.items()]
            assert verdict.labels == tuple(name for name, p in verdict.probabilities.items() if p > 0.5)
        else:
            terms = [verdict.probabilities[example.labels[0]]]
        losses.append(-sum(map(math.log, terms)))
        said.append(verdict.labels)
    return sum(losses) / len(losses), said


@pytest.mark.parametrize("several", [False, True])
def test_measures_equal_a_recount(tmp_path, train, films, reviews, several):
    options = ClassifyOptions(documents=several, several=several, **TINY)
    paths = (reviews if several else films,)
    trained, examples = train(tmp_path / "run", options, *paths), list(LabelledFile(paths, several=several))
    scores, (loss, said) = trained.evaluate(examples), naive(trained, examples)
    true = [example.labels for example in examples]
    assert scores.loss == pytest.approx(loss, rel=1e-4)
    found = label_scores(said, true, trained.codec.labels, several=several)
    assert (scores.accuracy, scores.macro_f1, scores.per_label, scores.confusion) == found
    assert scores.accuracy == sum(set(a) == set(b) for a, b in zip(said, true, strict=True)) / len(true)
    assert (scores.texts, len(examples)) == (len(said), len(said))


@pytest.mark.parametrize("several", [False, True])
def test_what_is_validated_by_is_what_is_measured(tmp_path, train, reviews, several):
    file = reviews if several else documents(reviews, tmp_path)
    options = ClassifyOptions(several=several, documents=True, **TINY)
    trained = train(tmp_path / "run", options, file, valid=(file,))
    scores, kept = trained.evaluate(LabelledFile((file,), several=several)), Run(tmp_path / "run").read_config()
    for name in ("loss", "accuracy", "macro_f1"):
        assert kept["scores"][name] == pytest.approx(getattr(scores, name), rel=1e-5)
    best = min(Run(tmp_path / "run").read_metrics(), key=lambda line: (-line["accuracy"], line["loss"]))
    assert kept["scores"] == best


def test_doubts(classify_run):
    trained = load(classify_run)
    assert trained.doubts("a fine film") == []
    for nothing in ("", " ", (), ("", " ")):
        assert trained.doubts(nothing) == ["the input is empty, and so nothing was read"]
    assert trained.doubts("a zebra xylophone film quux") == ["3 of its 5 tokens were never seen in training"]
    assert trained.doubts("a film " * 200) == []
    assert trained.doubts("a film " * 200 + "it") == ["only the first 400 tokens were read (--max-length)"]


def test_an_empty_text_is_judged_by_the_bias(classify_run, tmp_path, train, reviews):
    empty = load(classify_run)("")
    assert empty.source == ((),)
    assert empty.weights[0].shape == (1, 0)
    assert empty.probabilities == load(classify_run)(" ").probabilities
    trained = train(tmp_path / "run", ClassifyOptions(documents=True, several=True, **TINY), reviews)
    for given in ("", (), ("", " "), " "):
        for verdict in (trained.answer([given, "it was a film"])[0], trained(given)):
            assert verdict.source == () == verdict.weights
            assert verdict.sentences.shape == (1, 0)
            same(verdict, trained(""))


def test_a_document_of_ten_thousand_sentences_is_read_as_far_as_is_said(tmp_path, train, reviews):
    options = ClassifyOptions(documents=True, several=True, max_sentences=5, max_length=4, **TINY)
    trained = train(tmp_path / "run", options, reviews)
    long = tuple("a film" for _ in range(10_000))
    same(trained(long), trained(long[:5]))
    assert trained.doubts(long) == ["only the first 5 sentences were read (--max-sentences)"]
    assert trained.doubts(long[:5]) == []
    assert trained.doubts(("it was a film .", "a film")) == [
        "only the first 4 tokens of a sentence were read (--max-length)"
    ]
    read = (("it", "was", "a", "film"), ("we", "saw", "it", "there"))
    assert trained("It was a film. We saw it there!").source == read


def test_inputs_are_texts_and_for_documents_also_lists(classify_run, tmp_path, train, reviews):
    assert load(classify_run).parse('["a", "b"]') == ('["a", "b"]',)
    trained = train(tmp_path / "run", ClassifyOptions(documents=True, several=True, **TINY), reviews)
    assert trained.parse('["a b", "c"]') == ("a b", "c")
    for text in ("a b. c", "[a", "[" * 100_000, '["\\ud800"]'):
        assert trained.parse(text) == (text,)
    with pytest.raises(DataError, match=r"^expected a text, or a JSON list of sentences; got '\[1, 2\]'$"):
        trained.parse("[1, 2]")


SPELLED = {"characters": "cnn", "character_embedding": 3, "character_hidden": 4}


@pytest.mark.parametrize("kind", ["cnn", "lstm"])
@pytest.mark.parametrize("several", [False, True])
def test_a_classifier_that_reads_characters(tmp_path, train, films, reviews, kind, several):
    options = ClassifyOptions(documents=several, several=several, **TINY, **SPELLED | {"characters": kind})
    paths = (reviews if several else films,)
    trained = train(tmp_path / "run", options, *paths, valid=paths)
    assert (tmp_path / "run" / "characters.json").is_file()
    again, examples = load(tmp_path / "run"), list(LabelledFile(paths, several=several))
    texts = [*(example.sentences for example in examples), *TEXTS, "", " ", "a  film", "superbest"]
    for text, one, other in zip(texts, trained.answer(texts), again.answer(texts), strict=True):
        same(one, other, within=0)
        same(one, trained(text))
    assert trained.evaluate(examples).loss == pytest.approx(naive(trained, examples)[0], rel=1e-4)
    kept = Run(tmp_path / "run").read_config()["scores"]
    assert kept["loss"] == pytest.approx(trained.evaluate(examples).loss, rel=1e-5)
    assert trained.model(**trained.sample()).logits.shape == (2, len(trained.codec.labels))


def test_characters_are_those_of_the_text_and_words_are_not(tmp_path, train, films):
    trained = train(tmp_path / "run", ClassifyOptions(**TINY, **SPELLED, learning_rate=0.05), films)
    small, capital, unseen, other = trained.answer(["a fine film", "a fIne film", "a quux film", "a quuf film"])
    assert capital.source == small.source  # the same word, in small letters
    assert capital.probabilities != small.probabilities
    assert unseen.probabilities != other.probabilities
    without = train(tmp_path / "other", ClassifyOptions(**TINY, learning_rate=0.05), films)
    small, capital, unseen, other = without.answer(["a fine film", "a fIne film", "a quux film", "a quuf film"])
    assert capital.probabilities == small.probabilities
    assert unseen.probabilities == other.probabilities
    assert not (tmp_path / "other" / "characters.json").exists()


@pytest.mark.parametrize("text", [None, "", "3", '["a", "a"]'])
def test_broken_characters_are_named(tmp_path, train, films, text):
    train(tmp_path / "run", ClassifyOptions(**TINY, **SPELLED), films)
    path = tmp_path / "run" / "characters.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(RunError, match=r"characters\.json: expected a lexicon; got .+"):
        load(tmp_path / "run")


def test_a_run_from_before_there_were_characters(tmp_path, train, films):
    trained = train(tmp_path / "run", ClassifyOptions(**TINY), films)
    run = Run(tmp_path / "run")
    config = run.read_config()
    for name in SPELLED:
        del config["options"][name]
    run.write_config(config)
    for one, other in zip(trained.answer(TEXTS), load(tmp_path / "run").answer(TEXTS), strict=True):
        same(one, other, within=0)
    train(tmp_path / "child", ClassifyOptions(), films, parent=tmp_path / "run")
    with pytest.raises(OptionError, match=r"^--characters must stay none, with which .* was made; got cnn$"):
        train(tmp_path / "refused", ClassifyOptions(characters="cnn"), films, parent=tmp_path / "run")


def test_a_model_that_reads_characters_is_fine_tuned(tmp_path, train, films):
    trained = train(tmp_path / "run", ClassifyOptions(**TINY, **SPELLED), films)
    child = train(tmp_path / "child", ClassifyOptions(learning_rate=1e-9), films, parent=tmp_path / "run")
    for one, other in zip(child.answer(TEXTS), trained.answer(TEXTS), strict=True):
        same(one, other, within=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**SPELLED, "encoder": "none", "attention": "bag"},
        {**SPELLED, "adversarial": 0.5, "self_attention": "scaled-dot"},
        {"attention": "structured-self-attention", "penalty": 0.1, "encoder": "gru", "word_dropout": 0.3},
        {"encoder": "transformer", "self_attention": "additive", "balance": True, "smoothing": 0.1},
    ],
)
def test_resumed_it_ends_with_the_same_bits(resumed, films, options):
    resumed(ClassifyOptions(**TINY, **options), films)


def test_a_resumed_document_classifier_ends_with_the_same_bits(resumed, reviews):
    characters = {**SPELLED, "characters": "lstm"}
    options = {"documents": True, "several": True, "balance": True, "adversarial": 1.0}
    resumed(ClassifyOptions(**TINY, **characters, **options), reviews)


def test_a_run_holds_what_it_should(classify_run):
    names = {path.name for path in classify_run.iterdir()}
    assert names == {
        "config.json",
        "tokenizer.json",
        "labels.json",
        "weights.safetensors",
        "metrics.jsonl",
        "checkpoints",
        "tensorboard",
    }
    config = Run(classify_run).read_config()
    assert config["task"] == "classify"
    assert config["data"]["training_texts"] + config["data"]["validation_texts"] == 300
    assert sum(config["data"]["labels"].values()) == config["data"]["training_texts"]
    assert json.loads((classify_run / "labels.json").read_text())["labels"] == ["bad", "good", "odd"]
    torch.load(classify_run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"labels": 3, "counts": [], "texts": 1}', "\x00"])
def test_broken_labels_are_named(tmp_path, train, films, text):
    train(tmp_path / "run", ClassifyOptions(**TINY), films)
    (tmp_path / "run" / "labels.json").write_text(text)
    with pytest.raises(RunError, match=r"labels\.json: expected labels with their counts; got .+"):
        load(tmp_path / "run")


def test_fine_tuning(tmp_path, train, films, classify_run, tag_run):
    before = (classify_run / "weights.safetensors").read_bytes()
    child = train(tmp_path / "child", ClassifyOptions(learning_rate=1e-9), films, parent=classify_run)
    assert (classify_run / "weights.safetensors").read_bytes() == before
    for one, other in zip(child.answer(TEXTS), load(classify_run).answer(TEXTS), strict=True):
        same(one, other, within=1e-3)
    config = Run(tmp_path / "child").read_config()
    assert (config["from"], config["options"]["hidden"]) == (str(classify_run), 16)
    other = tmp_path / "other.tsv"
    other.write_text("bad\tit was dull\nugly\tit was awful\n")
    refused = [
        (films, {"hidden": 64}, classify_run, OptionError, r"--hidden must stay 16, with which .* was made; got 64"),
        (films, {"documents": True}, classify_run, OptionError, r"--documents must stay False, .*; got True"),
        (films, {}, tag_run, RunError, r"expected a run of the task classify; got tag"),
        (other, {}, classify_run, DataError, r"other\.tsv:2: expected a label of the training .*; got 'ugly'"),
    ]
    for file, options, parent, kind, line in refused:
        with pytest.raises(kind, match=line):
            train(tmp_path / "refused", ClassifyOptions(**options), file, parent=parent)
        assert not (tmp_path / "refused").exists()


def vectors(folder: Path, width: int) -> Path:
    path = folder / "vectors.txt"
    path.write_text(
        "".join(f"{word} {' '.join([str(n)] * width)}\n" for n, word in enumerate(("film", "dull", "zoo"), 1))
    )
    return path


def test_word_vectors_begin_the_embedding(tmp_path, train, films):
    said: list[str] = []
    options = ClassifyOptions(**TINY, vectors=str(vectors(tmp_path, 6)), learning_rate=1e-12)
    trained = train(tmp_path / "run", options, films, said=said)
    assert any("vectors.txt: vectors for " in line for line in said)
    table, vocabulary = trained.model.embed[0].table.weight, trained.codec.vocabulary
    for word, value in (("film", 1.0), ("dull", 2.0)):
        for identity in vocabulary.encode(f"{word} {word}").ids[:-1]:
            torch.testing.assert_close(table[identity], torch.full((6,), value), atol=1e-3, rtol=0)
    assert table[vocabulary.encode("story").ids[0]].abs().max() < 0.6
    (tmp_path / "vectors.txt").unlink()
    load(tmp_path / "run")  # the file is not needed any more


def test_a_resumed_training_does_not_read_its_vectors_again(tmp_path, resumed, films):
    file = vectors(tmp_path, 6)
    resumed(ClassifyOptions(**TINY, vectors=str(file)), films, gone=file)


def test_word_vectors_of_another_width_leave_nothing_behind(tmp_path, train, films):
    options = ClassifyOptions(**TINY, vectors=str(vectors(tmp_path, 5)))
    line = r"--embedding must be the width of the vectors; got 6, but those of .*vectors\.txt are 5"
    with pytest.raises(OptionError, match=line):
        train(tmp_path / "run", options, films)
    assert not (tmp_path / "run").exists()
    (tmp_path / "vectors.txt").unlink()
    with pytest.raises(DataError, match=r"vectors\.txt: expected a readable file"):
        train(tmp_path / "run", options, films)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("pooling", [*POOLINGS, *PLAIN])
@pytest.mark.parametrize("nested", [False, True])
def test_every_pooling_trains(pooling, nested):
    torch.manual_seed(1)
    options = ClassifyOptions(
        **TINY, attention=pooling, documents=nested, penalty=0.1 if pooling in POOLINGS[:0] else 0.0
    )
    learner, batch = untrained(options), batch_of(nested)
    optimizer = torch.optim.SGD(learner.parameters(), 0.1)
    losses = []
    for _ in range(5):
        step = learner.objective(batch)
        optimizer.zero_grad()
        step.loss.backward()
        optimizer.step()
        losses.append(step.loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in learner.parameters())


def untrained(options: ClassifyOptions, counts: tuple[int, ...] = (5, 2), texts: int = 7) -> ClassifyLearner:
    from saccade.data.tokens import learn
    from saccade.tasks.classify.classifier import LabelCodec

    codec = LabelCodec(learn(["a b c d e"], "word"), ("x", "y", "z")[: len(counts)], counts, texts)
    return ClassifyLearner(Classify().new_model(options, codec).eval(), options, counts, texts)


def batch_of(nested: bool, labels: torch.Tensor | None = None) -> LabelledBatch:
    ids, lengths = torch.tensor([[4, 5, 6, 7], [5, 6, 0, 0], [8, 0, 0, 0]]), torch.tensor([4, 2, 1])
    if nested:
        ids, lengths = (
            torch.stack([ids, ids * (ids > 6)], 1).sort(descending=True).values,
            torch.stack([lengths, lengths.new_tensor([1, 0, 1])], 1),
        )
    return LabelledBatch(ids, lengths, torch.tensor([0, 1, 1]) if labels is None else labels)


def test_balanced_labels_all_count_alike():
    learner = untrained(ClassifyOptions(**TINY, balance=True))
    torch.testing.assert_close(learner.class_weights, torch.tensor([7 / (2 * 5), 7 / (2 * 2)]))
    assert untrained(ClassifyOptions(**TINY)).class_weights is None
    batch = batch_of(False)
    plain = count(learner.model(batch.ids, batch.lengths).logits, batch.labels).loss
    weights = learner.class_weights[batch.labels]
    torch.testing.assert_close(learner.objective(batch).loss, (plain * weights).sum() / weights.sum())
    torch.testing.assert_close(learner.objective(batch).total, plain.sum())


def test_balanced_labels_of_which_texts_have_several():
    learner = untrained(ClassifyOptions(**TINY, balance=True, several=True))
    torch.testing.assert_close(learner.class_weights, torch.tensor([2 / 5, 5 / 2]))
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    batch = batch_of(False, labels)
    likely = learner.model(batch.ids, batch.lengths).logits.sigmoid()
    each = -(labels * likely.log() * torch.tensor([2 / 5, 5 / 2]) + (1 - labels) * (1 - likely).log())
    torch.testing.assert_close(learner.objective(batch).loss, each.sum(1).mean())


def test_what_is_said():
    logits = torch.tensor([[0.1, 0.3, -1.0], [-0.1, -3.0, -0.2]])
    assert decide(logits, several=False).tolist() == [[False, True, False], [True, False, False]]
    assert decide(logits, several=True).tolist() == [[True, True, False], [False, False, False]]


def test_a_view_that_repeats_another_costs():
    options = {**TINY, "attention": "structured-self-attention"}
    batch, losses = batch_of(False), []
    for penalty in (0.0, 0.5, 1.0):
        torch.manual_seed(1)
        losses.append(untrained(ClassifyOptions(**options, penalty=penalty)).objective(batch).loss.item())
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    assert losses[1] > losses[0]


def test_uneven_labels_and_long_texts_are_told(tmp_path, train):
    path = tmp_path / "a.tsv"
    lines = [f"{'rare' if n % 20 == 7 else 'often'}\tword {n} {'long ' * (n % 10)}\n" for n in range(100)]
    path.write_text("\n".join(lines))
    said: list[str] = []
    train(tmp_path / "run", ClassifyOptions(**TINY, max_length=5), path, valid=(path,), said=said)
    assert f"{path}: skipped 99 empty lines" in said
    assert "60 training texts are longer than what is read of them (--max-length)" in said
    assert "labels are uneven: 95 texts of 'often', 5 of 'rare' (make them count alike with --balance)" in said
    data = Run(tmp_path / "run").read_config()["data"]
    assert (data["labels"], data["cut"]) == ({"often": 95, "rare": 5}, 60)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"attention": "nonsense"}, r"^--attention must be of .*context-vector.*, last; got 'nonsense'$"),
        ({"self_attention": "location"}, r"^--self-attention must be of none, multi-head, .*; got 'location'$"),
        ({"hidden": 7}, r"^--hidden must be even, .*; got 7$"),
        ({"encoder": "transformer", "hidden": 8, "heads": 3}, r"^--hidden must be a multiple of --heads; got 8 and 3$"),
        (
            {"self_attention": "multi-head", "hidden": 8, "heads": 3},
            r"^--hidden must be a multiple of --heads; got 8 and 3$",
        ),
        (
            {"self_attention": "multi-head", "encoder": "none", "embedding": 6, "heads": 4},
            r"^--embedding must be a multiple of --heads; got 6 and 4$",
        ),
        (
            {"attention": "last", "encoder": "none"},
            r"^--attention last needs .*; got --encoder none and --self-attention",
        ),
        (
            {"attention": "last", "encoder": "lstm", "self_attention": "additive"},
            r"^--attention last needs .* --self-attention additive$",
        ),
        (
            {"penalty": 0.5},
            r"^--penalty needs --attention structured-self-attention or multi-hop, .*; got context-vector$",
        ),
        ({"penalty": -1.0}, r"^--penalty must be at least 0; got -1.0$"),
        ({"adversarial": -1.0}, r"^--adversarial must be at least 0; got -1.0$"),
        ({"smoothing": 1.0}, r"^--smoothing must be at least 0 and below 1; got 1.0$"),
        ({"word_dropout": -0.1}, r"^--word-dropout must be at least 0 and below 1; got -0.1$"),
        ({"vectors": "v", "level": "char"}, r"^--vectors needs --level word; got char$"),
        ({"characters": "cnn", "level": "bpe"}, r"^--characters needs --level word; got bpe$"),
        ({"character_hidden": 5}, r"^--character-hidden must be even, .*; got 5$"),
        ({"character_embedding": 0}, r"^--character-embedding must be at least 1; got 0$"),
        (
            {"self_attention": "multi-head", "encoder": "none", "characters": "cnn", "embedding": 4, "heads": 4},
            r"^--embedding and --character-hidden together must be a multiple of --heads; got 54 and 4$",
        ),
        ({"vocab_size": 4}, r"^--vocab-size must be at least 5; got 4$"),
        ({"level": "bpe", "vocab_size": 299}, r"^--vocab-size must be at least 300; got 299$"),
        ({"max_sentences": 0}, r"^--max-sentences must be at least 1; got 0$"),
    ],
)
def test_options_that_cannot_be(options, line):
    with pytest.raises(OptionError, match=line):
        ClassifyOptions(**options)


def test_the_sentence_and_the_word_that_decide_outweigh_the_others(tmp_path):
    """Documents of several sentences, of which one has the one word that decides: it is found at both levels."""
    import random

    from saccade.tasks.base import Start
    from saccade.training.fit import fit

    rng = random.Random(3)
    fillers = [
        "it",
        "was",
        "the",
        "story",
        "of",
        "a",
        "man",
        "who",
        "went",
        "home",
        "and",
        "slept",
        "there",
        "in",
        "town",
    ]

    def document() -> tuple[str, list[str], int]:
        label = rng.choice(("bad", "good"))
        sentences = [rng.choices(fillers, k=rng.randint(4, 9)) for _ in range(rng.randint(3, 6))]
        place = rng.randrange(len(sentences))
        sentences[place].insert(rng.randint(0, len(sentences[place])), {"bad": "awful", "good": "superb"}[label])
        return label, [" ".join(words) for words in sentences], place

    path = tmp_path / "documents.jsonl"
    made = [document() for _ in range(600)]
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for label, text, _ in made), "utf-8")
    options = ClassifyOptions(
        documents=True, encoder="gru", embedding=16, hidden=16, epochs=8, learning_rate=0.01, dropout=0.1
    )
    trained = fit(tmp_path / "run", options, Start(LabelledFile((path,)), None), device="cpu", say=lambda line: None)
    found = 0
    for label, text, place in [document() for _ in range(100)]:
        verdict = trained(text)
        assert verdict.labels == (label,)
        among = verdict.sentences[0]
        word = verdict.source[place].index("awful" if label == "bad" else "superb")
        weights = verdict.weights[place][0]
        rest = [*weights[:word], *weights[word + 1 :]]
        found += among[place] > max(np.delete(among, place)) and weights[word] > max(rest)
    assert found >= 95
