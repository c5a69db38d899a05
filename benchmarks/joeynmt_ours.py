"""The same model as Joey NMT's in this project, taking turns: see benchmarks/joeynmt.py.

usage: python joeynmt_ours.py train FOLDER RUN PRECISION WARM STEPS
       python joeynmt_ours.py search RUN PRECISION ALPHA FILE SENTENCES

`train` trains on FOLDER/{train,val}.{de,en}; after WARM steps each turn is STEPS of them. `search` answers the first
SENTENCES of a file with a beam of 5, a turn each time; an ALPHA above 0 is that of Wu's penalty.
"""

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import torch
from turns import StepTurns, Turns

from saccade import decoding
from saccade.attention.build import build
from saccade.data.pairs import PairFile
from saccade.data.tokens import PAD
from saccade.models import seq2seq
from saccade.tasks.base import Start
from saccade.tasks.load import load
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit

BEAM, MOST, ATTENTION = 5, 60, 512
"""Width of the search, tokens of an answer, and hidden units of the score, of which ours would have half."""
OPTIONS: dict[str, Any] = {
    "level": "bpe",
    "vocab_size": 8000,
    "shared": True,
    "encoder": "lstm",
    "decoder": "lstm",
    "attention": "additive",
    "attend": "after",
    "feed": "input",
    "embedding": 256,
    "hidden": 512,
    "dropout": 0.3,
    "label_smoothing": 0.1,
    "learning_rate": 0.002,
    "batch_size": 64,
    "max_length": 61,  # the end token counted
    "epochs": 1,
}


class Watch(pl.Callback):
    """Says what each step holds."""

    def __init__(self, turns: StepTurns):
        self.turns = turns

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.turns.step(tokens=int((batch.target != PAD).sum()), sentences=len(batch.source))


def train(folder: Path, run: Path, precision: str, warm: int, steps: int) -> None:
    """A training that stops before a step whenever a turn is over."""
    parts = [PairFile(tuple(folder / f"{part}.{side}" for side in ("de", "en"))) for part in ("train", "val")]
    watch, options = Watch(StepTurns(Turns(), warm, steps)), TranslateOptions(**OPTIONS, precision=precision)
    fit(run, options, Start(*parts), device="cpu", watch=[watch])


def search(run: Path, precision: str, alpha: float, file: Path, sentences: int) -> None:
    """The sentences, again and again."""
    turns, translator = Turns(), load(run)
    translator._limit = lambda length: MOST
    texts = file.read_text("utf-8").splitlines()[:sentences]
    manner = decoding.Manner(penalty=decoding.wu(alpha) if alpha else None)
    while turns.begin():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            found = translator.answer(texts, beam=BEAM, manner=manner)
        turns.count(sentences=len(found), tokens=sum(len(best.target) for (best,) in found))
        turns.end()


def main() -> None:
    verb, *given = sys.argv[1:]
    with patch.object(seq2seq, "build", lambda name, **sizes: build(name, **sizes | {"hidden_dim": ATTENTION})):
        if verb == "train":
            train(Path(given[0]), Path(given[1]), given[2], int(given[3]), int(given[4]))
        else:
            search(Path(given[0]), given[1], float(given[2]), Path(given[3]), int(given[4]))


if __name__ == "__main__":
    main()
