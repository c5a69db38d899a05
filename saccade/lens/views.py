"""What is made of sites before they are drawn: one head or a mean, whole words, no special tokens, fewer weights."""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from saccade.alignments.weights import word_weights
from saccade.lens.heads import LIMIT, Layers, Measured, Site, Top, choices
from saccade.lens.maps import AttentionMap
from saccade.lens.tokens import Tokens

Over: TypeAlias = Literal["mean", "max"]
Merge: TypeAlias = Literal["pieces", "words"]


def at(drawn: Layers, site: str | int | None = None, head: str | int | None = None) -> Layers:
    """One site of `drawn` and one of its heads, each by its name or its place (-1 is the last); None keeps all.

    `head` may be `"mean"` or `"max"` too, over the heads of a site; figures of heads are left out then.

    Raises:
        ValueError: an unknown site or head; the error lists the choices.

    >>> from saccade.lens.heads import layers, site
    >>> both = layers([site("a", "xy", "z", [[[1, 0]], [[0, 1]]])])
    >>> at(both, "a", "mean").sites[0].weights.tolist()
    [[[0.5, 0.5]]]
    """
    kept = range(len(drawn.sites)) if site is None else [_place("site", site, [one.name for one in drawn.sites])]
    sites = [drawn.sites[place] for place in kept]
    figures = [Measured(name, tuple(values[place] for place in kept)) for name, values in drawn.figures]
    if head in ("mean", "max"):
        over: Over = "mean" if head == "mean" else "max"
        return drawn._replace(sites=tuple(reduced(one, over) for one in sites), figures=())
    if head is None:
        return drawn._replace(sites=tuple(sites), figures=tuple(figures))
    places = [_place(f"head of {one.name}", head, [*one.heads, "mean", "max"]) for one in sites]
    alone = [Measured(name, tuple(row[[at]] for row, at in zip(rows, places, strict=True))) for name, rows in figures]
    return drawn._replace(
        sites=tuple(only(one, place) for one, place in zip(sites, places, strict=True)), figures=tuple(alone)
    )


def _place(what: str, wanted: str | int, names: list[str]) -> int:
    count = len(names) - (2 if names[-2:] == ["mean", "max"] else 0)
    if isinstance(wanted, int) and -count <= wanted < count:
        return wanted % count
    if isinstance(wanted, str) and wanted in names[:count]:
        return names.index(wanted)
    raise ValueError(f"{what} must be {choices(names)}, or a place from 0 to {count - 1}; got {wanted!r}")


def only(one: Site, head: int) -> Site:
    """The site with that head alone.

    >>> from saccade.lens.heads import site
    >>> only(site("a", "xy", "z", [[[1, 0]], [[0, 1]]]), 1).heads
    ('1',)
    """
    kept = slice(head, head + 1)
    weights = one.weights
    if isinstance(weights, Top):
        some = Top(weights.keys[kept], weights.weights[kept], weights.rest[kept])
        return one._replace(weights=some, heads=one.heads[kept])
    return one._replace(weights=weights[kept], heads=one.heads[kept])


def reduced(one: Site, over: Over) -> Site:
    """The mean or the largest over the heads of a site, as one head.

    Of top weights what one head left out counts as zero there; `rest` is the mean of the heads' either way.

    >>> from saccade.lens.heads import site
    >>> reduced(site("a", "xy", "z", [[[1, 0]], [[0, 0.5]]]), "max").weights.tolist()
    [[[1.0, 0.5]]]
    """
    if not one.heads:
        raise ValueError(f"{one.name} must have heads to take the {over} of; got none")
    weights = one.weights
    if not isinstance(weights, Top):
        return one._replace(weights=getattr(weights, over)(0, keepdims=True), heads=(over,))
    rows = np.broadcast_to(np.arange(weights.keys.shape[1])[:, None], weights.keys.shape)
    share = 1 / len(one.heads) if over == "mean" else 1.0
    shape = (1, weights.keys.shape[1], len(one.source.labels))
    merged_rows = _gathered(np.zeros_like(rows), rows, weights.keys, weights.weights * share, shape, over)
    return one._replace(weights=Top(*merged_rows, weights.rest.mean(0, keepdims=True)), heads=(over,))


