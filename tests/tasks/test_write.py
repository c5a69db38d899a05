"""What captioners and recognisers are trained for, what is searched, and the codec of both."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, ctc_loss

from saccade.data import tokens
from saccade.data.tokens import END, PAD, START, learn
from saccade.data.writtencorpus import WrittenBatch
from saccade.errors import DataError, OptionError, RunError
from saccade.runs import Run
from saccade.tasks.base import Start
from saccade.tasks.caption.captioner import new_model
from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.load import task_of
from saccade.tasks.reinforced import REWARD, Reinforced
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.learner import ENTROPY, WriteLearner
from saccade.tasks.write.search import search

VOCABULARY = learn(["a b c d"], "word")
CODEC = WriteCodec(VOCABULARY, "images", (120.0,) * 3, (60.0,) * 3)
TINY = {"height": 8, "width": 16, "filters": 4, "halvings": 1, "hidden": 8, "embedding": 4, "dropout": 0.0}
LINES = {**TINY, "read": "columns", "width": 0, "attention": "additive"}


def learner(*, doubly_stochastic: float = 0.0, **options: object) -> WriteLearner:
    torch.manual_seed(1)
    chosen = CaptionOptions(**{**TINY, **options})
    return WriteLearner(new_model(chosen, CODEC), chosen, doubly_stochastic=doubly_stochastic)


def batch() -> WrittenBatch:
    torch.manual_seed(2)
    input, sizes = torch.randint(0, 256, (2, 8, 16, 3), dtype=torch.uint8), torch.tensor([[8, 16], [8, 10]])
    target = torch.tensor([[4, 5, 5, END], [6, END, PAD, PAD]])
    before = torch.tensor([[START, 4, 5, 5], [START, 6, END, PAD]])
    return WrittenBatch(input, sizes, before, target)


def forced_loss(model, some: WrittenBatch, smoothing: float = 0.0) -> torch.Tensor:
    logits = model(some.input, some.sizes, some.before).forced.logits
    return cross_entropy(
        logits.flatten(0, 1), some.target.flatten(), ignore_index=PAD, reduction="sum", label_smoothing=smoothing
    )


def ctc_alone(model, some: WrittenBatch) -> torch.Tensor:
    found = model(some.input, some.sizes, some.before)
    losses = [
        ctc_loss(found.ctc[row, : found.lengths[row]], torch.tensor(text), found.lengths[row], torch.tensor(len(text)))
        * len(text)
        for row, text in enumerate(([4, 5, 5], [6]))
    ]
    return torch.stack(losses).sum()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_ctc_and_attention_have_their_shares(share):
    found = learner(**LINES, ctc=share, label_smoothing=0.0).train(False)
    some, tokens_of = batch(), 6
    expected = (1 - share) * forced_loss(found.model, some)
    if share:
        expected = expected + share * ctc_alone(found.model, some)
    step = found.objective(some)
    torch.testing.assert_close(step.loss, expected / tokens_of)
    torch.testing.assert_close(step.total, expected)
    assert int(step.counted) == tokens_of
    assert found.check(some).loss == pytest.approx(float(expected), rel=1e-5)


def test_ctc_alone():
    found = learner(**LINES, ctc=1.0, decoder="none").eval()
    some = batch()
    torch.testing.assert_close(found.objective(some).loss, ctc_alone(found.model, some) / 6)
    figures = found.figures([found.check(some)])
    assert set(figures) == {"loss", "error_rate", "exact_match"}


def test_a_text_with_too_few_slots_costs_nothing():
    found = learner(**LINES, ctc=1.0, decoder="none").eval()
    some = batch()
    short = some._replace(sizes=torch.tensor([[8, 16], [8, 1]]), target=torch.tensor([[6, END, 0], [5, 5, END]]))
    one = found.objective(short)
    assert one.loss.isfinite()
    one.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in found.parameters())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_smoothing_is_of_the_training_alone(smoothing):
    found, some = learner(label_smoothing=smoothing).eval(), batch()
    step = found.objective(some)
    torch.testing.assert_close(step.loss, forced_loss(found.model, some, smoothing) / 6)
    torch.testing.assert_close(step.total, forced_loss(found.model, some))
    assert found.check(some).loss == pytest.approx(float(forced_loss(found.model, some)), rel=1e-5)


def test_every_place_is_to_be_looked_at():
    some = batch()
    plain, looking = (learner(doubly_stochastic=weight, label_smoothing=0.0).eval() for weight in (0.0, 0.5))
    weights = plain.model(some.input, some.sizes, some.before).forced.weights * (some.target != PAD)[..., None]
    lambdas = torch.zeros(())
    for row, places in enumerate((32, 20)):  # of 4 x 8 and of 4 x 5
        lambdas = lambdas + (1 - weights[row].sum(0)[:places]).square().sum()
    added = looking.objective(some).loss - plain.objective(some).loss
    assert float(added.detach()) * 6 / 0.5 == pytest.approx(float(lambdas.detach()), rel=1e-3)


def test_monotonic_attention_is_to_stop_once_for_each_token_before_the_end():
    some = batch()
    plain = learner(**(LINES | {"attention": "mocha"}), label_smoothing=0.0).eval()
    looking = WriteLearner(plain.model, plain.options, quantity=0.5).eval()
    weights = plain.model(some.input, some.sizes, some.before).forced.weights.detach()
    lost = sum(abs(1 - float(weights[row, i].sum())) for row, i in ((0, 0), (0, 1), (0, 2), (1, 0)))
    assert lost > 0.1
    added = looking.objective(some).loss - plain.objective(some).loss
    assert float(added.detach()) * 6 / 0.5 == pytest.approx(lost, rel=1e-4)


def test_drawn_attention_begins_soft():
    found = learner(attention="visual+reinforce").train()
    some, normalizer = batch(), found.model.decoder.attention.normalizer
    for share, expected in ((0.0, 1.0), (0.49, 1.0), (0.5, 0.5), (1.0, 0.5)):
        found.at(share)
        assert normalizer.expected == expected
    found.at(0.0)
    weights = found.model(some.input, some.sizes, some.before).forced.weights
    assert ((weights > 0).sum(-1) > 1).all()


def test_what_is_drawn_learns_from_its_reward():
    found, some = learner(attention="visual+reinforce", label_smoothing=0.0).train(), batch()
    torch.manual_seed(3)
    forced = found.model(some.input, some.sizes, some.before).forced
    losses = cross_entropy(forced.logits.flatten(0, 1), some.target.flatten(), ignore_index=PAD, reduction="none")
    reward, drawn = -losses.view(2, -1).sum(1).detach(), forced.state.attention.drawn
    expected = -reward.sum() - REWARD * ((reward + 2.0) * drawn.log_probability).sum() - ENTROPY * drawn.entropy.sum()
    found.reinforced.baseline = torch.tensor(-2.0)
    torch.manual_seed(3)
    step = found.objective(some)
    torch.testing.assert_close(step.loss, expected / 6)
    torch.testing.assert_close(found.reinforced.baseline, -2.0 * 0.9 + 0.1 * reward.mean())
    step.loss.backward()
    assert found.model.decoder.attention.v.grad.abs().sum() > 0


def test_the_baseline_begins_with_the_first_reward_and_is_saved():
    from saccade.attention.content import Drawn

    rule, reward = Reinforced(entropy=ENTROPY), torch.tensor([-3.0, -5.0])
    drawn = Drawn(torch.tensor([-1.0, -2.0]), torch.tensor([0.5, 0.25]))
    total = rule(torch.tensor(8.0), drawn, reward)
    assert float(rule.baseline) == -4.0
    assert float(total) == pytest.approx(8 - REWARD * (1.0 * -1 + -1.0 * -2) - ENTROPY * 0.75)
    assert rule.state_dict()["baseline"] == -4.0


def test_what_is_counted():
    found, some = learner(label_smoothing=0.0).eval(), batch()
    said = [best[0].tokens for best in search(found.model, some.input, some.sizes, [11, 7])]
    checked = found.check(some)
    assert (checked.tokens, checked.length, checked.examples) == (6, 4, 2)
    logits = found.model(some.input, some.sizes, some.before).forced.logits
    assert checked.right == int(((logits.argmax(-1) == some.target) & (some.target != PAD)).sum())
    assert checked.exact == sum(a == b for a, b in zip(said, ([4, 5, 5], [6]), strict=True))
    doubled = found.figures([checked, checked])
    assert doubled == pytest.approx(found.figures([checked]))
    assert doubled["error_rate"] == pytest.approx(checked.edits / 4)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_search_asks_ctc_with_its_share(beam):
    model, some = learner(**LINES, ctc=0.4).eval().model, batch()
    with torch.inference_mode():
        joint, alone, ctc = (
            search(model, some.input, some.sizes, [9, 9], beam=beam, share=share) for share in (None, 0.0, 1.0)
        )
        again = search(model, some.input, some.sizes, [9, 9], beam=beam, share=0.4)
    assert [one[0].score for one in joint] == [one[0].score for one in again]
    assert len({tuple(one[0].score for one in found) for found in (joint, alone, ctc)}) == 3


def test_the_codec_survives_its_run(tmp_path):
    run = Run(tmp_path)
    codec = WriteCodec(VOCABULARY, "features", (0.1, 2.5), (1.0, 0.3))
    codec.write(run)
    again = WriteCodec.read(run)
    assert dataclasses.replace(again, vocabulary=VOCABULARY) == codec
    assert again.vocabulary.encode("b d").ids == VOCABULARY.encode("b d").ids
    for text in ("", "[]", '{"mean": [1], "std": [1]}', '{"kind": "x", "mean": [1], "std": []}'):
        (tmp_path / "scale.json").write_text(text)
        with pytest.raises(RunError, match=r"scale\.json: expected "):
            WriteCodec.read(run)


def test_files_unlike_those_of_the_training_are_refused(tmp_path):
    codec = WriteCodec(VOCABULARY, "features", (0.1, 2.5), (1.0, 0.3))
    codec.check(tmp_path / "a.npy", "features", 2)
    with pytest.raises(DataError, match=r"a\.wav: expected features, as in training; got recordings"):
        codec.check(tmp_path / "a.wav", "recordings", 2)
    with pytest.raises(DataError, match=r"a\.npy: expected 2 numbers a frame, as in training; got 3"):
        codec.check(tmp_path / "a.npy", "features", 3)


BOTH = [
    ({"ctc": -0.1}, r"^--ctc must be a share, 0 to 1; got -0.1$"),
    ({"ctc": 1.1}, r"^--ctc must be a share, 0 to 1; got 1.1$"),
    ({"label_smoothing": 1.0}, r"^--label-smoothing must be a share, 0 to 0.99; got 1.0$"),
    ({"decoder": "none", "ctc": 0.5}, r"^--decoder none goes with --ctc 1; got --decoder none, --ctc 0.5$"),
    ({"ctc": 1.0}, r"^--decoder none goes with --ctc 1; got --decoder lstm, --ctc 1$"),
    ({"hidden": 7}, r"^--hidden must be even, half for each direction; got 7$"),
    ({"hidden": 0}, r"^--hidden must be at least 2; got 0$"),
    ({"decoder": "transformer", "hidden": 12, "heads": 4}, r"^--hidden must be an even multiple of --heads; got 12 an"),
    ({"attention": "bahdanau"}, r"^--attention must be of .*additive.*; got 'bahdanau'$"),
    ({"attention": "visual+local-m"}, r"^--attention must join visual with one normaliser alone.*; got 'visual\+loc"),
    ({"vocab_size": 4}, r"^--vocab-size must be at least 5; got 4$"),
    ({"level": "bpe", "vocab_size": 299}, r"^--vocab-size must be at least 300; got 299$"),
    *(
        ({name: 0}, rf"^--{name.replace('_', '-')} must be at least 1; got 0$")
        for name in ("embedding", "layers", "heads", "max_length", "encoder_layers")
    ),
]


@pytest.mark.parametrize(("options", "line"), BOTH)
@pytest.mark.parametrize("kind", [CaptionOptions, TranscribeOptions])
def test_options_that_cannot_be(kind, options, line):
    columns = {"read": "columns"} if kind is CaptionOptions and options.get("ctc") else {}
    with pytest.raises(OptionError, match=line):
        kind(**columns, **{"ctc": 0.0, **options})


OF_IMAGES = [
    *(({name: 0}, rf"^--{name} must be at least 1; got 0$") for name in ("height", "filters", "halvings", "depth")),
    ({"width": -1}, r"^--width must be at least 0; got -1$"),
    ({"warp": -0.1}, r"^--warp must be at least 0; got -0.1$"),
    ({"doubly_stochastic": -1.0}, r"^--doubly-stochastic must be at least 0; got -1.0$"),
    ({"ctc": 0.5}, r"^--ctc needs slots in order: --read columns; got --ctc 0.5 with regions$"),
    ({"hidden": 6}, r"^--hidden must be a multiple of 4, for places in two directions; got 6$"),
    ({"attention": "none", "doubly_stochastic": 1.0}, r"^--doubly-stochastic needs weights, which none has; got 1$"),
    ({"backbone_weights": "x"}, r"^--backbone-weights needs a --backbone; got x$"),
]
OF_SOUND = [
    ({"halvings": -1}, r"^--halvings must be at least 0; got -1$"),
    ({"rate": 999}, r"^--rate must be at least 1000; got 999$"),
    ({"mels": 0}, r"^--mels must be at least 1; got 0$"),
    ({"deltas": -1}, r"^--deltas must be at least 0; got -1$"),
    ({"deltas": 3}, r"^--deltas must be 0, 1 or 2; got 3$"),
    ({"halvings": 3}, r"^--halvings must be below --encoder-layers, between which they lie; got 3 and 3$"),
    *(
        ({name: -1}, rf"^--{name.replace('_', '-')} must be at least 0; got -1$")
        for name in ("frequency_mask", "time_mask", "masks")
    ),
    ({"streaming": True}, r"^--streaming needs --attention monotonic or mocha; got location-sensitive$"),
    ({"streaming": True, "decoder": "transformer"}, r"^--streaming needs a recurrent --decoder; got transformer$"),
    ({"streaming": True, "attention": "mocha"}, r"^--streaming needs --normalize training: .* before its end$"),
]


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [*((CaptionOptions, *one) for one in OF_IMAGES), *((TranscribeOptions, *one) for one in OF_SOUND)],
)
def test_options_of_each_that_cannot_be(kind, options, line):
    with pytest.raises(OptionError, match=line):
        kind(**options)


def test_tokens_that_ctc_must_not_write():
    assert tokens.PAD == 0  # its blank
    model, some = learner(**LINES, ctc=1.0, decoder="none").eval().model, batch()
    assert all(PAD not in best[0].tokens for best in search(model, some.input, some.sizes, [9, 9]))
    assert isinstance(np.float32(search(model, some.input, some.sizes, [9, 9])[0][0].score), np.float32)


def test_a_folder_that_was_moved_is_parted_as_before(tmp_path):
    parts = []
    for place in ("here", "there/deeper"):
        (tmp_path / place).mkdir(parents=True)
        for i in range(60):
            (tmp_path / place / f"{i}.png").touch()
        (tmp_path / place / "list.tsv").write_text("".join(f"{i}.png\ta\n" for i in range(60)))
        options = CaptionOptions()
        task = task_of(options)
        start = Start(task.files((tmp_path / place / "list.tsv",), task.columns, options), None)
        parts.append([[one.name for one in part] for part in task.parts(start, options, lambda _: None)])
    assert parts[0] == parts[1]
    assert all(parts[0])
