"""Figures of every head of every attention, one row each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.lens.capture.site import Site, given
from saccade.lens.capture.statistics import Figures


class Measures(NamedTuple):
    """A table of figures.

    columns: what was measured.
    sites:   the attention that each row is of.
    heads:   its head.
    values:  `[row, column]`.
    """

    columns: tuple[str, ...]
    sites: tuple[str, ...]
    heads: tuple[int, ...]
    values: Tensor

    def ranked(self) -> "Measures":
        """The same rows, those with the largest first figure first.

        >>> table = Measures(("sink",), ("a", "a", "b"), (0, 1, 0), torch.tensor([[0.1], [0.9], [0.5]]))
        >>> print(table.ranked())
        site  head  sink
        a        1   0.9
        b        0   0.5
        a        0   0.1
        """
        order = self.values[:, 0].argsort(descending=True, stable=True).tolist()
        sites, heads = ([column[row] for row in order] for column in (self.sites, self.heads))
        return Measures(self.columns, tuple(sites), tuple(heads), self.values[order])

    def __str__(self) -> str:
        """One line for each head."""
        rows = zip(self.sites, self.heads, self.values.tolist(), strict=True)
        lines = [(site, str(head), *(f"{value:.3g}" for value in values)) for site, head, values in rows]
        table = [("site", "head", *self.columns), *lines]
        wide = [max(map(len, column)) for column in zip(*table, strict=True)]
        sides = ["<", *">" * (len(wide) - 1)]
        return "\n".join(
            "  ".join(f"{cell:{side}{size}}" for cell, side, size in zip(line, sides, wide, strict=True))
            for line in table
        )


class Real(NamedTuple):
    """Which of a site's slots are real tokens and which are special ones, boolean `[batch, key]`; None: not known.

    which: the sequences that are measured.
    """

    rows: Tensor | None
    slots: Tensor | None
    special: Tensor | None
    which: slice = slice(None)


def measured(sites: Sequence[Site], names: Sequence[str], real: Callable[[Site], Real]) -> Measures:
    """Mean figures over the real queries of the sequences, for each head.

    Raises:
        ValueError: no measure, one that there is not, or one that needs to know the tokens where nobody knows them.
    """
    for name in names or [""]:
        if name not in MEASURES:
            raise ValueError(f"measures must be of {', '.join(MEASURES)}; got {name!r}")
    values = []
    for site in sites:
        known = real(site)
        found = _figures(site, known, set(names))
        values.append(torch.stack([MEASURES[name](site, known, found).cpu().float() for name in names], 1))
    labels = [(site.name, head) for site in sites for head in range(site.shape[1])]
    table = torch.cat(values) if values else torch.zeros(0, len(names))
    return Measures(tuple(names), tuple(name for name, _ in labels), tuple(head for _, head in labels), table)


def _figures(site: Site, real: Real, names: set[str]) -> Figures:
    """Everything that the measures need, in one pass over the weights."""
    groups = None
    if names & {"sink", "special"}:
        groups = torch.stack([_first(site, real), _special(site, real, "special" in names)], 2)
    rows = None
    if "coverage" in names:
        rows = torch.ones(1, 1, len(site.places)) if real.rows is None else real.rows[:, None].float()
    entropy = bool(names & {"entropy", "entropy_normalised"})
    return site.figures(entropy=entropy, rows=rows, distance="distance" in names, groups=groups)


def _first(site: Site, real: Real) -> Tensor:
    """The first real slot of each sequence (the sink of Xiao et al. 2024)."""
    slots = torch.ones(site.shape[0], site.shape[3]) if real.slots is None else real.slots.float()
    return ((slots.cumsum(1) * slots) == 1).float()


def _special(site: Site, real: Real, wanted: bool) -> Tensor:
    """The slots of special tokens (Clark et al. 2019, §3.2)."""
    if real.special is not None:
        return real.special.float()
    if wanted:
        lacks = f"special needs to know the tokens of {site.name}"
        raise ValueError(f"{lacks}: give look a tokenizer, and the model input_ids")
    return torch.zeros(site.shape[0], site.shape[3])


def _entropy(site: Site, real: Real, found: Figures) -> Tensor:
    return _mean(given(found.entropy), site, real)


def _normalised(site: Site, real: Real, found: Figures) -> Tensor:
    entropy = given(found.entropy)
    most = site.seen_slots().to(entropy).log()
    return _mean(torch.where(most > 0, entropy / most, 0.0), site, real)


def _coverage(site: Site, real: Real, found: Figures) -> Tensor:
    """The part of the input that was read: the mean of min(c_j, 1) over real slots (after Wu et al. 2016, eq. 14)."""
    covered = given(found.pulled).clamp(max=1.0)
    slots = torch.ones_like(covered) if real.slots is None else real.slots[:, None].to(covered).expand_as(covered)
    covered, slots = covered[real.which], slots[real.which]
    return (covered * slots).sum((0, 2)) / slots.sum((0, 2)).clamp(min=1)


def _distance(site: Site, real: Real, found: Figures) -> Tensor:
    return _mean(given(found.distance), site, real)


def _on_first(site: Site, real: Real, found: Figures) -> Tensor:
    return _mean(given(found.mass)[..., 0], site, real)


def _on_special(site: Site, real: Real, found: Figures) -> Tensor:
    return _mean(given(found.mass)[..., 1], site, real)


def _mean(per_row: Tensor, site: Site, real: Real) -> Tensor:
    """The mean over the rows that are real and may look somewhere, of each head."""
    counted = (site.seen_slots() > 0).to(per_row).expand_as(per_row)
    if real.rows is not None:
        counted = counted * real.rows[:, None].to(per_row)
    per_row, counted = per_row[real.which], counted[real.which]
    return (per_row * counted).sum((0, 2)) / counted.sum((0, 2)).clamp(min=1)


MEASURES: dict[str, Callable[[Site, Real, Figures], Tensor]] = {
    "entropy": _entropy,
    "entropy_normalised": _normalised,
    "coverage": _coverage,
    "distance": _distance,
    "sink": _on_first,
    "special": _on_special,
}
