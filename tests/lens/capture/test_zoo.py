"""Models of Hugging Face, one law: what is seen is what the eager model says, and nobody notices that we look."""

import pytest
import torch
from torch import Tensor

import saccade

pytest.importorskip("transformers")
from zoo import ZOO, built, given


def tensors(output) -> list[Tensor]:
    return [x for x in output.to_tuple() if isinstance(x, Tensor)]


def told_by_eager(name: str, inputs, sites: list[str]) -> dict[str, list[Tensor]]:
    """The weights that each attention module of the eager model returns."""
    model, told = built(name, "eager"), {}

    def hear(module_name):
        return lambda module, args, output: told.setdefault(module_name, []).append(output[-1])

    for module_name, module in model.named_modules():
        if module_name in [site.split("#")[0] for site in sites]:
            module.register_forward_hook(hear(module_name))
    with torch.no_grad():
        model(**inputs, output_attentions=True)
    return told


@pytest.mark.parametrize("name", ZOO)
def test_what_is_seen_is_what_the_eager_model_says(name):
    model, inputs = built(name), given(name)
    with torch.no_grad():
        plain = tensors(model(**inputs))
        with saccade.look(model) as seen:
            looked = tensors(model(**inputs))
    assert all(map(torch.equal, plain, looked))
    told = told_by_eager(name, inputs, [site.name for site in seen.sites])
    heard = 0
    for site in seen.sites:
        assert site.route == "huggingface"
        assert site.check.status == "exact"
        assert (site.kind == "cross") == any(hint in site.name for hint in ("encoder_attn", "EncDec"))
        said = told[site.name.split("#")[0]][0]
        if said is None or said.dim() != 4:
            continue  # a tower that keeps its weights to itself; the check has compared what they read
        found = site.weights()
        assert found.shape == said.shape == site.shape
        # Where a query may look nowhere the fused functions read nothing, and eager ones everything.
        somewhere = found.sum(-1) > 0
        assert (found - said)[somewhere].abs().max() < 1e-6
        assert somewhere[0].all()
        heard += 1
    assert heard >= 2


@pytest.mark.parametrize("name", ["bert", "llama", "mistral", "t5", "whisper", "gpt2"])
def test_an_eager_model_is_seen_too(name):
    model, inputs = built(name, "eager"), given(name)
    with torch.no_grad(), saccade.look(model) as seen:
        said = model(**inputs, output_attentions=True)
    every = [x for key in said if key.endswith("attentions") for x in said[key]]
    found = [site.weights() for site in seen.sites]
    for weights in every:
        assert min((weights - mine).abs().max() for mine in found if mine.shape == weights.shape) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "llama", "gemma2"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_flex_attention_is_seen_too(name):
    model, inputs = built(name, "flex_attention"), given(name)
    with torch.no_grad(), saccade.look(model) as seen:
        model(**inputs)
    told = told_by_eager(name, inputs, [site.name for site in seen.sites])
    # Where a padded query may look nowhere, the two models go on with other states at that place, and only there.
    real = inputs["attention_mask"].bool()[:, None].expand(-1, 4, -1)
    for site in seen.sites:
        assert (site.weights() - told[site.name][0])[real].abs().max() < 2e-6
        assert site.check.status == "exact"


def test_a_wrong_reading_is_a_visible_warning(monkeypatch):
    from saccade.lens.capture import huggingface

    real = huggingface.call_of
    monkeypatch.setattr(huggingface, "call_of", lambda *given: real(*given)._replace(mask=None))
    model, inputs = built("bert"), given("bert")
    line = r"attention\.self: recomputed weights do not explain the output"
    with pytest.warns(UserWarning, match=line), torch.no_grad(), saccade.look(model) as seen:
        model(**inputs)
    assert seen[0].check.status == "differs"


def test_flash_attention_is_read_as_it_reads():
    """Its own kernels need a GPU; what they are given is causal from the last slot back, with a window."""
    from saccade.lens.capture.call import weights
    from saccade.lens.capture.huggingface import call_of

    model = built("llama").model.layers[0].self_attn
    query, key = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 7, 8)
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, :2] = 0
    asked = {"query": query, "key": key, "value": key, "attention_mask": mask, "sliding_window": 4, "scaling": 0.3}
    found = weights(call_of(model, "flash_attention_2", asked))
    places = torch.arange(7) - torch.arange(4, 7)[:, None]
    may = ((places <= 0) & (places > -4)) & mask[:, None, None].bool()
    scores = (query @ key.repeat_interleave(2, 1).transpose(-1, -2) * 0.3).masked_fill(~may, -torch.inf)
    assert torch.allclose(found, scores.softmax(-1), atol=1e-6)
