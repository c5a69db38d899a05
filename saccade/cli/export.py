"""saccade export."""

from saccade.cli.options import Export
from saccade.export.exporting import export as exported


def export(command: Export) -> None:
    """Export a run, and say what was verified."""
    done = exported(command.run, command.to, out=command.out, text=command.text)
    print(f"{done.folder}: {done.sentences} sentences of {done.where} come out as the run writes them")
