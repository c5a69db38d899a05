"""saccade describe."""

from typing import Any

from rich.console import Console
from rich.table import Table

from saccade.cli.options import Describe
from saccade.runs import Run
from saccade.tasks.load import task_in


def describe(command: Describe) -> None:
    """Print what a run is."""
    import torchinfo

    trained = task_in(command.run).load(command.run)
    summary = torchinfo.summary(
        trained.model,
        input_data=trained.sample(),
        device=trained.device,
        verbose=0,
        depth=3,
        col_names=("input_size", "output_size", "num_params"),
        row_settings=("var_names",),
    )
    print(summary)
    config, console = Run(command.run).read_config(), Console()
    for title in ("options", "data", "scores"):
        console.print(_table(title, config.get(title) or {}))


def _table(title: str, values: dict[str, Any]) -> Table:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    return table
