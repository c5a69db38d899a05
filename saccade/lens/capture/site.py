"""One attention of a model: its weights, as much of them as somebody asks for, and figures of them."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saccade.lens.capture import gradients
from saccade.lens.capture.call import EVERY, Call, narrow
from saccade.lens.capture.checks import Check
from saccade.lens.capture.pieces import Kept, made, rows_of
from saccade.lens.capture.recorder import Recorded
from saccade.lens.capture.statistics import Figures, figures, slots_seen
from saccade.lens.capture.stitching import Track

Some = TypeVar("Some")
LIMIT = 2**28
"""Bytes of weights that are made without asking twice."""


class Site:
    """One attention of the model. Weights are float32 (float64 in a model of doubles), made when they are asked for.

    name:   the module's; with "#2" and so on where it was at work again.
    kind:   "self", "cross", or "pooling", where the query is a parameter.
    route:  what saw it: "huggingface", "fused", "multihead" or "ours".
    shape:  `(batch, heads, query, key)`; the steps of a generation are rows, with zeros where slots came later.
    places: the rows that there are: all of them, unless `look(rows=...)` kept a few.
    check:  what comparing recomputed rows with what really came out says.
    """

    def __init__(self, track: Track, check: Check, follow: Int[Tensor, "sequence step"] | None = None):
        self.name, self.kind, self.check, self.route = track.name, track.kind, check, track.records[0].route
        self.records, self.follow = track.records, follow
        shapes = [record.piece.shape for record in track.records]
        ends = [sum(shape[2] for shape in shapes[: i + 1]) for i in range(len(shapes))]
        self._begins = [end - shape[2] for end, shape in zip(ends, shapes, strict=True)]
        # A cache that forgets its oldest slots holds the latest ones.
        forgets = track.kind == "self" and shapes[0][2] == shapes[0][3]
        self._slots = [max(0, end - shape[3]) * forgets for end, shape in zip(ends, shapes, strict=True)]
        keys = max(slot + shape[3] for slot, shape in zip(self._slots, shapes, strict=True))
        batch = max(shape[0] for shape in shapes) if follow is None else len(follow)
        self.shape = batch, shapes[0][1], ends[-1], keys
        parts = zip(self._begins, track.records, strict=True)
        self.places = tuple(begin + row for begin, record in parts for row in _rows(record))
        self._there = frozenset(self.places)

    def __repr__(self) -> str:
        sizes = ", ".join(str(size) for size in self.shape)
        return f"Site({self.name!r}, {self.kind}, [{sizes}], {self.route}, {self.check})"

    def row(self, row: int, *, heads: Sequence[int] | None = None) -> Float[Tensor, "batch heads key"]:
        """What one query looked at; -1 is the last.

        Raises:
            ValueError: a row or a head that there is not.
        """
        return self.rows([row], heads=heads)[:, :, 0]

    def rows(self, rows: Sequence[int], *, heads: Sequence[int] | None = None) -> Float[Tensor, "batch heads rows key"]:
        """What some queries looked at.

        Raises:
            ValueError: a row or a head that there is not.
        """
        heads = None if heads is None else [placed("head", head, self.shape[1]) for head in heads]
        wanted = [self._checked_row(row) for row in rows]
        found: Tensor | None = None
        for index, (record, begin) in enumerate(zip(self.records, self._begins, strict=True)):
            here = [i for i, row in enumerate(wanted) if begin <= row < begin + record.piece.shape[2]]
            if here:
                part = rows_of(self._piece(index), [wanted[i] - begin for i in here], heads)
                if found is None:
                    found = part.new_zeros(self.shape[0], part.shape[1], len(wanted), self.shape[3])
                found[:, :, here, self._slots[index] : self._slots[index] + part.shape[3]] = part
        if found is None:
            return torch.zeros(self.shape[0], self.shape[1] if heads is None else len(heads), 0, self.shape[3])
        return found

    def column(self, column: int) -> Float[Tensor, "batch heads rows"]:
        """How much every row of `places` looked at one slot.

        Raises:
            ValueError: a slot that there is not.
        """
        one = torch.zeros(1, self.shape[3], 1)
        one[0, placed("column", column, self.shape[3])] = 1.0
        return self.mass(one)[..., 0]

    def head(self, head: int, *, full: bool = False) -> Float[Tensor, "batch rows key"]:
        """All weights of one head.

        Raises:
            ValueError: a head that there is not, or so many weights that one must say `full=True`.
        """
        self._check_size(1, full)
        return self.rows(self.places, heads=[head])[:, 0]

    def weights(self, *, full: bool = False) -> Float[Tensor, "batch heads rows key"]:
        """All weights of all heads.

        Raises:
            ValueError: so many weights that one must say `full=True`.
        """
        self._check_size(self.shape[1], full)
        return self.rows(self.places)

    def entropy(self, *, normalised: bool = False) -> Float[Tensor, "batch heads rows"]:
        """`-sum_j A_ij ln A_ij` of every row, in nats; normalised: divided by that of looking everywhere alike.

        A row that may attend one slot or none has a normalised entropy of zero.
        """
        entropy = given(self.figures(entropy=True).entropy)
        if normalised:
            most = self.seen_slots().to(entropy).log()
            entropy = torch.where(most > 0, entropy / most, 0.0)
        return entropy

    def coverage(self, rows: Float[Tensor, "batch heads rows"] | None = None) -> Float[Tensor, "batch heads key"]:
        """How much each slot was looked at by all rows together, `c_j = sum_i A_ij` (Tu et al. 2016).

        Args:
            rows: r, to weigh rows by: `sum_i r_i A_ij`, broadcastable to `[batch, heads, rows]`.
        """
        return given(self.figures(rows=torch.ones(1, 1, len(self.places)) if rows is None else rows).pulled)

    def distance(self) -> Float[Tensor, "batch heads rows"]:
        """How far every row looks on average, `sum_j A_ij |i - j|`, in slots."""
        return given(self.figures(distance=True).distance)

    def mass(self, groups: Float[Tensor, "batch key group"]) -> Float[Tensor, "batch heads rows group"]:
        """How much of every row falls on groups of slots: `sum_j A_ij g_jn`.

        Args:
            groups: g, how much of each slot counts for each group, `[batch or 1, key, group]`.

        Raises:
            ValueError: other axes.
        """
        if groups.dim() != 3 or groups.shape[1] != self.shape[3] or groups.shape[0] not in (1, self.shape[0]):
            expected = f"[{self.shape[0]} or 1, {self.shape[3]}, group]"
            raise ValueError(f"groups must be [batch or 1, key, group] = {expected}; got {list(groups.shape)}")
        return given(self.figures(groups=groups).mass)

    def figures(
        self,
        *,
        entropy: bool = False,
        rows: Float[Tensor, "batch heads rows"] | None = None,
        distance: bool = False,
        groups: Float[Tensor, "batch key group"] | None = None,
    ) -> Figures:
        """Several of these at once, in one pass over the weights: see `saccade.lens.capture.statistics.figures`."""
        found, pulled = [], None
        for piece, slot, part in zip(self._pieces(), self._slots, self._standing(), strict=True):
            here = slice(slot, slot + piece.shape[3])
            mine = None if rows is None else rows[..., part]
            each = None if groups is None else groups[:, here]
            found.append(figures(piece, entropy=entropy, rows=mine, distance=distance, groups=each))
            if (one := found[-1].pulled) is not None:
                pulled = one.new_zeros(*self.shape[:2], self.shape[3]) if pulled is None else pulled
                pulled[..., here] += one
        joined = [None if part[0] is None else torch.cat(part, 2) for part in zip(*found, strict=True)]
        return Figures(joined[0], pulled, joined[2], joined[3])

    def seen_slots(self) -> Float[Tensor, "batch_or_1 heads_or_1 rows"]:
        """How many slots every row of `places` may attend."""
        parts = []
        for piece, part in zip(self._pieces(), self._standing(), strict=True):
            counts = slots_seen(piece)
            parts.append(counts.expand(-1, -1, part.stop - part.start))
        sizes = [max(part.shape[axis] for part in parts) for axis in (0, 1)]
        return torch.cat([part.expand(*sizes, -1) for part in parts], 2)

    def gradient(self, rows: Sequence[int]) -> Float[Tensor, "batch heads rows key"]:
        """`dL / dA_ij = dO_i . V_j` of some rows, after the backward pass of a loss L.

        Raises:
            ValueError: gradients were not asked for, or there was no backward pass.
        """
        record = self._differentiated()
        return gradients.of_weights(made(record.piece), record.gradient, [self._checked_row(row) for row in rows])

    def relevance(self, rows: Float[Tensor, "batch query"]) -> Float[Tensor, "batch key"]:
        """`sum_i r_i mean_h (dL/dA o A)+_hij`, one step of Chefer et al. 2021, eq. 5, in blocks of rows.

        Raises:
            ValueError: as `gradient`.
        """
        record = self._differentiated()
        return gradients.relevance(made(record.piece), record.gradient, rows)

    def importance(self) -> Float[Tensor, "batch heads"]:
        """How much the loss hangs on each head, `|sum_i O_i . dL/dO_i|` (Michel et al. 2019, eq. 2).

        Raises:
            ValueError: as `gradient`.
        """
        record = self._differentiated()
        return gradients.importance(made(record.piece), record.gradient)

    def norms(self, rows: Sequence[int], *, output: Tensor | None = None) -> Float[Tensor, "batch heads rows key"]:
        """How long the vectors are that are added up, `A_ij |V_j W_o|` (Kobayashi et al. 2020).

        Args:
            output: W_o of all heads, `[dim, heads * value_dim]`, as of a Linear; the values' own length where None.

        Raises:
            ValueError: a row that there is not, or that is without its values.
        """
        piece, wanted = made(self.records[0].piece), [self._checked_row(row) for row in rows]
        if not isinstance(piece, Call) or len(self.records) > 1:
            raise ValueError(f"norms need values, which are held of whole calls only; {self.name} kept rows")
        return gradients.norms(piece, wanted, output)

    def _piece(self, index: int) -> Call | Kept:
        """What is kept of one call, of the sequences that are followed."""
        piece = made(self.records[index].piece)
        if self.follow is None:
            return piece
        last = self.follow.shape[1] - 1
        step = self.follow[:, min(index, last)].to(_device(piece))
        at = step.clamp(min=0)
        if isinstance(piece, Call):
            return narrow(piece, at, EVERY)
        # Who has ended before this step looks nowhere.
        there = (step >= 0) & (index <= last)
        counts = piece.counts if piece.counts.shape[0] == 1 else piece.counts[at]
        return piece._replace(weights=piece.weights[at] * there[:, None, None, None], counts=counts)

    def made_pieces(self) -> list[Call | Kept]:
        """What is kept of every call, before any beam is followed."""
        return [made(record.piece) for record in self.records]

    def _pieces(self) -> Iterator[Call | Kept]:
        return (self._piece(index) for index in range(len(self.records)))

    def _standing(self) -> list[slice]:
        """Where the rows of each call stand among `places`."""
        ends = list(accumulate(len(_rows(record)) for record in self.records))
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def _differentiated(self) -> Recorded:
        record = self.records[0]
        if record.gradient is None:
            raise ValueError("gradients must be asked for with look(model, gradients=True)")
        if len(self.records) > 1:
            raise ValueError(f"gradients must be those of one forward pass; {self.name} has {len(self.records)}")
        return record

    def _checked_row(self, row: int) -> int:
        row = placed("row", row, self.shape[2])
        if row not in self._there:
            kept = (
                f"{self.places[0]} to {self.places[-1]}" if len(self.places) > 9 else ", ".join(map(str, self.places))
            )
            raise ValueError(f"row must be one that was kept, of {self.name} {kept or 'none'}; got {row}")
        return row

    def _check_size(self, heads: int, full: bool) -> None:
        batch, _, _, keys = self.shape
        sizes = [batch, heads, len(self.places), keys]
        if not full and 4 * prod(sizes) > LIMIT:
            taken = f"{4 * prod(sizes) / 2**30:.1f} GiB"
            raise ValueError(f"weights {sizes} of {self.name} would take {taken}: ask for rows, or say full=True")


def given(x: Some | None) -> Some:
    """What must be there by now."""
    assert x is not None
    return x


def _rows(record: Recorded) -> Sequence[int]:
    return record.piece.rows if isinstance(record.piece, Kept) else range(record.piece.shape[2])


def _device(piece: Call | Kept) -> torch.device:
    return piece.weights.device if isinstance(piece, Kept) else piece.query.device


def placed(name: str, at: int, size: int) -> int:
    """A place from 0 on, of one that may be counted from the end.

    Raises:
        ValueError: outside.
    """
    if not -size <= at < size:
        choices = f"0 to {size - 1}" if size else "none, there are none"
        raise ValueError(f"{name} must be {choices}; got {at}")
    return at % size
