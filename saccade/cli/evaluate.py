"""saccade evaluate."""

import json
from dataclasses import asdict
from typing import Any

from saccade.cli.options import Evaluate
from saccade.cli.train import columns
from saccade.runs import Run
from saccade.tasks.load import task_in


def evaluate(command: Evaluate) -> None:
    """Print how good a run is on some examples."""
    task, run = task_in(command.run), Run(command.run)
    config = run.read_config()
    names = columns(command.columns) if command.columns else tuple(config["data"]["columns"])
    options = task.read_options(run, config)
    trained = task.load(command.run, device=command.device)
    scores = asdict(trained.evaluate(task.files(command.data, names, options)))
    if command.json:
        print(json.dumps(scores, ensure_ascii=False))
    else:
        print_figures(scores)


def print_figures(scores: dict[str, Any]) -> None:
    """A line for each figure."""
    for name, value in scores.items():
        print(f"{name:22}{value:.4f}" if isinstance(value, float) else f"{name:22}{value}")
