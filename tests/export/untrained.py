"""What the tests of exports share: translators with weights by chance, whose answers differ, and runs of them."""

from dataclasses import asdict
from pathlib import Path

import torch

from saccade.data import tokens
from saccade.data.paircorpus import Vocabularies
from saccade.runs import Run
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.task import Translate
from saccade.tasks.translate.translator import Longest, Translator, new_model

TEXTS = ["abc def ghij", "hello world, how are you", "a", "zebra crossings in town of xylo and q"]
ASKED = [*TEXTS, "", "zz Q?", "a b c d e f g h i j k l m n o p", "   "]
HALVES = {"encoder": "transformer", "decoder": "transformer", "level": "char", "hidden": 32, "layers": 2}


def untrained(options: TranslateOptions) -> Translator:
    """A translator with weights by chance, large enough that its answers differ from text to text."""
    torch.manual_seed(3)
    one = tokens.learn(TEXTS, "char")
    sides = Vocabularies(one, one if options.tied == "all" else tokens.learn(reversed(TEXTS[:2]), "char"))
    model = new_model(options, sides)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight)) if weight.dim() == 1 else weight.mul_(2.0)
    return Translator(model, sides, Longest(20, 9))


def as_run(translator: Translator, options: TranslateOptions, folder: Path) -> Path:
    """A run folder of it, whose training file stands beside it."""
    run, train = Run(folder), folder.parent / "train.tsv"
    run.create()
    train.write_text("".join(f"{text}\t{text}\n" for text in TEXTS), "utf-8")
    data = {"train": [str(train)], "columns": ["source", "target"], "longest": translator.longest._asdict()}
    Translate().write_codec(run, translator.vocabularies)
    run.write_weights(translator.model.state_dict())
    run.write_config({"task": "translate", "options": asdict(options), "data": data, "finished": True})
    return folder
