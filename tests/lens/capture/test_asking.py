"""A model that is asked again without some of its tokens, where it is known which of them decide."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

import saccade
from saccade.lens.capture.asking import gradient_times_input, question, score_of
from saccade.lens.capture.seen import Seen

GOOD, CLS, SEP = 4, 1, 2
LETTERS = SimpleNamespace(all_special_ids=[0, CLS, SEP], convert_ids_to_tokens=lambda ids: [f"w{i}" for i in ids])


class Spotter(nn.Module):
    """Says 1 where there is a GOOD token: its first place looks there, if there is one."""

    def __init__(self, *, language_model: bool = False):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(torch.eye(9), freeze=False)
        self.language_model = language_model

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask):
        x = self.embedding(input_ids)
        key = x[..., GOOD : GOOD + 1]
        mask = attention_mask[:, None, None].bool().expand(-1, 1, x.shape[1], -1)
        read = scaled_dot_product_attention(
            torch.full_like(key, 4.0)[:, None], key[:, None], key[:, None], attn_mask=mask, scale=1.0
        )
        said = torch.cat([torch.zeros_like(read[:, 0]), 6 * read[:, 0] - 1], -1)
        return SimpleNamespace(logits=said if self.language_model else said[:, 0])


TEXT = torch.tensor([[CLS, 5, GOOD, 6, 7, SEP, 0], [CLS, 7, 6, 5, 5, GOOD, SEP]])
MASK = (TEXT != 0).long()


def looked(model: nn.Module) -> Seen:
    with saccade.look(model, tokenizer=LETTERS) as seen, torch.no_grad():
        model(input_ids=TEXT, attention_mask=MASK)
    return seen


@pytest.mark.parametrize("language_model", [False, True])
@pytest.mark.parametrize("example", [0, 1])
def test_explanations_that_point_at_what_decides_are_faithful(language_model, example):
    found = looked(Spotter(language_model=language_model)).faithfulness(example=example, steps=4)
    for name in ("attention", "gradient"):
        assert found.comprehensiveness[name] > found.comprehensiveness["random"] + 0.1
        assert found.sufficiency[name] < found.sufficiency["random"] - 0.05
        assert found.deletion[name][0] > 0.5 > found.deletion[name][1]  # one of four, and it is the one
    assert found.table()[-1][0] == "random"
    assert set(found.deletion) == {"attention", "rollout", "gradient", "random"}


def test_scores_are_those_of_the_model_without_the_tokens():
    model = Spotter()
    asked = question(model, TEXT[0], MASK[0].bool(), torch.isin(TEXT[0], torch.tensor([0, CLS, SEP])), None)
    assert (asked.target, asked.row) == (1, 0)
    assert asked.removable.tolist() == [False, True, True, True, True, False, False]
    kept = np.ones((2, 7), bool)
    kept[1, 2] = False
    without = MASK[:1].clone()
    without[0, 2] = 0
    exact = [model(input_ids=TEXT[:1], attention_mask=mask).logits.softmax(-1)[0, 1] for mask in (MASK[:1], without)]
    np.testing.assert_allclose(score_of(model, asked)(kept), [x.item() for x in exact], rtol=1e-6)


def test_the_gradient_is_that_of_the_probability_times_the_vector():
    model = Spotter()
    asked = question(model, TEXT[0], MASK[0].bool(), torch.isin(TEXT[0], torch.tensor([0, CLS, SEP])), 1)
    found = gradient_times_input(model, asked)
    for place in range(6):
        scale = torch.ones(7, 1)
        scale[place] += (step := 1e-2)
        both = []
        for factor in (scale, 2 - scale):
            model.embedding.register_forward_hook(lambda _, i, o, factor=factor: o * factor)
            both.append(model(input_ids=TEXT[:1], attention_mask=MASK[:1]).logits.softmax(-1)[0, 1].item())
            model.embedding._forward_hooks.popitem()
        np.testing.assert_allclose(found[place], abs(both[0] - both[1]) / (2 * step), atol=2e-3)
    assert model.embedding.weight.grad is None
    assert not model.embedding._forward_hooks


def test_the_model_stays_as_it_was():
    model = Spotter().train()
    looked(model).faithfulness()
    assert model.training
    assert not model.embedding._forward_hooks


def test_what_cannot_be_asked_is_named(tmp_path):
    model = Spotter()
    seen = looked(model)
    with pytest.raises(ValueError, match="target must be 0 to 1; got 2"):
        seen.faithfulness(2)
    with pytest.raises(ValueError, match="example must be 0 to 1; got 5"):
        seen.faithfulness(example=5)
    seen.save(tmp_path / "seen")
    with pytest.raises(ValueError, match="what was loaded from a folder has none"):
        Seen.load(tmp_path / "seen").faithfulness()
    with saccade.look(model) as bare, torch.no_grad():
        model(input_ids=TEXT, attention_mask=MASK)
    with pytest.raises(ValueError, match="faithfulness needs look"):
        bare.faithfulness()
    mute = Spotter()
    with saccade.look(mute, tokenizer=LETTERS) as seen, torch.no_grad():
        mute(input_ids=TEXT, attention_mask=MASK)
    mute.forward = lambda input_ids, attention_mask: None
    with pytest.raises(ValueError, match="model must give logits"):
        seen.faithfulness()
    special = torch.ones(7, dtype=torch.bool)
    with pytest.raises(ValueError, match="a text must have tokens that may be taken away"):
        question(model, TEXT[0], MASK[0].bool(), special, None)
    with pytest.raises(ValueError, match="a gradient needs a model with get_input_embeddings; got Linear"):
        gradient_times_input(nn.Linear(1, 1), question(model, TEXT[0], MASK[0].bool(), ~special, None))
