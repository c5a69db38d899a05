"""saccade evaluate."""

import json
from dataclasses import asdict

from saccade.cli.options import Evaluate
from saccade.cli.train import columns
from saccade.data.pairs import PairFile
from saccade.tasks.translate import load


def evaluate(command: Evaluate) -> None:
    """Print how good a run is on some pairs."""
    translator = load(command.run, device=command.device)
    scores = asdict(translator.evaluate(PairFile(command.data, columns(command.columns))))
    if command.json:
        print(json.dumps(scores))
        return
    for name, value in scores.items():
        print(f"{name:22}{value:.4f}" if isinstance(value, float) else f"{name:22}{value}")
