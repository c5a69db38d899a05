"""One table for each attention of each run: the steps of a generation are its rows."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from saccade.lens.capture.recorder import Kind, Mark, Recorded

CROSS = ("cross", "encoder_attn", "encdecattention", "enc_dec", "src_attn", "multihead_attn", "encoder_attention")


class Track(NamedTuple):
    """One attention of one run of the model.

    name:       the module's, and "#2" and so on where it was at work again.
    kind:       self, cross or pooling.
    records:    one forward pass, or the steps of a generation.
    generation: its number, or None.
    """

    name: str
    kind: Kind
    records: list[Recorded]
    generation: int | None


def stitched(raw: Sequence[Recorded | Mark]) -> list[Track]:
    """Tables of everything that was written down, in the order in which they began.

    A forward pass goes on with the one before it where both belong to one generation, or where an attention reads as
    many slots as before and its own queries more, as with a cache.
    """
    tables: defaultdict[str, list[Track]] = defaultdict(list)
    begun: dict[str, int] = {}  # the first table of the run that goes on
    order: list[Track] = []
    last: int | None = None
    for generation, records in _passes(raw):
        if generation != last:
            begun.clear()
        goes_on = (generation is not None and generation == last) or any(_grown(tables[x.name], x) for x in records)
        last = generation
        here: defaultdict[str, int] = defaultdict(int)
        for record in records:
            name, mine = record.name, tables[record.name]
            if record.step and here[name]:
                mine[-1].records.append(record)
                continue
            if not here[name] and not (goes_on and name in begun and _fits(mine[begun[name]], record)):
                begun[name] = len(mine)
            at = begun[name] + here[name]
            here[name] += 1
            if at < len(mine):
                mine[at].records.append(record)
            else:
                again = "" if not mine else f"#{len(mine) + 1}"
                mine.append(Track(name + again, _kind(record), [record], generation))
                order.append(mine[-1])
    return order


def _passes(raw: Sequence[Recorded | Mark]) -> list[tuple[int | None, list[Recorded]]]:
    """Forward passes, with the generation that each belongs to."""
    generation: int | None = None
    passes: list[tuple[int | None, list[Recorded]]] = []
    for one in raw:
        if isinstance(one, Recorded):
            if not passes:
                passes.append((generation, []))
            passes[-1][1].append(one)
        elif one.what == "forward":
            passes.append((generation, []))
        else:
            generation = one.number if one.what == "generate" else None
            passes.append((generation, []))
    return [one for one in passes if one[1]]


def _grown(tables: Sequence[Track], record: Recorded) -> bool:
    if not tables:
        return False
    queries, keys = record.piece.shape[2:]
    return keys > queries and keys == tables[-1].records[-1].piece.shape[3] + queries


def _fits(table: Track, record: Recorded) -> bool:
    """Whether these can be further rows: of as many heads; a run with other inputs begins with all of its slots."""
    before, now = table.records[-1].piece.shape, record.piece.shape
    return before[1] == now[1] and (table.generation is not None or now[2] < now[3] or table.kind == "cross")


def _kind(record: Recorded) -> Kind:
    if any(hint in record.name.lower() for hint in CROSS):
        return "cross"
    if record.kind is not None:
        return record.kind
    queries, keys = record.piece.shape[2:]
    return "self" if queries == keys else "cross"
