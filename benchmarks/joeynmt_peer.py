"""Joey NMT 2.3 as it is, taking turns: the peer of benchmarks/joeynmt.py.

usage: python joeynmt_peer.py pieces FOLDER
       python joeynmt_peer.py train CONFIG WARM STEPS
       python joeynmt_peer.py search CONFIG ALPHA FOLDER SENTENCES

`pieces` learns the byte pairs of FOLDER/{train.de,train.en}. `train` trains as the configuration says; after WARM steps
each turn is STEPS of them. `search` has the model of FOLDER/weights.pt, whose tokens are numbers with spaces between,
answer the first SENTENCES of FOLDER/tokens.de, a turn each time; BLEU, which nobody asks for, is not computed.

Its code runs as it is, but for the model of `search`, which is ours: a linear layer makes its first state, and its
output layer has a bias. The rest is a matter of versions (requirements-joeynmt.txt) and of the configuration.
"""

import sys

sys.path.append(sys.path.pop(0))  # benchmarks/joeynmt.py, which stands beside this file, is not the peer

from pathlib import Path
from typing import Any

import joeynmt.training
import sentencepiece
import torch
from joeynmt.config import load_config, parse_global_args
from joeynmt.data import load_data
from joeynmt.helpers import make_model_dir
from joeynmt.model import build_model
from joeynmt.prediction import predict
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


def handed(args: Any, folder: Path, vocabulary: Any) -> Any:
    """Joey's model with our weights."""
    model = build_model(args.model, src_vocab=vocabulary, trg_vocab=vocabulary)
    decoder = model.decoder
    decoder.output_layer = torch.nn.Linear(decoder.hidden_size, len(vocabulary))
    decoder.start = torch.nn.Linear(decoder.hidden_size, 2 * decoder.hidden_size)

    def first(encoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, cell = decoder.start(encoded).detach().chunk(2, -1)
        return hidden.tanh()[None], cell[None]

    decoder._init_hidden = first
    model.load_state_dict(torch.load(folder / "weights.pt"))
    return model


def search(config: str, alpha: float, folder: Path, sentences: int) -> None:
    """The test part, again and again; the answers are written down."""
    turns, cfg = Turns(), load_config(Path(config))
    for side in ("src", "trg"):
        kept = {"lang": cfg["data"][side]["lang"], "max_length": -1}
        cfg["data"][side] = {**kept, "level": "word", "voc_file": str(folder / "tokens.txt")}
    cfg["data"]["test"] = str(folder / "tokens")
    cfg["testing"] |= {"beam_alpha": alpha, "eval_metrics": [], "generate_unk": False}
    args = parse_global_args(cfg, rank=0, mode="train")
    vocabulary, _, _, _, test = load_data(cfg=args.data, datasets=["test"])
    model = handed(args, folder, vocabulary)
    test.random_subset, test.indices = -1, list(range(sentences))
    given = {"device": args.device, "n_gpu": 0, "args": args.test, "autocast": args.autocast}
    while turns.begin():
        tokens = predict(model=model, data=test, normalization="none", **given)[3]
        turns.count(sentences=len(tokens), tokens=sum(map(len, tokens)))
        turns.end()
        (folder / "joeynmt.txt").write_text("".join(f"{' '.join(row)}\n" for row in tokens), "utf-8")


def main() -> None:
    verb, *given = sys.argv[1:]
    if verb == "pieces":
        pieces(Path(given[0]))
    elif verb == "train":
        train(given[0], int(given[1]), int(given[2]))
    else:
        search(given[0], float(given[1]), Path(given[2]), int(given[3]))


if __name__ == "__main__":
    main()
