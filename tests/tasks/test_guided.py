"""Attention that is guided by links: its loss, what it learns, and what it leaves alone."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.alignments import Choice
from saccade.alignments.weights import likeliest
from saccade.attention.losses import alignment_loss
from saccade.data.linked import LinkedPair
from saccade.data.paircorpus import PairCorpus, Vocabularies, encode_pairs
from saccade.data.tokens import learn
from saccade.errors import DataError, OptionError
from saccade.metrics import alignment_scores
from saccade.runs import Run
from saccade.tasks.load import load
from saccade.tasks.translate.aligning import align
from saccade.tasks.translate.learner import TranslateLearner
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import Longest, Translator, new_model

HALVES = {
    "before": {"level": "char", "hidden": 24, "embedding": 12},
    "after": {"level": "char", "hidden": 24, "embedding": 12, "attend": "after"},
    "transformer": {
        "level": "char",
        "encoder": "transformer",
        "decoder": "transformer",
        "hidden": 24,
        "layers": 3,
        "heads": 3,
    },
}
GUIDED = {"guided": 0.5, "alignments": "links"}


def copies(count: int, *, turned: bool, seed: int = 1) -> list[LinkedPair]:
    """Words and the same words again, linked in order or the first one to the last."""
    rng = random.Random(seed)
    texts = [[rng.choice("abcdefg") * rng.randint(1, 2) for _ in range(rng.randint(2, 5))] for _ in range(count)]
    links = ({(len(words) - 1 - n if turned else n, n) for n in range(len(words))} for words in texts)
    return [LinkedPair(" ".join(words), " ".join(words), some) for words, some in zip(texts, links, strict=True)]


def learner(folder: Path, pairs: list[LinkedPair], **options: object) -> tuple[TranslateLearner, PairCorpus]:
    torch.manual_seed(1)
    both = Vocabularies(*[learn([pair.source for pair in pairs], "char")] * 2)
    chosen = TranslateOptions(**{"dropout": 0.0, **options})
    return TranslateLearner(new_model(chosen, both), chosen), encode_pairs(folder, "some", pairs, both, 99, linked=True)


@pytest.mark.parametrize("half", HALVES)
def test_its_loss_equals_a_plain_loop(tmp_path, half):
    guided, corpus = learner(tmp_path, copies(5, turned=True), **HALVES[half], **GUIDED)
    plain = TranslateLearner(guided.model, replace(guided.options, guided=0.0, alignments=None))
    batch = corpus.batch(np.arange(5))
    added = guided.objective(batch).loss - plain.objective(batch._replace(links=None)).loss
    given = batch.source, batch.lengths, batch.before
    looked, read = guided.model(*given).weights, 0
    if half == "transformer":  # one head of the layer before the last, where the token was read
        looked, read = guided.model.every_head(*given)[1][1][:, 0], 1
    loss = 0.0
    for b, i in np.argwhere(batch.links.any(2).numpy()).tolist():
        linked = batch.links[b, i].nonzero()[:, 0].tolist()
        loss -= sum(math.log(looked[b, i + read, j].item()) for j in linked) / len(linked)
    assert added.item() == pytest.approx(0.5 * loss / int((batch.target > 0).sum()), abs=1e-5)
    objective = guided.objective(batch)
    assert objective.total == pytest.approx(plain.objective(batch).total)  # what is told is the plain loss


def test_a_weight_of_nothing_is_no_infinity():
    weights = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    loss = alignment_loss(weights, torch.tensor([[[True, False]]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(-math.log(1e-9))
    assert weights.grad.tolist() == [[[0.0, 0.0]]]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("half", HALVES)
def test_it_learns_the_links_that_it_is_given(tmp_path, half, turned):
    """The same texts with one alignment or with another: words twice as wide as a token are linked whole."""
    guided, corpus = learner(tmp_path, copies(300, turned=turned), **HALVES[half], **{**GUIDED, "guided": 1.0})
    steps = 160
    optimizer = torch.optim.Adam(guided.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, steps)
    for some in batches(len(corpus), steps):
        optimizer.zero_grad()
        guided.objective(corpus.batch(some)).loss.backward()
        torch.nn.utils.clip_grad_norm_(guided.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    new = copies(100, turned=turned, seed=2)
    translator = Translator(guided.model, corpus_vocabularies(new), Longest(9, 9), alignment=guided.options.alignment)
    said = [likeliest(one.weights) for one in align(translator, [pair[:2] for pair in new])]
    assert alignment_scores(said, [pair.links for pair in new], [set()] * len(new)).aer < 0.05


def corpus_vocabularies(pairs: list[LinkedPair]) -> Vocabularies:
    return Vocabularies(*[learn([pair.source for pair in pairs], "char")] * 2)


def batches(count: int, steps: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(3)
    return (rng.choice(count, 16, replace=False) for _ in range(steps))


@pytest.fixture
def files(tmp_path) -> Path:
    """60 pairs, with links of each."""
    pairs = copies(60, turned=False)
    (tmp_path / "pairs.tsv").write_text("".join(f"{pair.source}\t{pair.target}\n" for pair in pairs), "utf-8")
    links = (" ".join(f"{a}-{b}" for a, b in sorted(pair.links)) for pair in pairs)
    (tmp_path / "links").write_text("".join(f"{line}\n" for line in links), "utf-8")
    return tmp_path


SMALL = {"level": "char", "hidden": 8, "embedding": 4, "batch_size": 8, "dropout": 0.2}


@pytest.mark.parametrize("half", ["lstm", "transformer"])
def test_without_weight_nothing_changes_and_with_it_only_the_training(files, train, half):
    """Validation and what is held out are the same, and so is what comes of a loss that weighs nothing: to the bit, but
    for a Transformer, which makes its weights another way where they are asked for, with other last bits.
    """
    options = TranslateOptions(**SMALL, encoder=half, decoder=half)
    guided = replace(options, guided=1e-30, alignments=str(files / "links"))
    said = {name: [] for name in ("plain", "guided")}
    for name, some in (("plain", options), ("guided", guided)):
        train(files / name, some, files / "pairs.tsv", said=said[name])
    assert said["plain"] == said["guided"]
    plain, other = (Run(files / name).read_weights() for name in said)
    # Adam makes a step of its own size of the smallest gradient, such as that of a bias that softmax ignores.
    torch.testing.assert_close(other, plain, rtol=0.0, atol=0.0 if half == "lstm" else 0.02)
    train(files / "more", replace(guided, guided=1.0), files / "pairs.tsv")
    assert not all(torch.equal(plain[name], x) for name, x in Run(files / "more").read_weights().items())
    chosen = Choice(0, 0, shift=True) if half == "transformer" else Choice()
    assert load(files / "more").alignment == chosen
    assert load(files / "plain").alignment == Choice()


def test_links_go_with_their_pairs_where_some_are_held_out(files, train, monkeypatch):
    """Every third line is linked, and so is every pair of these that is trained on, to the same words."""
    lines = (files / "links").read_text().splitlines()
    (files / "links").write_text("".join(f"{line if n % 3 == 0 else ''}\n" for n, line in enumerate(lines)))
    pairs = [line.split("\t")[0] for line in (files / "pairs.tsv").read_text().splitlines()]
    linked, seen = {pairs[n] for n in range(0, 60, 3)}, []

    def spy(folder, name, examples, *arguments, **named):
        seen.append((name, named["linked"], list(examples)))
        return encode_pairs(folder, name, examples, *arguments, **named)

    monkeypatch.setattr("saccade.tasks.translate.task.encode_pairs", spy)
    options = TranslateOptions(**SMALL, guided=1.0, alignments=str(files / "links"))
    train(files / "run", options, files / "pairs.tsv")
    (name, with_links, training), (other, without, held_out) = seen
    assert (name, with_links, other, without) == ("training", True, "validation", False)
    assert held_out
    assert len(training) + len(held_out) == 60
    for pair in training:
        assert bool(pair.links) == (pair.source in linked)
        assert pair.links in (set(), {(n, n) for n in range(len(pair.source.split()))})
    assert 0 < sum(bool(pair.links) for pair in training) <= 20


def test_files_to_validate_on_need_no_links(files, train):
    (files / "valid.tsv").write_text("a b\ta b\n", "utf-8")
    options = TranslateOptions(**SMALL, guided=1.0, alignments=str(files / "links"), copy=True)
    train(files / "run", options, files / "pairs.tsv", valid=(files / "valid.tsv",))
    assert Run(files / "run").read_config()["data"]["validation_pairs"] == 1


def test_a_guided_training_goes_on_with_the_same_bits(files, resumed):
    resumed(TranslateOptions(**SMALL, guided=1.0, alignments=str(files / "links")), files / "pairs.tsv")


def test_fine_tuning_may_begin_to_guide(files, train):
    options = TranslateOptions(**SMALL, encoder="transformer", decoder="transformer", layers=2)
    train(files / "plain", options, files / "pairs.tsv")
    guided = replace(options, guided=1.0, alignments=str(files / "links"), guided_layer=-1)
    train(files / "guided", guided, files / "pairs.tsv", parent=files / "plain")
    assert load(files / "guided").alignment == Choice(-1, 0, shift=True)


def test_a_broken_line_is_named(files, train):
    lines = (files / "links").read_text().splitlines()
    (files / "links").write_text("\n".join([*lines[:6], "9-0", *lines[7:]]))
    options = TranslateOptions(**SMALL, guided=1.0, alignments=str(files / "links"))
    with pytest.raises(DataError, match=r"links:7: expected links between \d source and \d target words.* got 9-0$"):
        train(files / "run", options, files / "pairs.tsv")
    assert not (files / "run").exists()


OPTIONS = {
    "--guided needs --alignments, the links to be guided by; got 0.5 alone": {"guided": 0.5},
    "--alignments needs --guided, the weight of their loss; got a alone": {"alignments": "a"},
    "--guided must be at least 0; got -1": {"guided": -1, "alignments": "a"},
    "--guided must be at least 0; got nan": {"guided": float("nan"), "alignments": "a"},
    "--guided must be a number; got inf": {"guided": float("inf"), "alignments": "a"},
    "--guided needs weights, which none has; got 1": {"guided": 1, "alignments": "a", "attention": "none"},
    "--guided-layer is for --guided with --decoder transformer; got 0": {
        "guided": 1,
        "alignments": "a",
        "guided_layer": 0,
    },
    "--guided-layer must be a layer of the decoder, -2 to 1; got 2": {
        "guided": 1,
        "alignments": "a",
        "guided_layer": 2,
        "decoder": "transformer",
        "layers": 2,
    },
}


@pytest.mark.parametrize("said", OPTIONS)
def test_options(said):
    with pytest.raises(OptionError) as caught:
        TranslateOptions(**OPTIONS[said])
    assert str(caught.value) == said
