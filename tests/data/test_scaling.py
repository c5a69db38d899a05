"""The scale of what comes file by file is that of all of it together."""

import numpy as np
import pytest

from saccade.data.scaling import Moments
from saccade.data.windows import Scaler

RNG = np.random.default_rng(4)


def test_moments_are_those_of_all_frames_together():
    frames = RNG.normal(3, [1, 5, 100], (97, 3)).astype(np.float32) + np.float32(1000)
    frames = np.concatenate([frames, np.full((97, 1), 0.1, np.float32)], 1)
    moments = Moments()
    for part in np.split(frames, [1, 8, 60]):
        moments.add(part)
    found, expected = moments.scaler(), Scaler.fit(frames)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-10)
    assert found.std[3] == 1
    with pytest.raises(ValueError, match="at least one row"):
        Moments().scaler()


def test_moments_of_images_are_those_of_their_pixels():
    images = [RNG.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((2, 3), (5, 1), (7, 4))]
    moments = Moments()
    for image in images:
        moments.add(image)
    expected = Scaler.fit(np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64))
    np.testing.assert_allclose(moments.scaler().mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(moments.scaler().std, expected.std, rtol=1e-12)
