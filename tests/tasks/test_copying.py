"""The pointer-generator: names that nobody has seen are copied, letter for letter."""

import random

import pytest
import torch

from saccade.cli import main
from saccade.data.pairs import Pair, PairFile, to_tsv
from saccade.errors import OptionError
from saccade.tasks.base import Start
from saccade.tasks.load import load
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit

WHEN, WHERE = ("today", "tomorrow", "tonight", "now"), ("home", "work", "school", "sea")


def messages(count: int, seed: int) -> list[tuple[str, str]]:
    """Reminders, each with a name of its own: `call Xilu at work today` is `today , work : Xilu`."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        name = "".join(rng.choice("bcdfgklmnprstvxz") + rng.choice("aeiou") for _ in range(3)).title()
        when, where = rng.choice(WHEN), rng.choice(WHERE)
        made.append((f"call {name} at {where} {when}", f"{when} , {where} : {name}"))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with copying and one without, a few seconds each."""
    folder = tmp_path_factory.mktemp("copying")
    (folder / "train.tsv").write_text(to_tsv(messages(1000, seed=1)), "utf-8")
    for copy in (True, False):
        options = TranslateOptions(
            level="word", vocab_size=20, copy=copy, embedding=16, hidden=32, epochs=12, learning_rate=0.01
        )
        start = Start(PairFile((folder / "train.tsv",)), None)
        fit(folder / str(copy), options, start, device="cpu", say=lambda line: None)
    return folder


def test_unseen_names_are_copied(trained):
    unseen = [Pair(*pair) for pair in messages(200, seed=2)]
    with_copying, without = (load(trained / str(copy)).evaluate(unseen) for copy in (True, False))
    assert with_copying.exact_match >= 0.95
    assert without.exact_match == 0
    assert with_copying.loss < without.loss


def test_answers_and_labels_are_the_words_of_the_source(trained):
    translate = load(trained / "True")
    text = "call Zoë at sea now"
    answer = translate(text)
    assert answer.text == "now , sea : Zoë"
    assert "Zoë" in answer.target
    copied = answer.target.index("Zoë")
    assert answer.source[answer.weights[copied].argmax()] == "Zoë"
    assert len(answer.copied) == len(answer.target)
    assert answer.copied[copied] > 0.99  # no vocabulary has it
    assert answer.copied[answer.target.index(":")] < 0.5  # no source has it
    assert not load(trained / "False")(text).copied
    best = translate.answer([text, "call Bo at work today"], beam=4, nbest=2)
    assert best[1][0].text == "today , work : Bo"
    assert all(len(answers) == 2 for answers in best)


def test_the_commands_copy(trained, capsys, tmp_path):
    run = str(trained / "True")
    assert main(["predict", run, "call Zoë at home tonight"]) == 0
    assert capsys.readouterr().out == "tonight , home : Zoë\n"
    assert main(["describe", run]) == 0
    assert "PointerGenerator" in capsys.readouterr().out
    assert main(["show", run, "call Zoë at home tonight", "--png", str(tmp_path / "map.png")]) == 0
    more = tmp_path / "more.tsv"
    more.write_text(to_tsv(messages(50, seed=3)), "utf-8")
    command = ["train", "translate", "--from", run, "--train", str(more), "--out", str(tmp_path / "run")]
    assert main([*command, "--epochs", "1"]) == 0
    assert load(tmp_path / "run").model.config.copy


@pytest.mark.parametrize("attention", ["argmax", "gumbel", "reinforce", "monotonic", "additive+sparsemax+local-p"])
def test_weights_that_miss_the_word_to_copy_are_a_finite_loss(tmp_path, attention):
    (tmp_path / "train.tsv").write_text(to_tsv(messages(60, seed=1)), "utf-8")
    options = TranslateOptions(level="word", vocab_size=20, copy=True, attention=attention, hidden=8, epochs=1)
    start = Start(PairFile((tmp_path / "train.tsv",)), None)
    translate = fit(tmp_path / "run", options, start, device="cpu", say=lambda line: None)
    assert all(weight.isfinite().all() for weight in translate.model.state_dict().values())


@pytest.mark.parametrize("level", ["char", "word", "bpe"])
def test_every_level_writes_and_copies(tmp_path, level):
    (tmp_path / "train.tsv").write_text(to_tsv(messages(60, seed=1)), "utf-8")
    options = TranslateOptions(level=level, vocab_size=300, copy=True, hidden=8, epochs=1)
    start = Start(PairFile((tmp_path / "train.tsv",)), None)
    translate = fit(tmp_path / "run", options, start, device="cpu", say=lambda line: None)
    with torch.no_grad():
        translate.model.decoder.copier.gate.bias.fill_(-40)  # never write, so that every token is one of the source
    text = "call Zoë (Ж) at sea"
    for answer in translate.answer([text], beam=3, nbest=3)[0]:
        assert answer.text
        assert set(answer.target) <= set(answer.source)
    assert 0 <= translate.evaluate([Pair(text, "sea : Zoë")]).token_accuracy <= 1


def test_nothing_to_copy_with():
    with pytest.raises(OptionError, match=r"^--copy needs weights to copy with; got --attention none$"):
        TranslateOptions(copy=True, attention="none")
    with pytest.raises(OptionError, match=r"^--coverage-loss needs weights, which none has; got 1.0$"):
        TranslateOptions(coverage_loss=1.0, attention="none")
    with pytest.raises(OptionError, match=r"^--half-width must be at least 1; got 0$"):
        TranslateOptions(half_width=0)