def _gathered(
    head: NDArray[np.intp],
    row: NDArray[np.intp],
    key: NDArray[np.int32],
    value: NDArray[np.float32],
    shape: tuple[int, int, int],
    over: Over = "mean",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Entries put together by their place: summed, or the largest; as keys and weights [head, row, most in a row]."""
    heads, rows, keys = shape
    there = value > 0
    place = ((head * rows + row) * keys + key)[there]
    places, inverse = np.unique(place, return_inverse=True)
    together = np.zeros(len(places), np.float64)
    (np.maximum if over == "max" else np.add).at(together, inverse, value[there])
    lines = places // max(keys, 1)
    first = np.searchsorted(lines, np.arange(heads * rows + 1))
    width = int(np.diff(first).max(initial=0))
    found_keys = np.zeros((heads * rows, width), np.int32)
    found = np.zeros((heads * rows, width), np.float32)
    within = np.arange(len(places)) - first[lines]
    found_keys[lines, within] = places % max(keys, 1)
    found[lines, within] = together
    order = np.argsort(-found, axis=-1, kind="stable")
    shape = (heads, rows, width)
    found_keys = np.take_along_axis(found_keys, order, -1).reshape(shape)
    return found_keys, np.take_along_axis(found, order, -1).reshape(shape)


def merged(one: Site) -> Site:
    """Whole words: the weight of a word is the sum over its pieces that were looked at, the mean over those that look.

    The sum of a row stays what it was, and what it leaves out too.

    >>> from saccade.lens.heads import site
    >>> from saccade.lens.tokens import tokens
    >>> pieces = tokens(["play", "##ing", "on"], words="auto")
    >>> merged(site("a", pieces, "x", [[[0.5, 0.25, 0.25]]])).weights.tolist()
    [[[0.75, 0.25]]]
    """
    source, target = np.array(one.source.words, int), np.array(one.target.words, int)
    columns, rows = len(one.source.names), len(one.target.names)
    pieces = np.bincount(target, minlength=rows)
    weights = one.weights
    if isinstance(weights, Top):
        heads = len(one.heads)
        head = np.broadcast_to(np.arange(heads)[:, None, None], weights.keys.shape)
        row = np.broadcast_to(target[:, None], weights.keys.shape)
        share = weights.weights / pieces[row]
        word = source[weights.keys].astype(np.int32) if weights.keys.size else weights.keys
        rest = np.stack([np.bincount(target, part / pieces[target], minlength=rows) for part in weights.rest])
        drawn: NDArray[np.float32] | Top = Top(
            *_gathered(head, row, word, share, (heads, rows, columns)), rest.astype(np.float32)
        )
    else:
        drawn = word_weights(weights, one.source.words, one.target.words, shape=(rows, columns))
    return one._replace(source=_words(one.source), target=_words(one.target), weights=drawn)


def _words(axis: Tokens) -> Tokens:
    """The words as tokens; one that holds a token of the text is not special."""
    special = set(axis.special)
    plain = {word for place, word in enumerate(axis.words) if place not in special}
    image = axis.image and axis.image._replace(places=tuple(axis.words[place] for place in axis.image.places))
    numbers = tuple(range(len(axis.names)))
    return Tokens(axis.names, numbers, axis.names, tuple(word for word in numbers if word not in plain), image)


def hidden(one: Site, *, renormalise: bool = False) -> Site:
    """Without the special tokens of either axis; weights stay as they are, so that rows sum to less than before.

    With `renormalise` each row is divided by what it still holds, what it left out included: it is then where the
    head looked when it looked at none of them.

    >>> from saccade.lens.heads import site
    >>> from saccade.lens.tokens import tokens
    >>> marked = tokens(["[CLS]", "a", "b"], special=[0])
    >>> hidden(site("a", marked, "x", [[[0.5, 0.25, 0.25]]]), renormalise=True).weights.tolist()
    [[[0.5, 0.5]]]
    """
    columns, rows = (
        np.array([at for at in range(len(axis.labels)) if at not in set(axis.special)], int)
        for axis in (one.source, one.target)
    )
    weights = one.weights
    drawn: NDArray[np.float32] | Top
    if isinstance(weights, Top):
        number = np.full(len(one.source.labels), -1)
        number[columns] = np.arange(len(columns))
        keys = number[weights.keys[:, rows]]
        kept = np.where(keys >= 0, weights.weights[:, rows], 0).astype(np.float32)
        rest = weights.rest[:, rows]
        if renormalise:
            total = kept.sum(-1) + rest
            kept, rest = _divided(kept, total[..., None]), _divided(rest, total)
        drawn = Top(np.maximum(keys, 0).astype(np.int32), kept, rest)
    else:
        kept = weights[:, rows][:, :, columns]
        drawn = _divided(kept, kept.sum(-1, keepdims=True)) if renormalise else kept
    return one._replace(source=_kept(one.source, columns), target=_kept(one.target, rows), weights=drawn)


def _divided(weights: NDArray[np.float32], total: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def _kept(axis: Tokens, places: NDArray[np.intp]) -> Tokens:
    numbers = np.unique(np.array(axis.words, int)[places], return_inverse=True)
    order = {place: at for at, place in enumerate(places.tolist())}
    image = axis.image
    if image is not None:
        whole = all(place in order for place in image.places)
        image = image._replace(places=tuple(order[place] for place in image.places)) if whole else None
    return Tokens(
        tuple(axis.labels[place] for place in places),
        tuple(numbers[1].tolist()),
        tuple(axis.names[word] for word in numbers[0]),
        (),
        image,
    )


def thresholded(one: Site, least: float) -> Site:
    """Without the weights below `least`; of top weights what is taken away counts as left out.

    >>> from saccade.lens.heads import site
    >>> thresholded(site("a", "xy", "z", [[[0.9, 0.1]]]), 0.2).weights.round(1).tolist()
    [[[0.8999999761581421, 0.0]]]
    """
    weights = one.weights
    if not isinstance(weights, Top):
        return one._replace(weights=np.where(weights >= least, weights, 0).astype(np.float32))
    kept = np.where(weights.weights >= least, weights.weights, 0).astype(np.float32)
    lost = weights.weights.sum(-1) - kept.sum(-1)
    return one._replace(weights=Top(weights.keys, kept, weights.rest + lost))


def dense(one: Site) -> NDArray[np.float32]:
    """The weights of a site as [head, query, key]; what top weights leave out is zero.

    Raises:
        ValueError: more cells than can be drawn.

    >>> from saccade.lens.heads import site
    >>> dense(site("a", "xy", "z", [[[0.9]]], keys=[[[1]]])).round(1).tolist()
    [[[0.0, 0.8999999761581421]]]
    """
    weights = one.weights
    if not isinstance(weights, Top):
        return weights
    heads, rows, _ = weights.keys.shape
    columns = len(one.source.labels)
    if rows * columns > LIMIT:
        raise ValueError(
            f"a map of {one.name} must have at most {LIMIT:,} cells; got {rows:,} by {columns:,}: give fewer rows"
        )
    full = np.zeros((heads, rows, columns), np.float32)
    head, row = np.ogrid[:heads, :rows]
    np.maximum.at(full, (head[..., None], row[..., None], weights.keys), weights.weights)
    return full


def received(one: Site) -> NDArray[np.float64]:
    """How much each source token was looked at [head, key]: the mean over the rows.

    >>> from saccade.lens.heads import site
    >>> received(site("a", "xy", "uv", [[[1, 0], [0.5, 0.5]]])).tolist()
    [[0.75, 0.25]]
    """
    weights, columns = one.weights, len(one.source.labels)
    rows = max(len(one.target.labels), 1)
    if not isinstance(weights, Top):
        return np.asarray(weights.sum(1, dtype=np.float64) / rows)
    pairs = zip(weights.keys, weights.weights, strict=True)
    sums = [np.bincount(keys.ravel(), values.ravel(), minlength=columns) for keys, values in pairs]
    return np.array(sums).reshape(len(sums), columns) / rows


def sinks(one: Site, least: float = 0.3) -> tuple[int, ...]:
    """Source tokens that receive at least this share of all the looking, mean over rows and heads.

    >>> from saccade.lens.heads import site
    >>> sinks(site("a", "xy", "uv", [[[1, 0], [0.5, 0.5]]]), 0.5)
    (0,)
    """
    if not one.heads:
        return ()
    return tuple(np.flatnonzero(received(one).mean(0) >= least).tolist())


def map_of(one: Site, head: int = 0) -> AttentionMap:
    """One head as a map of its own.

    Raises:
        ValueError: more cells than can be drawn.

    >>> from saccade.lens.heads import site
    >>> map_of(site("a", "xy", "z", [[[1, 0]]])).source
    ('x', 'y')
    """
    return AttentionMap(one.source.labels, one.target.labels, dense(only(one, head))[0])


def thumbnails(one: Site, side: int) -> NDArray[np.float32]:
    """Each head in at most `side` by `side` cells [head, row, column]: the largest weight of those that share a cell.

    >>> from saccade.lens.heads import site
    >>> thumbnails(site("a", "wxyz", "v", [[[0.1, 0.2, 0.3, 0.4]]]), 2).round(1).tolist()
    [[[0.20000000298023224, 0.4000000059604645]]]
    """
    rows, columns = len(one.target.labels), len(one.source.labels)
    high, wide = min(rows, side), min(columns, side)
    small = np.zeros((len(one.heads), high, wide), np.float32)
    weights = one.weights
    if isinstance(weights, Top):
        keys, values = weights.keys, weights.weights
    else:
        keys, values = np.arange(columns, dtype=np.int32), weights
    head, row, _ = np.ogrid[: len(one.heads), :rows, :1]
    place = np.broadcast_arrays(head, row * high // max(rows, 1), keys * wide // max(columns, 1))
    np.maximum.at(small, tuple(place), values)
    return small


def row_of(one: Site, head: int, row: int) -> NDArray[np.float32]:
    """One row of one head [key]; what top weights leave out is zero.

    >>> from saccade.lens.heads import site
    >>> row_of(site("a", "xy", "z", [[[0.75, 0.25]]]), 0, 0).tolist()
    [0.75, 0.25]
    """
    weights = one.weights
    if not isinstance(weights, Top):
        return np.asarray(weights[head, row])
    full = np.zeros(len(one.source.labels), np.float32)
    np.maximum.at(full, weights.keys[head, row], weights.weights[head, row])
    return full


def left_out(one: Site) -> str:
    """How much of the weights a site lacks, in words for a reader; empty if nothing.

    >>> from saccade.lens.heads import site
    >>> left_out(site("a", "xyz", "v", [[[0.9]]], keys=[[[1]]]))
    'top 1 of 3 per row; the rest, 10% on average, is left out'
    """
    weights, columns = one.weights, len(one.source.labels)
    if not isinstance(weights, Top) or weights.keys.shape[2] >= columns:
        return ""
    share = float(weights.rest.mean()) if weights.rest.size else 0.0
    rest = f"{min(share, 1) * 100:.3g}% on average" if share >= 0.001 else "less than 0.1%"
    return f"top {weights.keys.shape[2]} of {columns:,} per row; the rest, {rest}, is left out"
