"""What the tests of mechanisms share."""

import pytest

from saccade.kernels import choice


@pytest.fixture(autouse=True)
def _kernels_for_small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are small; the kernels must obey the laws too."""
    monkeypatch.setattr(choice, "SMALL", {"cpu": 0, "cuda": 0})
    monkeypatch.setattr(choice, "FUSED", 0)
