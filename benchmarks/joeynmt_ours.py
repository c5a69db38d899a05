"""The same model as Joey NMT's in this project, taking turns: see benchmarks/joeynmt.py.

usage: python joeynmt_ours.py train FOLDER RUN PRECISION WARM STEPS
       python joeynmt_ours.py search RUN PRECISION ALPHA FOLDER SENTENCES
       python joeynmt_ours.py hand RUN FOLDER
       python joeynmt_ours.py read RUN FOLDER

`train` trains on FOLDER/{train,val}.{de,en}; after WARM steps each turn is STEPS of them. `search` answers the first
SENTENCES of the test part with a beam of 5, a turn each time; an ALPHA above 0 is that of Wu's penalty. `hand` writes a
run for Joey: its weights under Joey's names, its vocabulary, and the test part as tokens. `read` reads what both wrote.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import torch
from safetensors.torch import load_file
from turns import StepTurns, Turns

from saccade import decoding, metrics
from saccade.attention.build import build
from saccade.data.pairs import PairFile
from saccade.data.tokens import END, PAD, START, UNKNOWN
from saccade.models import seq2seq
from saccade.runs import WEIGHTS
from saccade.tasks.base import Start
from saccade.tasks.devices import calculating
from saccade.tasks.load import load
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit

TEST = "test_2016_flickr"
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
ROWS = [UNKNOWN, PAD, START, END]
"""Joey's first four tokens."""
NAMES = {
    "source_embedding.": "src_embed.lut.",
    "decoder.embedding.": "trg_embed.lut.",
    "encoder.layers.0.": "encoder.rnn.",
    "decoder.cells.cells.0.": "decoder.rnn.",
    "decoder.attention.query.": "decoder.attention.query_layer.",
    "decoder.attention.key.": "decoder.attention.key_layer.",
    "decoder.attention.v": "decoder.attention.energy_layer.weight",
    "decoder.attentional.": "decoder.att_vector_layer.",
    "decoder.output.": "decoder.output_layer.",
    "decoder.start.": "decoder.start.",
}
"""What our weights are called there; its first state and the bias of its output it does not have, and is given."""


class Watch(pl.Callback):
    """Says what each step holds."""

    def __init__(self, turns: StepTurns):
        self.turns = turns

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        pairs = batch.batch
        self.turns.step(tokens=int((pairs.target != PAD).sum()), sentences=len(pairs.source))


def train(folder: Path, run: Path, precision: str, warm: int, steps: int) -> None:
    """A training that stops before a step whenever a turn is over."""
    parts = [PairFile(tuple(folder / f"{part}.{side}" for side in ("de", "en"))) for part in ("train", "val")]
    watch, options = Watch(StepTurns(Turns(), warm, steps)), TranslateOptions(**OPTIONS, precision=precision)
    fit(run, options, Start(*parts), device="cpu", watch=[watch])


def search(run: Path, precision: str, alpha: float, folder: Path, sentences: int) -> None:
    """The sentences, again and again; the answers are written down for `read`."""
    turns, translator = Turns(), load(run)
    translator._limit = lambda length: MOST
    texts = (folder / f"{TEST}.de").read_text("utf-8").splitlines()[:sentences]
    manner = decoding.Manner(penalty=decoding.wu(alpha), early=True) if alpha else decoding.SEARCHED
    while turns.begin():
        with calculating(translator.device, precision):
            found = translator.answer(texts, beam=BEAM, manner=manner)
        turns.count(sentences=len(found), tokens=sum(len(best.target) for (best,) in found))
        turns.end()
        (folder / f"{precision}.txt").write_text("".join(f"{best.text}\n" for (best,) in found), "utf-8")


def hand(run: Path, folder: Path) -> None:
    """Joey's names and order of tokens; a token is written as its number there."""
    found = {}
    for name, weights in load_file(run / WEIGHTS).items():
        prefix = next(prefix for prefix in NAMES if name.startswith(prefix))
        found[NAMES[prefix] + name.removeprefix(prefix).replace("_l0", "")] = weights
    recurrent = [name for name in found if ".rnn." in name]
    for name in recurrent:
        plain = name.removesuffix("_reverse")
        found[plain + "_l0" + name.removeprefix(plain)] = found.pop(name)
    for name in ("src_embed.lut.weight", "trg_embed.lut.weight", "decoder.output_layer.weight"):
        found[name] = torch.cat([found[name][ROWS], found[name][len(ROWS) :]])
    bias = found["decoder.output_layer.bias"]
    found["decoder.output_layer.bias"] = torch.cat([bias[ROWS], bias[len(ROWS) :]])
    found["decoder.attention.energy_layer.weight"] = found["decoder.attention.energy_layer.weight"][None]
    found["decoder.att_vector_layer.bias"] = torch.zeros(len(found["decoder.att_vector_layer.weight"]))
    torch.save(found, folder / "weights.pt")
    vocabularies = load(run).vocabularies
    names = ["<unk>", "<pad>", "<s>", "</s>", *(str(i) for i in range(len(ROWS), vocabularies.target.size))]
    (folder / "tokens.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
    for side, vocabulary in zip(("de", "en"), vocabularies, strict=True):
        rows = vocabulary.encode_many((folder / f"{TEST}.{side}").read_text("utf-8").splitlines())
        lines = (" ".join("<unk>" if i == UNKNOWN else str(i) for i in row if i != END) for row in rows)
        (folder / f"tokens.{side}").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def read(run: Path, folder: Path) -> None:
    """How many of our answers are Joey's, and the BLEU of each, as JSON."""
    vocabulary = load(run).vocabularies.target
    written = (folder / "joeynmt.txt").read_text("utf-8").splitlines()
    answers = {"joeynmt": [vocabulary.decode([int(i) for i in line.split() if i.isdigit()]) for line in written]}
    for precision in ("float32", "bfloat16"):
        answers[precision] = (folder / f"{precision}.txt").read_text("utf-8").splitlines()
    references = (folder / f"{TEST}.en").read_text("utf-8").splitlines()[: len(written)]
    equal = {
        name: sum(one == other for one, other in zip(answers["joeynmt"], some, strict=True))
        for name, some in answers.items()
    }
    bleu = {name: metrics.text_scores(some, references).bleu for name, some in answers.items()}
    print(json.dumps({"equal_to_joeynmt": equal, "bleu": bleu}))


def main() -> None:
    verb, *given = sys.argv[1:]
    with patch.object(seq2seq, "build", lambda name, **sizes: build(name, **sizes | {"hidden_dim": ATTENTION})):
        if verb == "train":
            train(Path(given[0]), Path(given[1]), given[2], int(given[3]), int(given[4]))
        elif verb == "search":
            search(Path(given[0]), given[1], float(given[2]), Path(given[3]), int(given[4]))
        else:
            {"hand": hand, "read": read}[verb](Path(given[0]), Path(given[1]))


if __name__ == "__main__":
    main()
