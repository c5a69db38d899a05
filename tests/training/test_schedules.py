"""The learning rate rises, and falls as the options say."""

import math
from itertools import pairwise
from typing import get_args

import lightning.pytorch as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.errors import OptionError
from saccade.tasks.course import Course, ScheduleName
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.schedules import learning_rate_factor


@given(total=st.integers(1, 400), warm_up=st.integers(0, 500), schedule=st.sampled_from(get_args(ScheduleName)))
def test_it_rises_straight_and_never_again(total, warm_up, schedule):
    factors = [learning_rate_factor(step, total, schedule=schedule, warm_up=warm_up) for step in range(total)]
    rise = warm_up or max(min(100, total // 10), 1)
    assert all(0 < factor <= 1 for factor in factors[:-1])
    if schedule != "linear":
        assert factors[:rise] == pytest.approx([(step + 1) / rise for step in range(min(rise, total))])
    peak = factors.index(max(factors))
    assert all(a >= b for a, b in pairwise(factors[peak:]))


def test_what_it_falls_to():
    factors = {name: learning_rate_factor(999, 1000, schedule=name, warm_up=100) for name in get_args(ScheduleName)}
    assert factors["constant"] == 1
    assert factors["inverse-sqrt"] == pytest.approx(math.sqrt(0.1))
    assert 0 < factors["linear"] < 0.01
    assert 0 < factors["cosine"] < 0.001
    assert learning_rate_factor(549, 1000, schedule="cosine", warm_up=99) == pytest.approx(0.5, abs=1e-3)


class Rates(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_a_training_takes_the_schedule_it_is_told(tmp_path):
    from saccade.data.pairs import PairFile
    from saccade.tasks.base import Start
    from saccade.training.fit import fit

    file = tmp_path / "pairs.tsv"
    file.write_text("".join(f"{a}{b}\t{b}{a}\n" for a in "abcdefgh" for b in "abcdefgh"), "utf-8")
    options = TranslateOptions(
        level="char", hidden=4, embedding=4, epochs=3, learning_rate=0.01, schedule="inverse-sqrt", warm_up=2
    )
    rates = Rates()
    fit(tmp_path / "run", options, Start(PairFile((file,)), None), device="cpu", say=lambda line: None, watch=[rates])
    assert rates.seen == pytest.approx(
        [0.01 * min((i + 1) / 2, math.sqrt(2 / (i + 1))) for i in range(len(rates.seen))]
    )
    assert len(rates.seen) >= 6


def test_a_negative_warm_up_is_refused():
    with pytest.raises(OptionError, match="--warm-up must be at least 0; got -1"):
        Course(warm_up=-1)
