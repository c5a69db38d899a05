"""Joey NMT 2.3 as it is, taking turns: the peer of benchmarks/joeynmt.py.

usage: python joeynmt_peer.py pieces FOLDER
       python joeynmt_peer.py train CONFIG WARM STEPS
       python joeynmt_peer.py search CONFIG ALPHA SENTENCES

`pieces` learns the byte pairs of FOLDER/{train.de,train.en}. `train` trains as the configuration says; after WARM steps
each turn is STEPS of them. `search` has the trained model answer the first SENTENCES of the test part, a turn each
time; BLEU, which nobody asks for, is not computed.

One thing is set right from here for the PyTorch of today, and nothing of what is measured: `torch.load` reads weights
alone since 2.6, and Joey's checkpoints hold more. The rest is a matter of versions (requirements-joeynmt.txt).
"""

import sys

sys.path.append(sys.path.pop(0))  # benchmarks/joeynmt.py, which stands beside this file, is not the peer

import functools
from pathlib import Path
from typing import Any

import joeynmt.helpers
import joeynmt.training
import sentencepiece
import torch
from joeynmt.config import load_config, parse_global_args
from joeynmt.helpers import make_model_dir
from joeynmt.prediction import predict, prepare
from turns import StepTurns, Turns

SPECIAL = {"unk_id": 0, "pad_id": 1, "bos_id": 2, "eos_id": 3}


def pieces(folder: Path) -> None:
    """8,000 byte pairs of both sides, and their list as Joey reads it."""
    files = ",".join(str(folder / f"train.{side}") for side in ("de", "en"))
    given = {"model_prefix": folder / "sp", "vocab_size": 8000, "model_type": "bpe", "character_coverage": 1.0}
    sentencepiece.SentencePieceTrainer.train(input=files, pad_piece="<pad>", minloglevel=1, **given, **SPECIAL)
    learned = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
    listed = "".join(f"{learned.id_to_piece(i)}\n" for i in range(learned.get_piece_size()))
    (folder / "vocab.txt").write_text(listed, "utf-8")


def train(config: str, warm: int, steps: int) -> None:
    """A training that stops before a step whenever a turn is over."""
    turns, plain = StepTurns(Turns(), warm, steps), joeynmt.training.TrainManager._train_step

    def step(manager: Any, batch: Any) -> Any:
        turns.step(tokens=batch.ntokens, sentences=batch.nseqs)
        return plain(manager, batch)

    joeynmt.training.TrainManager._train_step = step
    cfg = load_config(Path(config))
    make_model_dir(Path(cfg["model_dir"]), overwrite=True)
    joeynmt.training.train(rank=0, world_size=None, cfg=cfg, skip_test=True)


def search(config: str, alpha: float, sentences: int) -> None:
    """The test part, again and again."""
    turns, cfg = Turns(), load_config(Path(config))
    cfg["testing"] |= {"beam_alpha": alpha, "eval_metrics": [], "load_model": Path(cfg["model_dir"]) / "latest.ckpt"}
    args = parse_global_args(cfg, rank=0, mode="test")
    model, _, _, test = prepare(args, rank=0, mode="test")
    test.random_subset, test.indices = -1, list(range(sentences))
    while turns.begin():
        given = {"device": args.device, "n_gpu": 0, "args": args.test, "autocast": args.autocast}
        _, _, texts, tokens, _, _ = predict(model=model, data=test, normalization="none", **given)
        turns.count(sentences=len(texts), tokens=sum(map(len, tokens)))
        turns.end()


def main() -> None:
    verb, *given = sys.argv[1:]
    joeynmt.helpers.torch.load = functools.partial(torch.load, weights_only=False)
    if verb == "pieces":
        pieces(Path(given[0]))
    elif verb == "train":
        train(given[0], int(given[1]), int(given[2]))
    else:
        search(given[0], float(given[1]), int(given[2]))


if __name__ == "__main__":
    main()
