"""Nothing is left behind, and nobody else is looked at."""

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from transformers.modeling_utils import AttentionInterface
from transformers.models.bert import modeling_bert
from zoo import built, given

import saccade
from saccade.lens.capture import recorder, swaps


def state(model: nn.Module):
    """Everything that looking touches."""
    hooks = [len(part) for m in model.modules() for part in (m._forward_hooks, m._forward_pre_hooks)]
    own = [sorted(m.__dict__) for m in model.modules()]
    flags = torch.backends.mha.get_fastpath_enabled(), len(_get_current_function_mode_stack())
    functions = dict(AttentionInterface._global_mapping), modeling_bert.eager_attention_forward
    return hooks, own, flags, functions, list(recorder.active), dict(swaps._swaps)


def models():
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).eval()
    ours = saccade.SelfAttention(saccade.MultiHeadAttention(6, 6, heads=2)).eval()
    compiled = torch.compile(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).eval(), backend="eager")
    return {"bert": built("bert"), "layer": layer, "ours": ours, "compiled": compiled}


@pytest.mark.parametrize("fails", [False, True], ids=["as it should", "with an error"])
@pytest.mark.parametrize("name", ["bert", "layer", "ours", "compiled"])
def test_everything_is_as_it_was(name, fails):
    model = models()[name]
    before = state(model)
    inputs = given("bert") if name == "bert" else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with saccade.look(model) as seen:
                assert state(model) != before
                model(**inputs) if inputs else model(torch.randn(2, 3, 6))
                if fails:
                    model(torch.randn(2, 3, 7).long() + 10**6 if inputs else torch.randn(2, 3, 7))
        except (RuntimeError, IndexError, ValueError, AssertionError):
            assert fails
    assert state(model) == before
    assert len(seen.sites) >= 1


def test_other_models_and_other_threads_are_not_looked_at():
    mine, other = built("bert"), built("llama")
    inputs, more = given("bert"), given("llama")

    def run():
        with torch.no_grad():
            other(**more)
            mine(**inputs)

    with torch.no_grad(), saccade.look(mine) as seen:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        other(**more)
        mine(**inputs)
    assert [site.name for site in seen.sites] == [f"encoder.layer.{i}.attention.self" for i in (0, 1)]


@pytest.mark.parametrize("make", [lambda: built("bert"), lambda: nn.TransformerEncoderLayer(6, 2, 8).eval()])
def test_looks_stand_inside_each_other(make):
    model, other = make(), built("llama")
    inputs = given("bert") if hasattr(model, "config") else {"src": torch.randn(4, 2, 6)}
    with torch.no_grad(), saccade.look(model) as outer:
        with saccade.look(other) as others, saccade.look(model) as inner:
            model(**inputs)
            other(**given("llama"))
        model(**inputs)
    assert len(outer) == 2 * len(inner)
    assert len(others) == 2
    assert torch.equal(outer[0].weights(), inner[0].weights())


def test_two_threads_look_at_once():
    model, both = built("bert"), threading.Barrier(2)
    seen = {}

    def run(name):
        inputs = {"input_ids": torch.full((1, name), 7)}
        with torch.no_grad(), saccade.look(model) as seen[name]:
            both.wait(30)
            for _ in range(5):
                model(**inputs)
            both.wait(30)

    threads = [threading.Thread(target=run, args=(size,)) for size in (4, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for size in (4, 6):
        assert [site.shape for site in seen[size].sites] == [(1, 4, size, size)] * 10
    assert not swaps._swaps
    assert not recorder.active


def test_after_an_error_the_next_pass_has_the_right_names():
    model, inputs = built("bert"), given("bert")
    with torch.no_grad(), saccade.look(model) as seen:
        with pytest.raises(IndexError):
            model(torch.full((1, 3), 10**6))
        model(**inputs)
    assert seen[0].name == "encoder.layer.0.attention.self"


@pytest.mark.parametrize("in_place", [False, True], ids=["wrapped", "in place"])
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_compiled_model_has_no_breaks_and_compiles_once(name, in_place):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model, inputs = built(name), given(name)
    with torch.no_grad():
        plain = model(**inputs)[0]
        if in_place:
            model.compile(backend=backend, fullgraph=True)
        compiled = model if in_place else torch.compile(model, backend=backend, fullgraph=True)
        compiled(**inputs)
        for _ in range(3):
            with saccade.look(compiled) as seen:
                looked = [compiled(**inputs)[0] for _ in range(2)]
        compiled(**inputs)
    assert len(graphs) == 2  # one without anybody who looks, and one with
    assert max((one - plain).abs().max() for one in looked) < 1e-6
    assert [site.check.status for site in seen.sites] == ["exact"] * 4
    assert not any("_orig_mod" in site.name for site in seen.sites)
    again = built(name)
    with torch.no_grad(), saccade.look(again) as uncompiled:
        again(**inputs)
    assert (seen[0].weights() - uncompiled[0].weights()).abs().max() < 1e-6
