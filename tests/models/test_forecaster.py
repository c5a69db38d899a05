"""The forecaster: batch and padding have no influence, every part learns, and each option does what it says."""

import re
from dataclasses import replace
from itertools import product

import pytest
import torch

from saccade.attention.catalogue import MECHANISMS
from saccade.attention.poolings import POOLINGS
from saccade.models.forecaster import Forecaster, ForecasterConfig

WINDOW, VARIABLES, OUTPUTS, HIDDEN = 13, 3, 5, 4
NUMBERS = ForecasterConfig(VARIABLES, WINDOW, OUTPUTS, "gru", "context-vector", HIDDEN, 1, 0.0, hops=2, heads=2)
STEPS = replace(NUMBERS, targets=(2, 0), encoder="transformer", instance_norm=True)
PATCHES = replace(STEPS, patch=5, stride=3, independent=True, direct=True)
SOME = ("additive", "dot", "location", "general+local-m", "location-sensitive", "gaussian-mixture", "monotonic")
MODELS = {f"{e}, {a}": replace(NUMBERS, encoder=e, attention=a) for e in ("lstm", "none") for a in ("none", "self")}
MODELS |= {f"transformer, {a}": replace(NUMBERS, encoder="transformer", attention=a) for a in (*POOLINGS, "none")}
MODELS |= {f"{a}, {q}": replace(NUMBERS, attention=a, query=q) for a, q in product(SOME, ("last", "learned"))}
MODELS |= {
    "transformer, additive": replace(NUMBERS, encoder="transformer", attention="additive"),
    "numbers, patches": replace(NUMBERS, encoder="transformer", patch=5, stride=3, direct=True),
    "forecast": STEPS,
    "forecast, lstm": replace(STEPS, encoder="lstm", attention="general"),
    "forecast, independent": replace(STEPS, independent=True),
    "forecast, learned": replace(PATCHES, attention="additive", query="learned"),
    "forecast, learned, together": replace(STEPS, attention="additive", query="learned"),
    "forecast, hops": replace(PATCHES, attention="structured-self-attention"),
    "forecast, patches": PATCHES,
    "forecast, patches, gru": replace(PATCHES, encoder="gru", independent=False),
    "forecast, nothing but a map": replace(PATCHES, encoder="none", attention="none"),
}
every_model = pytest.mark.parametrize("name", MODELS)


def made(config: ForecasterConfig) -> Forecaster:
    torch.manual_seed(4)
    return Forecaster(config).double().eval()


