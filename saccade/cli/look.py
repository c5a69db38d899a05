"""saccade show and saccade describe."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from saccade.cli.options import Describe, Show
from saccade.errors import RunError
from saccade.lens.show import show as draw
from saccade.runs import Run
from saccade.tasks.translate import load


def show(command: Show) -> None:
    """Draw the attention map of one input."""
    translator = load(command.run, device=command.device)
    for doubt in translator.doubts(command.text):
        print(f"saccade: {doubt}", file=sys.stderr)
    answer = translator(command.text)
    if answer.weights is None:
        what = "was trained with --attention none" if answer.source else "got an empty input"
        raise RunError(f"{command.run}: expected a model and a text with something to look at; it {what}")
    files = command.png is not None or command.page is not None
    draw(answer, text=command.text, terminal=command.terminal or not files, png=command.png, page=command.page)


def describe(command: Describe) -> None:
    """Print what a run is."""
    import torch
    import torchinfo

    run = Run(command.run)
    config, translator = run.read_config(), load(command.run)
    longest = translator.longest
    example = [torch.ones(2, longest.source, dtype=torch.long), torch.full((2,), longest.source)]
    example.append(torch.ones(2, longest.target, dtype=torch.long))
    copy = torch.zeros(2, longest.source, dtype=torch.long) if translator.model.config.copy else None
    summary = torchinfo.summary(
        translator.model,
        input_data=example,
        copy=copy,
        device=translator.device,
        verbose=0,
        depth=3,
        col_names=("input_size", "output_size", "num_params"),
        row_settings=("var_names",),
    )
    print(summary)
    console = Console()
    for title in ("options", "data", "scores"):
        console.print(_table(title, config.get(title) or {}))


def _table(title: str, values: dict[str, Any]) -> Table:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    return table
