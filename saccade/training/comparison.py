"""What a comparison found: a row of plain figures for each attention, and what may be said of them."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from saccade.files import write_atomic

TABLE, PLAN = "comparison.md", "comparison.json"


class Quality(NamedTuple):
    """A figure by its name, and whether more of it is better."""

    name: str
    higher: bool


# The first is what attentions are ranked by. Of texts chrF, which tells good from better both where hardly any answer
# is exactly right (translation) and where answers are too short for BLEU (a clock time).
QUALITIES: dict[str, tuple[Quality, ...]] = {
    "translate": (Quality("chrf", True), Quality("exact_match", True), Quality("bleu", True)),
    "classify": (Quality("accuracy", True), Quality("macro_f1", True), Quality("loss", False)),
    "tag": (Quality("span_f1", True), Quality("accuracy", True), Quality("sentences_right", True)),
    "caption": (Quality("bleu4", True), Quality("exact_match", True), Quality("cider", True)),
    "transcribe": (Quality("wer", False), Quality("cer", False), Quality("exact_match", True)),
    "regress": (Quality("mse", False), Quality("mae", False), Quality("linear_mse", False)),
}


class Spread(NamedTuple):
    """The mean over the seeds and their standard deviation (`n - 1` below the root), None of one seed."""

    mean: float
    deviation: float | None

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.2g}"
        return f"{self.mean:.4g}{spread}"


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of one value for each seed.

    >>> str(spread([0.5, 0.7, 0.9]))
    '0.7 ± 0.2'
    """
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Row:
    """One attention; a figure that no training has is None, or missing among the figures."""

    attention: str
    figures: dict[str, Spread]
    """By name; over the seeds."""
    seconds: float | None
    """To train, with validations; the mean."""
    memory: float | None
    """MiB, the most of any training."""
    entropy: float | None
    """Of the weights: 0 all on one slot, 1 all alike; the mean."""
    parameters: int | None
    runs: tuple[str, ...]
    """The folders of the trainings that are finished."""
    failed: tuple[str, ...] = ()
    """A line for each training that failed."""


def row(attention: str, trials: dict[str, dict[str, Any]], failed: Sequence[str] = ()) -> Row:
    """The row of an attention, from what was measured of each of its trainings, by folder."""
    found = list(trials.values())
    names = dict.fromkeys(name for trial in found for name in trial["figures"])
    figures = {
        name: spread([trial["figures"][name] for trial in found])
        for name in names
        if all(name in trial["figures"] for trial in found)
    }
    seconds, memory, entropy, parameters = (
        [trial[name] for trial in found if trial[name] is not None]
        for name in ("seconds", "memory", "entropy", "parameters")
    )
    return Row(
        attention,
        figures,
        seconds=statistics.fmean(seconds) if seconds else None,
        memory=max(memory, default=None),
        entropy=statistics.fmean(entropy) if entropy else None,
        parameters=max(parameters, default=None),
        runs=tuple(trials),
        failed=tuple(failed),
    )


@dataclass(frozen=True)
class Comparison:
    """Attentions beside each other, best first."""

    folder: Path
    task: str
    measured_on: tuple[str, ...]
    """The files; none: the end of the table."""
    rows: tuple[Row, ...]
    about: dict[str, Any]
    """What was compared, and with what: options, files, versions, machine."""

    @property
    def qualities(self) -> tuple[Quality, ...]:
        """The figures of quality that there are; the first is what rows are ranked by."""
        known = {name for one in self.rows for name in one.figures}
        return tuple(quality for quality in QUALITIES[self.task] if quality.name in known)

    def ranked(self) -> "Comparison":
        """The same with the best mean first; rows without a figure come last."""
        if not self.qualities:
            return self
        name, higher = self.qualities[0]

        def place(one: Row) -> tuple[bool, float]:
            mean = one.figures[name].mean if name in one.figures else math.nan
            return math.isnan(mean), -mean if higher else mean

        rows = tuple(sorted(self.rows, key=place))
        return Comparison(self.folder, self.task, self.measured_on, rows, self.about)

    def sentence(self) -> str:
        """What may be said: nothing of two attentions whose `mean ± deviation` touch."""
        if not self.qualities:
            return "no training is finished: there is nothing to compare"
        name = self.qualities[0].name
        there = [one for one in self.rows if name in one.figures]
        if len(there) == 1:
            return f"{_called(there[0])} alone is finished: there is nothing to compare it with"
        if any(one.figures[name].deviation is None for one in there):
            return "one seed tells nothing about the spread: no attention is called the best (try --seeds 3)"
        best, *others = there
        near = [_called(one) for one in others if touch(best.figures[name], one.figures[name])]
        if not near:
            return f"{_called(best)} is best in {name}, by more than the spread of the seeds"
        if len(near) == len(others):
            return f"the differences in {name} are within the spread of the seeds: no attention is the best"
        return (
            f"{_called(best)} has the best {name}, but {_listed(near)} {'are' if len(near) > 1 else 'is'} within the "
            "spread of the seeds"
        )

    def markdown(self) -> str:
        """The table, and below it what may be said."""
        names = [quality.name for quality in self.qualities]
        head = ["attention", *names, "seconds", "MiB", "entropy", "parameters"]
        lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
        for one in self.rows:
            cells = [str(one.figures[name]) if name in one.figures else "–" for name in names]
            cells += [_cell(one.seconds, ".1f"), _cell(one.memory, ".0f"), _cell(one.entropy, ".3f")]
            lines.append(f"| {' | '.join([one.attention, *cells, _cell(one.parameters, ',')])} |")
        failed = [f"- failed: {line}" for one in self.rows for line in one.failed]
        return "\n".join([*lines, "", self.sentence() + ".", *([""] if failed else []), *failed]) + "\n"

    def write(self) -> None:
        """Write `comparison.json` and `comparison.md` into the folder."""
        rows = [
            {**asdict(one), "figures": {name: found._asdict() for name, found in one.figures.items()}}
            for one in self.rows
        ]
        found = {**self.about, "measured_on": self.measured_on, "rows": rows, "sentence": self.sentence()}
        write_atomic(self.folder / PLAN, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        write_atomic(self.folder / TABLE, self.markdown())


def touch(one: Spread, other: Spread) -> bool:
    """Whether `mean ± deviation` of both touch; a single seed, whose deviation nobody knows, touches all.

    >>> touch(Spread(0.9, 0.01), Spread(0.88, 0.01)), touch(Spread(0.9, 0.01), Spread(0.87, 0.01))
    (True, False)
    """
    if one.deviation is None or other.deviation is None:
        return True
    # Sums of floats: what would just touch in decimals does.
    gap, reach = abs(one.mean - other.mean), one.deviation + other.deviation
    return gap <= reach or math.isclose(gap, reach, rel_tol=1e-9)


def _called(one: Row) -> str:
    # "none is best" would say that nobody is.
    return "the model without attention" if one.attention == "none" else one.attention


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