def batch(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(7, WINDOW, VARIABLES, dtype=dtype) * 2 + 3


@every_model
def test_shapes_and_weights(name):
    config = MODELS[name]
    model, x = made(config), batch()
    values, weights = model(x)
    assert values.shape == ((7, OUTPUTS, len(config.targets)) if config.targets else (7, OUTPUTS))
    assert model(x, need_weights=False).weights is None
    torch.testing.assert_close(model(x, need_weights=False).values, values, rtol=0, atol=0)
    assert (weights is None) == (config.attention == "none")
    if weights is None:
        return
    learned = config.query == "learned"
    rows = OUTPUTS if learned else 2 if config.attention in ("structured-self-attention", "multi-hop") else 1
    tokens = 4 if config.patch == 5 else WINDOW
    assert weights.shape == (7, len(config.targets) if config.independent else 1, rows, tokens)
    steps = model.over_time(weights)
    assert steps.shape == (*weights.shape[:3], WINDOW)
    torch.testing.assert_close(steps.sum(-1), weights.sum(-1), rtol=0, atol=1e-12)


@every_model
def test_answers_do_not_depend_on_the_batch(name):
    model, x = made(MODELS[name]), batch()
    values, weights = model(x)
    for row in range(len(x)):
        alone, looked = model(x[row : row + 1])
        torch.testing.assert_close(alone[0], values[row], rtol=0, atol=1e-10)
        if weights is not None:
            torch.testing.assert_close(looked[0], weights[row], rtol=0, atol=1e-10)


PADDED = [name for name, config in MODELS.items() if config.patch == 1 and not config.direct]


@pytest.mark.parametrize("name", PADDED)
def test_padding_has_no_influence(name):
    """What lies there does not matter, and a model of a shorter window with the same weights gives the same."""
    config, x, lengths = MODELS[name], batch()[:3], torch.tensor([13, 5, 2])
    model = made(config)
    mask = torch.arange(WINDOW) < lengths[:, None]
    values, weights = model(x, lengths)
    other = x.masked_fill(~mask[..., None], float("nan")).requires_grad_()
    poisoned = model(other, lengths)
    torch.testing.assert_close(poisoned.values, values, rtol=0, atol=0)
    poisoned.values.sum().backward()
    assert other.grad.isfinite().all()
    for row, length in enumerate(lengths.tolist()):
        short = made(replace(config, window=length))
        fixed = [key for key, part in short.state_dict().items() if part.shape != model.state_dict()[key].shape]
        if fixed:  # mechanisms whose scores belong to places have as many as there are slots
            assert config.attention in ("location", "fixed-slot")
            continue
        short.load_state_dict(model.state_dict())
        alone, looked = short(x[row : row + 1, :length])
        torch.testing.assert_close(alone[0], values[row], rtol=0, atol=1e-10)
        if weights is not None:
            torch.testing.assert_close(looked[0], weights[row, ..., :length], rtol=0, atol=1e-10)
            assert (weights[row, ..., length:] == 0).all()


@every_model
def test_every_weight_learns(name):
    config = MODELS[name]
    model, x = made(replace(config, dropout=0.1, layers=2)).train(), batch()
    model(x).values.square().mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        if name == "location-sensitive, last" and re.search(r"attend\.(location|filters|convolution)", parameter_name):
            continue  # who asks once has not looked anywhere before
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("query", ["last", "learned"])
def test_every_mechanism_of_the_catalogue_can_be_named(name, query):
    config = replace(NUMBERS, attention=name, query=query)
    if name == "reinforce":
        with pytest.raises(ValueError, match=r"^attention must learn without a reward; got 'reinforce'$"):
            made(config)
        return
    values, weights = made(config)(batch())
    assert values.isfinite().all()
    assert (weights is None) == (name == "none")


@pytest.mark.parametrize("name", ["lstm, self", "additive, last", "forecast, patches", "forecast, learned"])
def test_it_exports_and_compiles_whole(name):
    model, x = made(MODELS[name]).float(), batch(torch.float32)
    expected = model(x)
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # without it PyTorch compiles no recurrent network
        compiled = torch.compile(model, fullgraph=True, backend="eager")(x)
    for found in (compiled, torch.export.export(model, (x,)).module()(x)):
        torch.testing.assert_close(found.values, expected.values)
        torch.testing.assert_close(found.weights, expected.weights)


def test_a_forecast_moves_and_grows_with_its_series():
    """Reversible normalisation: another unit of measurement is another unit of the forecast, and nothing else."""
    model, x = made(PATCHES), batch()
    scale, shift = torch.tensor([3.0, 0.5, 7.0]).double(), torch.tensor([100.0, -5.0, 0.0]).double()
    values, weights = model(x)
    changed, looked = model(x * scale + shift)
    expected = values * scale[[2, 0]] + shift[[2, 0]]
    torch.testing.assert_close(changed, expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(looked, weights, rtol=0, atol=1e-4)
    plain = made(replace(PATCHES, instance_norm=False))
    assert (plain(x * scale + shift).values - plain(x).values * scale[[2, 0]] - shift[[2, 0]]).abs().max() > 1


@pytest.mark.parametrize("independent", [True, False])
def test_independent_variables_know_nothing_of_each_other(independent):
    config = replace(PATCHES, independent=independent)
    model, x = made(config), batch()
    other = x.clone()
    other[..., :2] = torch.randn_like(other[..., :2])
    same = torch.isclose(model(other).values, model(x).values, rtol=0, atol=1e-12).all(1).all(0)
    assert same.tolist() == [independent, False]


def test_independent_variables_have_the_same_weights():
    model, x = made(PATCHES), batch()
    values, weights = model(x)
    swapped = model(x[..., [2, 1, 0]])
    torch.testing.assert_close(swapped.values, values.flip(2), rtol=0, atol=1e-12)
    torch.testing.assert_close(swapped.weights, weights.flip(1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["numbers, patches", "forecast, patches", "forecast, patches, gru"])
def test_the_direct_map_is_added(name):
    config = MODELS[name]
    model, x = made(replace(config, instance_norm=False)), batch()
    both, direct, model.direct = model(x).values, model.direct, None
    added = both - model(x).values
    for row in range(len(x)):
        if config.targets:
            for place, target in enumerate(config.targets):
                torch.testing.assert_close(added[row, :, place], direct(x[row, :, target]), rtol=0, atol=1e-12)
        else:
            torch.testing.assert_close(added[row], direct(x[row].flatten()), rtol=0, atol=1e-12)


def test_each_output_has_a_context_of_its_own():
    """With learned queries the fifth output is a linear map of the fifth context, and of no other."""
    model, x = made(MODELS["additive, learned"]), batch()
    before = model(x)
    with torch.no_grad():
        model.readout.queries[4] += 1
    after = model(x)
    changed = [
        (a - b).abs().flatten(1).amax() > 1e-6
        for a, b in zip(before.values.T[:, :, None], after.values.T[:, :, None], strict=True)
    ]
    assert changed == [False] * 4 + [True]
    assert torch.equal(after.weights[:, :, :4], before.weights[:, :, :4])


def test_a_model_without_attention_answers_from_its_last_state_or_the_mean():
    x = batch()
    model = made(replace(NUMBERS, attention="none"))
    tokens = model.embed(x)
    _, last = model.encoder(tokens, torch.full((7,), WINDOW))
    torch.testing.assert_close(model(x).values, model.output(last), rtol=0, atol=1e-12)
    model = made(replace(NUMBERS, attention="none", encoder="none"))
    mean = (model.embed(x) + model.positions(torch.zeros(7, WINDOW, HIDDEN).double())).mean(1)
    torch.testing.assert_close(model(x).values, model.output(mean), rtol=0, atol=1e-12)


WRONG = {
    "x must be [batch, 13, 3]; got [7, 13, 2]": lambda: made(NUMBERS)(torch.zeros(7, 13, 2)),
    "x must be [batch, 13, 3]; got [7, 12, 3]": lambda: made(NUMBERS)(torch.zeros(7, 12, 3)),
    "lengths must be None for a model of patches, or with a direct map of the whole window": lambda: made(PATCHES)(
        batch(), torch.full((7,), 5)
    ),
    "encoder must be one of lstm, gru, transformer, none; got 'rnn'": lambda: made(replace(NUMBERS, encoder="rnn")),
    "targets must be variables from 0 to 2; got (0, 3)": lambda: made(replace(STEPS, targets=(0, 3))),
    "instance_norm must be False where no variable is forecast; got True": lambda: made(replace(STEPS, targets=())),
    "independent must be False where no variable is forecast; got True": lambda: made(
        replace(NUMBERS, independent=True)
    ),
    "attention must learn without a reward; got 'reinforce'": lambda: made(replace(NUMBERS, attention="reinforce")),
    "outputs must be at least 1; got 0": lambda: made(replace(NUMBERS, outputs=0)),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
