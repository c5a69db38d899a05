"""Every mechanism learns the clock times, from a file of pairs to exact answers."""

import re

import pytest

from saccade.attention.catalogue import MECHANISMS
from saccade.data import times
from saccade.data.pairs import Pair, PairFile, to_tsv
from saccade.tasks.base import Start
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit

NAMES = [name for name in MECHANISMS if name not in ("softmax", "none")]
COMBINED = ["general+sparsemax+local-p", "cosine+entmax15"]
AFTER = ["additive, attend after", "dot, attend after"]
MONOTONIC = ("monotonic", "mocha")
"""Their input must be read from left to right, which holds where times are written in figures."""

SLOW = (
    "argmax",
    "reinforce",
    "gaussian-mixture",
    "gaussian-mixture-v2b",
    "local-m",
    "fixed-slot",
    "location",
    "sigmoid",
    COMBINED[0],
)
"""What gets no gradient, much noise or little choice of where to look learns in more steps."""

FIGURES = re.compile(r"[\d:.h]+( ?hrs)?|t[\d.]+")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, *COMBINED, *AFTER])
def test_it_reaches_97_percent(name, tmp_path):
    """Exact match on 400 unseen times."""
    made = times.pairs(12_000, seed=1)
    count, epochs = 8000, 16 if name in SLOW else 10
    if name in MONOTONIC:
        made, count, epochs = [pair for pair in made if FIGURES.fullmatch(pair[0])], 2000, 16
    file = tmp_path / "times.tsv"
    file.write_text(to_tsv(made[400 : 400 + count]), "utf-8")
    options = TranslateOptions(
        level="char",
        attention=name.removesuffix(", attend after"),
        attend="after" if name in AFTER else "before",
        epochs=epochs,
        hidden=64,
        embedding=32,
        batch_size=50,
        learning_rate=0.01,
        coverage_loss=1.0 if name == "coverage" else 0.0,
    )
    translator = fit(tmp_path / "run", options, Start(PairFile((file,)), None), device="cpu", say=lambda line: None)
    assert translator.evaluate([Pair(*pair) for pair in made[:400]]).exact_match >= 0.97
