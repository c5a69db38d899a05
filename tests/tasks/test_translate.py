"""The translator: its answers, its measures, what it says of strange inputs."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from saccade.data.paircorpus import Vocabularies, encode
from saccade.data.pairs import Pair
from saccade.data.tokens import learn
from saccade.errors import OptionError
from saccade.tasks.base import Start
from saccade.tasks.devices import pick_device
from saccade.tasks.load import load
from saccade.tasks.translate.learner import TranslateLearner
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.task import Translate
from saccade.tasks.translate.translator import Longest, Translator, new_model
from saccade.training.fit import train


def untrained(attention: str = "additive", hidden: int = 8) -> Translator:
    torch.manual_seed(1)
    vocabularies = Vocabularies(learn(["0123456789-"], "char"), learn(["0123456789-"], "char"))
    options = TranslateOptions(level="char", attention=attention, hidden=hidden, embedding=4)
    return Translator(new_model(options, vocabularies), vocabularies, Longest(4, 6))


def test_an_answer_does_not_depend_on_its_company(run_folder):
    translate, texts = load(run_folder), [f"{n:03d}"[: n % 3 + 1] for n in range(200)]
    for text, (together,) in zip(texts, translate.answer(texts), strict=True):
        alone = translate(text)
        assert together.text == alone.text
        assert together.score == pytest.approx(alone.score, abs=1e-4)
        assert together.weights == pytest.approx(alone.weights, abs=1e-5)


@pytest.mark.parametrize("attention", ["additive", "dot", "location-sensitive", "none"])
def test_an_answer_is_the_same_to_the_bit_in_any_company(attention):
    """Untrained, so that the best tokens stand close together."""
    translate, draw = untrained(attention, 64), random.Random(3)
    translate.longest = Longest(20, 6)
    with torch.no_grad():
        translate.model.decoder.output.bias[2] -= 3  # answers are long
    texts = ["".join(draw.choices("0123456789-", k=draw.randint(1, 19))) for _ in range(70)]
    mixed = draw.sample(range(70), 70)
    for beam in (1, 5):
        together = [best for (best,) in translate.answer(texts, beam=beam)]
        sevens = [mixed[begin : begin + 7] for begin in range(0, 70, 7)]
        for some in [[n] for n in range(0, 70, 14)] + sevens[::2]:
            for place, (best,) in zip(some, translate.answer([texts[n] for n in some], beam=beam), strict=True):
                expected = together[place]
                assert (best.text, best.score) == (expected.text, expected.score)
                assert attention == "none" or np.array_equal(best.weights, expected.weights)


def test_weights_are_a_row_for_each_token_written_and_a_column_for_each_token_read(run_folder):
    for answers in load(run_folder).answer(["1", "12", "123", "123123123"], nbest=4):
        for answer in answers:
            assert answer.weights.shape == (len(answer.target), len(answer.source))
            assert answer.weights.sum(-1) == pytest.approx(1, abs=1e-5)
            assert "".join(token for token in answer.target if token != "</s>") == answer.text


def test_answers_end_even_where_the_model_never_does():
    translate = untrained()
    with torch.no_grad():
        translate.model.decoder.output.bias[2] = -1e9
    for text in ("1", "12345678"):
        (answer,) = translate.answer([text])[0]
        assert "</s>" not in answer.target
        assert len(answer.target) == len(answer.text) == 2 * 6 * max(len(text) + 1, 4) // 4 + 1
        assert len(translate.answer([text], beam=3)[0][0].text) == len(answer.text)


def test_without_attention_there_are_answers_and_no_weights():
    answer = untrained("none")("12")
    assert answer.weights is None
    assert answer.source == ("1", "2", "</s>")


def test_measures_are_what_they_say(run_folder):
    translate = load(run_folder)
    pairs = [Pair("123", "3-2-1"), Pair("007", "nonsense"), Pair("5", "5")]
    scores, forced = translate.evaluate(pairs), translate.teacher_forced(pairs)
    losses = [translate.teacher_forced([pair]) for pair in pairs]
    assert forced.loss_sum == pytest.approx(sum(one.loss_sum for one in losses), rel=1e-5)
    assert forced.tokens == sum(len(pair.target) + 1 for pair in pairs)
    assert scores.loss == pytest.approx(forced.loss_sum / forced.tokens)
    assert scores.loss_sum_per_example == pytest.approx(forced.loss_sum / 3)
    # An ended answer's score is minus the summed loss of that answer.
    answer = translate("123")
    assert -answer.score == pytest.approx(translate.teacher_forced([Pair("123", answer.text)]).loss_sum, abs=1e-4)
    assert scores.exact_match == sum(translate(pair.source).text == pair.target for pair in pairs) / 3


def test_doubts(run_folder):
    translate = load(run_folder)
    assert translate.doubts("123") == []
    assert translate.doubts(" ") == ["the input is empty, and so is the answer"]
    assert translate.doubts("1x2y1x") == [
        "never seen in training: x y",
        "longer than any training input: 7 tokens, at most 4 seen",
    ]


def test_devices():
    assert pick_device("auto").type in ("cpu", "cuda")
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(OptionError, match=r"--device must be auto or one that is here \(cpu"):
        pick_device("abacus")
    with pytest.raises(OptionError, match="--beam and --nbest must be at least 1; got 0 and 1"):
        untrained().answer(["1"], beam=0)


def test_word_vectors_begin_both_embeddings(tmp_path):
    (tmp_path / "pairs.tsv").write_text("a b\tx y\n" * 30 + "b a\ty x\n" * 30, "utf-8")
    (tmp_path / "source.txt").write_text("a 1 2 3\nb 4 5 6\n", "utf-8")
    (tmp_path / "target.txt").write_text("y 7 8 9\n", "utf-8")
    options = TranslateOptions(
        level="word",
        embedding=3,
        hidden=4,
        vectors=str(tmp_path / "source.txt"),
        target_vectors=str(tmp_path / "target.txt"),
    )
    task, said = Translate(), []
    start = Start(task.files((tmp_path / "pairs.tsv",), task.columns, options), None)
    codec = task.learn(start, start.train, options)
    model = task.new_model(options, codec)
    before = model.decoder.embedding.weight.clone()
    task.begin(model, options, codec, said.append)
    source, target = codec.source.tokenizer.token_to_id, codec.target.tokenizer.token_to_id
    assert model.source_embedding.weight[source("▁a")].tolist() == [1, 2, 3]
    assert model.decoder.embedding.weight[target("▁y")].tolist() == [7, 8, 9]
    assert torch.equal(model.decoder.embedding.weight[target("▁x")], before[target("▁x")])
    assert len(said) == 2
    wide = replace(options, embedding=4)
    with pytest.raises(
        OptionError, match=r"^--embedding must be the width of the vectors; got 4, but those of .* are 3$"
    ):
        task.begin(task.new_model(wide, codec), wide, codec, said.append)
    with pytest.raises(OptionError, match="--vectors and --target-vectors need --level word; got bpe"):
        TranslateOptions(vectors="x")


CHINESE = [(f"{half}{hour}点{rest}", f"{12 * (half == '下午') + number}:{minutes}")
           for half in ("上午", "下午") for number, hour in enumerate("一二三四五六七八九十", 1)
           for rest, minutes in (("整", "00"), ("一刻", "15"), ("半", "30"))]  # fmt: skip


@pytest.mark.parametrize("level", ["char", "unigram"])
@pytest.mark.parametrize("shared", [False, True])
def test_chinese_without_spaces_is_read_in_pieces(tmp_path, level, shared):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{source}\t{target}\n" for source, target in CHINESE), "utf-8")
    options = TranslateOptions(
        level=level, vocab_size=330, shared=shared, embedding=8, hidden=8, epochs=1, batch_tokens=64
    )
    translate = train(options, pairs, tmp_path / "run", device="cpu")
    answer = translate("下午三点一刻")
    assert "".join(answer.source[:-1]) == "下午三点一刻"
    assert answer.weights.shape == (len(answer.target), len(answer.source))
    assert (len(answer.source) < 7) == (level == "unigram")
    assert translate.doubts("下午三点一刻") == []
    source, target = translate.vocabularies
    assert (source.to_json() == target.to_json()) == shared
    assert translate("下午\0🦉").source[-1] == "</s>"
    assert (target.identity("下") is not None) == (shared and level == "char") or level == "unigram"


def test_batches_of_tokens_are_no_batches_of_sentences():
    with pytest.raises(OptionError, match=r"^--batch-tokens takes the place of --batch-size; got both, 64 sentences$"):
        TranslateOptions(batch_tokens=4096, batch_size=64)
    with pytest.raises(OptionError, match=r"^--batch-tokens must be at least 0; got -1$"):
        TranslateOptions(batch_tokens=-1)


def test_the_loss_of_a_batch_is_the_mean_over_its_target_tokens():
    translate = untrained()
    learner = TranslateLearner(translate.model, TranslateOptions())
    encoded = encode([Pair("12", "12"), Pair("34567", "3456789"), Pair("1", "1")], translate.vocabularies, copy=False)
    whole, *alone = (learner.objective(encoded.batch(rows)) for rows in ([0, 1, 2], [0], [1], [2]))
    counted = sum(one.counted.item() for one in alone)
    assert counted == whole.counted.item() == 3 + 8 + 2
    assert whole.loss.item() == pytest.approx(sum(one.total.item() for one in alone) / counted, rel=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        {"batch_size": 16},
        {"batch_size": 16, "copy": True},
        {"batch_size": 16, "attention": "reinforce"},  # also draws, and keeps a baseline
        {"batch_tokens": 150, "shared": True},  # the round ends within an epoch
    ],
    ids=str,
)
def test_resumed_it_ends_with_the_same_bits(resumed, digits, more):
    """A round of 30 steps is longer than an epoch of batches of 16."""
    resumed(TranslateOptions(level="char", embedding=8, hidden=16, dropout=0.2, **more), digits, steps=30)
