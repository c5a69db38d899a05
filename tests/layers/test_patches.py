"""Patches are slices, the last one ends now, and what patches weigh is what their steps weigh together."""

import re

import pytest
import torch

from saccade.layers.patches import PatchEmbedding

SHAPES = [(13, 5, 3), (13, 5, 5), (13, 4, 3), (13, 1, 1), (3, 5, 2), (5, 5, 2), (336, 16, 8), (1, 1, 1)]
every_shape = pytest.mark.parametrize(("time", "patch", "stride"), SHAPES)


@every_shape
def test_patches_are_slices_and_the_last_one_ends_now(time, patch, stride):
    torch.manual_seed(1)
    embed, x = PatchEmbedding(2, 7, patch=patch, stride=stride).double(), torch.randn(3, time, 2, dtype=torch.float64)
    found = embed(x)
    tokens, end = [], time
    while not tokens or end - patch + stride > 0:  # as long as the patch after this one did not begin at the start
        steps = [max(t, 0) for t in range(end - patch, end)]
        slices = torch.cat([x[:, t] for t in steps], 1)
        tokens.insert(0, slices @ embed.project.weight.T + embed.project.bias)
        end -= stride
    assert embed.tokens(time) == len(tokens)
    torch.testing.assert_close(found, torch.stack(tokens, 1), rtol=0, atol=1e-12)


@every_shape
def test_weights_of_patches_are_shared_among_their_steps(time, patch, stride):
    torch.manual_seed(1)
    embed = PatchEmbedding(1, 7, patch=patch, stride=stride)
    tokens = embed.tokens(time)
    weights = torch.rand(3, 2, tokens, dtype=torch.float64)
    expected = torch.zeros(3, 2, time, dtype=torch.float64)
    for token in range(tokens):
        last = time - (tokens - 1 - token) * stride
        steps = [t for t in range(last - patch, last) if t >= 0]
        for t in steps:
            expected[..., t] += weights[..., token] / len(steps)
    found = embed.over_time(weights, time)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.sum(-1), weights.sum(-1), rtol=0, atol=1e-12)


def test_steps_are_their_own_patches():
    weights = torch.rand(3, 11)
    torch.testing.assert_close(PatchEmbedding(1, 7).over_time(weights, 11), weights, rtol=0, atol=0)


WRONG = {
    "stride must be at most patch = 3, so that no step is left out; got 4": lambda: PatchEmbedding(
        1, 7, patch=3, stride=4
    ),
    "patch must be at least 1; got 0": lambda: PatchEmbedding(1, 7, patch=0),
    "x must be [batch, time, 2] with at least one step; got [3, 0, 2]": lambda: PatchEmbedding(2, 7)(
        torch.zeros(3, 0, 2)
    ),
    "x must be [batch, time, 2] with at least one step; got [3, 5]": lambda: PatchEmbedding(2, 7)(torch.zeros(3, 5)),
    "weights of 11 steps must be [..., 11]; got [3, 12]": lambda: PatchEmbedding(1, 7).over_time(
        torch.zeros(3, 12), 11
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
