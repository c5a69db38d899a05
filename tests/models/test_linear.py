"""The linear baseline is least squares, whichever way it is written."""

import numpy as np
import pytest
import torch

from saccade.models.linear import linear_baseline


def examples(answers: tuple[int, ...], batches: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(11, 7, 3) + 2, torch.randn(11, *answers)) for _ in range(batches)]


def ridge_by_numpy(features: np.ndarray, answers: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with a column of ones, and a row for every weight that says it should be zero."""
    size = features.shape[1]
    weigh = np.sqrt(ridge * len(features)) * np.eye(size)
    rows = np.block([[features, np.ones((len(features), 1))], [weigh, np.zeros((size, 1))]])
    solved = np.linalg.lstsq(rows, np.concatenate([answers, np.zeros((size, answers.shape[1]))]), rcond=None)[0]
    return solved[:-1], solved[-1]


@pytest.mark.parametrize("ridge", [0.0, 0.01, 3.0])
def test_numbers_are_least_squares_of_the_flattened_sequence(ridge):
    batches = examples((5,))
    x, y = (torch.cat(part).double().numpy() for part in zip(*batches, strict=True))
    weight, bias = ridge_by_numpy(x.reshape(55, 21), y, ridge)
    found = linear_baseline(batches, ridge=ridge)
    np.testing.assert_allclose(found.weight, weight, atol=1e-9)
    np.testing.assert_allclose(found.bias, bias, atol=1e-9)
    np.testing.assert_allclose(found(batches[0][0]), x[:11].reshape(11, 21) @ weight + bias, atol=1e-5)
    assert found(batches[0][0]).dtype == torch.float32


@pytest.mark.parametrize("ridge", [0.0, 0.01, 3.0])
@pytest.mark.parametrize("targets", [(0, 1, 2), (2, 0), (1,)])
def test_forecasts_are_least_squares_of_each_variable_relative_to_its_last_step(ridge, targets):
    batches = examples((5, len(targets)))
    features, answers = [], []
    for x, y in batches:
        for b in range(11):
            for place, target in enumerate(targets):
                series = x[b, :, target].double().numpy()
                features.append(series[:-1] - series[-1])
                answers.append(y[b, :, place].double().numpy() - series[-1])
    weight, bias = ridge_by_numpy(np.stack(features), np.stack(answers), ridge)
    found = linear_baseline(batches, targets=targets, ridge=ridge)
    np.testing.assert_allclose(found.weight, weight, atol=1e-9)
    np.testing.assert_allclose(found.bias, bias, atol=1e-9)
    forecast = found(batches[0][0])
    assert forecast.shape == (11, 5, len(targets))
    last = batches[0][0][3, -1, targets[0]].item()
    np.testing.assert_allclose(forecast[3, :, 0], features[3 * len(targets)] @ weight + bias + last, atol=1e-5)


def test_the_level_of_a_series_moves_its_forecast_with_it():
    batches = examples((5, 3))
    found = linear_baseline(batches, targets=range(3))
    shifted = found(batches[0][0] + torch.tensor([100.0, 0.0, -7.0]))
    torch.testing.assert_close(
        shifted - found(batches[0][0]), torch.tensor([100.0, 0.0, -7.0]).expand(11, 5, 3), atol=1e-4, rtol=0
    )


def test_a_feature_that_never_changes_has_no_weight():
    batches = [(x.index_fill(1, torch.tensor(4), 3.0), y) for x, y in examples((5,))]
    found = linear_baseline(batches, ridge=0.0)
    assert found.weight.view(7, 3, 5)[4].abs().max() < 1e-9
    assert found.weight.isfinite().all()


def test_how_examples_are_batched_does_not_matter():
    batches = examples((5,))
    whole = [tuple(torch.cat(part) for part in zip(*batches, strict=True))]
    torch.testing.assert_close(linear_baseline(batches).weight, linear_baseline(whole).weight, rtol=0, atol=1e-12)


def test_mistakes():
    with pytest.raises(ValueError, match=r"^ridge must be at least 0; got -1$"):
        linear_baseline(examples((5,)), ridge=-1)
    with pytest.raises(ValueError, match=r"^examples must hold at least one batch; got none$"):
        linear_baseline([])
