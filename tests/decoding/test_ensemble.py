"""Several models as one."""

import pytest
import torch
from toys import END, START, SYMBOLS, Toy, begin

from saccade.decoding import Ensemble, arithmetic, beam_search, geometric, greedy, together

MODELS = (Toy(sharpness=1.0), Toy(sharpness=2.5))


def of_two(rows=3):
    memory, state = begin(rows)
    return together(MODELS, [(memory, state), (memory + 1, state)])


def replayed(mix, row, tokens):
    """The score of an ended answer under both models, token by token, in float64."""
    score, previous = 0.0, START
    memory, state = begin(1, row)
    states = [state, state]
    for token in [*tokens, END]:
        said = [m.step(torch.tensor([previous]), memory + n, s) for n, m, s in zip((0, 1), MODELS, states, strict=True)]
        score += mix([float(one.logits.log_softmax(-1)[0, token]) for one in said])
        states, previous = [one.state for one in said], token
    return score


@pytest.mark.parametrize("beam", [1, 4])
def test_of_the_same_model_it_is_that_model(beam):
    model, limits = Toy(), [7] * 3
    memory, state = begin()
    expected = beam_search(model, memory, state, SYMBOLS, limits, beam)
    for mix in (arithmetic, geometric):
        ensemble = Ensemble([model] * 3, mix)
        found = beam_search(ensemble, (memory,) * 3, (state,) * 3, SYMBOLS, limits, beam)
        for row, other in zip(found, expected, strict=True):
            assert [h.tokens for h in row] == [h.tokens for h in other]
            assert [h.score for h in row] == pytest.approx([h.score for h in other], abs=1e-5)
            torch.testing.assert_close(row[0].weights, other[0].weights)
    assert together([model], [(memory, state)]) == (model, memory, state)


def test_scores_are_of_the_mean():
    steps, memory, state = of_two()
    for mix, mean in (
        (arithmetic, lambda logs: float(torch.tensor(logs).exp().mean().log())),
        (geometric, lambda logs: sum(logs) / 2),
    ):
        found = beam_search(Ensemble(MODELS, mix), memory, state, SYMBOLS, [6] * 3, 4)
        for row, best in enumerate(found):
            ended = [h for h in best if len(h.weights) > len(h.tokens)]
            assert ended
            for hypothesis in ended:
                assert hypothesis.score == pytest.approx(replayed(mean, row, hypothesis.tokens), abs=1e-5)
    assert isinstance(steps, Ensemble)


def test_what_was_looked_at_is_the_mean():
    steps, memory, state = of_two()
    first = [m.step(torch.tensor([START] * 3), own, s).weights for m, own, s in zip(MODELS, memory, state, strict=True)]
    found = greedy(steps, memory, state, SYMBOLS, [4] * 3)
    torch.testing.assert_close(torch.stack([h.weights[0] for h in found]), (first[0] + first[1]) / 2)
    blind = Ensemble([Toy(), Toy(looks=False)])
    shown = greedy(blind, (begin()[0],) * 2, (begin()[1],) * 2, SYMBOLS, [4] * 3)
    alone = greedy(Toy(), *begin(), SYMBOLS, [4] * 3)
    torch.testing.assert_close(shown[0].weights[0], alone[0].weights[0])
    with pytest.raises(ValueError, match="models must be at least one; got none"):
        Ensemble([])
