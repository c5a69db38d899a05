"""saccade sample."""

import sys

from saccade.cli.options import Sample
from saccade.data import dates, times
from saccade.data.pairs import to_tsv

MADE = {"times": times.pairs, "dates": dates.pairs}


def sample(command: Sample) -> None:
    """Print made-up pairs."""
    made = to_tsv(MADE[command.data](command.count, command.seed))
    # The same bytes on every system: no CRLF, no other encoding.
    sys.stdout.buffer.write(made.encode("utf-8"))
