"""What a training minimises beside cross-entropy."""

import torch
from torch.nn.functional import cross_entropy

from saccade.attention.losses import coverage_loss
from saccade.data.paircorpus import Batch, Vocabularies, collate
from saccade.data.tokens import PAD, learn
from saccade.models.seq2seq import Seq2Seq
from saccade.tasks.reinforced import ENTROPY, REWARD
from saccade.tasks.translate.learner import TranslateLearner, count
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import new_model


def example(attention: str, coverage: float = 0.0) -> tuple[Seq2Seq, Batch, TranslateLearner]:
    torch.manual_seed(1)
    vocabulary = learn(["0123"], "char")
    options = TranslateOptions(
        level="char", attention=attention, hidden=8, embedding=4, dropout=0.0, coverage_loss=coverage
    )
    batch = collate([[4, 5, 6, 2], [5, 2]], [[4, 2], [5, 6, 7, 2]])
    model = new_model(options, Vocabularies(vocabulary, vocabulary))
    return model, batch, TranslateLearner(model, options)


def test_without_anything_else_it_is_the_mean_loss_of_a_token():
    model, batch, learner = example("additive")
    logits = model(batch.source, batch.lengths, batch.before).logits
    expected = cross_entropy(logits.flatten(0, 1), batch.target.flatten(), ignore_index=PAD)
    found = learner.objective(batch)
    torch.testing.assert_close(found.loss, expected)
    assert learner.reinforced.baseline.isnan()
    assert int(count(model, batch).tokens) == 6


def test_coverage_adds_its_loss():
    model, batch, plain = example("additive")
    _, _, covering = example("additive", coverage=0.5)
    weights = model(batch.source, batch.lengths, batch.before).weights
    added = covering.objective(batch).loss - plain.objective(batch).loss
    torch.testing.assert_close(added, 0.5 * coverage_loss(weights, batch.target != PAD).sum() / 6)


def test_what_is_drawn_learns_from_its_reward():
    model, batch, learner = example("reinforce")
    torch.manual_seed(3)
    forced = model(batch.source, batch.lengths, batch.before)
    losses = cross_entropy(forced.logits.flatten(0, 1), batch.target.flatten(), ignore_index=PAD, reduction="none")
    reward = -losses.view(2, -1).sum(1).detach()
    drawn, baseline = forced.state.attention.drawn, torch.tensor(-2.0)
    expected = (
        -reward.sum() - REWARD * ((reward - baseline) * drawn.log_probability).sum() - ENTROPY * drawn.entropy.sum()
    )
    torch.manual_seed(3)
    learner.reinforced.baseline = baseline
    found = learner.objective(batch)
    torch.testing.assert_close(found.loss, expected / 6)
    torch.testing.assert_close(learner.reinforced.baseline, 0.9 * baseline + 0.1 * reward.mean())
    found.loss.backward()
    assert model.decoder.attention.v.grad.abs().sum() > 0
    torch.manual_seed(3)
    learner = TranslateLearner(model, learner.options)
    learner.objective(batch)
    torch.testing.assert_close(learner.reinforced.baseline, reward.mean())
