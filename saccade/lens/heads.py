"""What is drawn of a whole model: sites of attention, each with heads, and where every head looked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.maps import TOLERANCE, checked
from saccade.lens.tokens import Tokens, tokens

LIMIT = 4096 * 4096  # cells of one head, beyond which only the top weights of its rows are taken


class Top(NamedTuple):
    """The largest weights of each row, and how much of it they leave out."""

    keys: NDArray[np.int32]  # [head, query, k], which source tokens
    weights: NDArray[np.float32]  # [head, query, k]; zero where a row has fewer
    rest: NDArray[np.float32]  # [head, query], the sum of the weights left out


class Site(NamedTuple):
    """One place where a model attends; build it with `site`, which checks."""

    name: str
    source: Tokens  # what was looked at: the keys
    target: Tokens  # what looked: the queries
    weights: NDArray[np.float32] | Top  # [head, query, key], or the top of each row
    heads: tuple[str, ...]  # their names


class Measured(NamedTuple):
    """A figure of each head, such as its entropy."""

    name: str
    values: tuple[NDArray[np.float64], ...]  # for each site [head]; NaN where it was not measured


class Curve(NamedTuple):
    """How an output changes as more and more of the input is taken away, or given back."""

    measure: str  # "deletion", "insertion", ...
    name: str  # by whose order: "attention", "random", "gradient"
    fractions: NDArray[np.float64]  # of the input, rising
    scores: NDArray[np.float64]


class Layers(NamedTuple):
    """Sites of attention with their heads; build it with `layers`, which checks."""

    sites: tuple[Site, ...]
    figures: tuple[Measured, ...] = ()
    curves: tuple[Curve, ...] = ()
    text: str = ""  # the whole input
    answer: str = ""  # the whole output
    note: str = ""  # one line more


Axis: TypeAlias = Tokens | Iterable[str]
Curves: TypeAlias = Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]


def layers(
    sites: Iterable[Site],
    *,
    figures: Mapping[str, Sequence[ArrayLike]] | None = None,
    curves: Curves | None = None,
    text: str = "",
    answer: str = "",
    note: str = "",
) -> Layers:
    """Check and freeze what is drawn of a whole model.

    Args:
        sites: from `site`, in the order of the model, each with a name of its own.
        figures: name to figures, for each site an array [head].
        curves: measure to name to (fractions, scores), such as
            `{"deletion": {"attention": (fractions, scores), "random": (fractions, scores)}}`.

    Raises:
        ValueError: no sites, a name twice, figures that do not fit the heads, or curves of other shapes.

    >>> eye = site("encoder.0", "ab", "ab", np.eye(2)[None])
    >>> layers([eye], figures={"entropy": [[0.0]]}).figures[0].name
    'entropy'
    """
    sites = tuple(sites)
    if not sites:
        raise ValueError("layers need at least one site; got none")
    names = [one.name for one in sites]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"sites must have names of their own; got {twice[0]!r} {names.count(twice[0])} times")
    measured = tuple(_measured(name, values, sites) for name, values in (figures or {}).items())
    drawn = tuple(_curve(measure, name, *pair) for measure, of in (curves or {}).items() for name, pair in of.items())
    return Layers(sites, measured, drawn, text, answer, note)


def site(
    name: str,
    source: Axis,
    target: Axis,
    weights: ArrayLike,
    *,
    keys: ArrayLike | None = None,
    rest: ArrayLike | None = None,
    heads: Iterable[str] | None = None,
) -> Site:
    """Check and freeze one site.

    Args:
        name: such as `"encoder.layer.3"`.
        source, target: from `tokens`, or labels alone; what was looked at, and what looked.
        weights: [head, query, key], finite and not negative; or, with `keys`, [head, query, k].
        keys: which source tokens `weights` are of: whole numbers [head, query, k], none twice in a row but where the
            weight is zero.
        rest: [head, query], the sum of what each row leaves out; None: what lacks to one.
        heads: their names; None: numbers from 0.

    Raises:
        ValueError: shapes that do not fit the tokens, values that are no weights (logits, NaN), keys that are no
            tokens, or more cells than can be drawn: give the top weights of each row then.

    >>> far = site("cross", [str(place) for place in range(100_000)], "x", [[[0.6, 0.3]]], keys=[[[7, 99_999]]])
    >>> far.weights.rest.round(2).tolist()
    [[0.10000000149011612]]
    """
    source, target = (axis if isinstance(axis, Tokens) else tokens(axis) for axis in (source, target))
    shape = np.shape(weights)
    if len(shape) != 3:
        raise ValueError(f"weights of {name} must be [head, query, {'k' if keys is not None else 'key'}]; got {shape}")
    names = tuple(str(head) for head in range(shape[0])) if heads is None else tuple(heads)
    if len(names) != shape[0]:
        raise ValueError(f"heads of {name} must be {shape[0]} names; got {len(names)}")
    queries, count = len(target.labels), len(source.labels)
    if keys is not None:
        drawn = _top(name, weights, keys, rest, (shape[0], queries), count)
        return Site(name, source, target, drawn, names)
    if shape[1] * shape[2] > LIMIT:
        raise ValueError(
            f"weights of {name} must have at most {LIMIT:,} cells a head; got {shape[1]:,} by {shape[2]:,}: "
            "give the largest of each row, with keys="
        )
    dense = checked(weights, f"weights of {name}", "[head, query, key]", [len(names), queries, count])
    return Site(name, source, target, dense, names)


def _top(
    name: str, weights: ArrayLike, keys: ArrayLike, rest: ArrayLike | None, rows: tuple[int, int], count: int
) -> Top:
    places = np.asarray(keys)
    shape = [*rows, np.shape(weights)[2]]
    values = checked(weights, f"weights of {name}", "[head, query, k]", shape)
    if list(places.shape) != shape or (places.size and places.dtype.kind not in "iu"):
        raise ValueError(f"keys of {name} must be whole numbers {shape}; got {places.dtype} {list(places.shape)}")
    if places.size and not 0 <= places.min() <= places.max() < count:
        wrong = places.min() if places.min() < 0 else places.max()
        raise ValueError(f"keys of {name} must be places of {count} tokens, 0 to {count - 1}; got {wrong}")
    taken = np.sort(np.where(values > 0, places, -1 - np.arange(shape[2])), axis=-1)
    if np.any(taken[..., 1:] == taken[..., :-1]):
        raise ValueError(f"keys of {name} must differ within a row; got one twice")
    over = np.maximum(1 - values.sum(-1, dtype=np.float64), 0)
    left = checked(over if rest is None else rest, f"rest of {name}", "[head, query]", rows)
    own = places.astype(np.int32)
    own.flags.writeable = False
    return Top(own, values, left)


def top(weights: ArrayLike, k: int) -> Top:
    """The `k` largest weights of each row of [head, query, key], the largest first, and what they leave out.

    >>> top([[[0.1, 0.7, 0.2]]], 2).keys.tolist()
    [[[1, 2]]]
    """
    array = np.asarray(weights, dtype=np.float32)
    k = min(k, array.shape[-1])
    largest = np.argpartition(-array, k - 1, axis=-1)[..., :k] if 0 < k < array.shape[-1] else None
    if largest is None:
        largest = np.broadcast_to(np.arange(k), (*array.shape[:-1], k))
    kept = np.take_along_axis(array, largest, -1)
    order = np.argsort(-kept, axis=-1, kind="stable")
    kept, largest = np.take_along_axis(kept, order, -1), np.take_along_axis(largest, order, -1)
    rest = array.sum(-1, dtype=np.float64) - kept.sum(-1, dtype=np.float64)
    return Top(largest.astype(np.int32), kept, np.maximum(rest, 0).astype(np.float32))


def _measured(name: str, values: Sequence[ArrayLike], sites: Sequence[Site]) -> Measured:
    if len(values) != len(sites):
        raise ValueError(f"figures {name!r} must be one array for each of {len(sites)} sites; got {len(values)}")
    arrays = [np.array(of, dtype=np.float64) for of in values]
    for array, one in zip(arrays, sites, strict=True):
        if array.shape != (len(one.heads),):
            raise ValueError(f"figures {name!r} of {one.name} must be [head] = [{len(one.heads)}]; got {array.shape}")
        array.flags.writeable = False
    return Measured(name, tuple(arrays))


def _curve(measure: str, name: str, fractions: ArrayLike, scores: ArrayLike) -> Curve:
    along, up = np.array(fractions, dtype=np.float64), np.array(scores, dtype=np.float64)
    fits = along.ndim == 1 and along.shape == up.shape and along.size and np.isfinite(up).all()
    if not fits or along.min() < -TOLERANCE or along.max() > 1 + TOLERANCE or np.any(np.diff(along) < 0):
        raise ValueError(
            f"curve {name!r} of {measure!r} must be rising fractions from 0 to 1 and as many finite scores; "
            f"got {list(along.shape)} and {list(up.shape)}"
        )
    return Curve(measure, name, along, up)


def measured(drawn: Layers, name: str) -> Measured:
    """The figures of that name.

    Raises:
        ValueError: there are none; the error lists those that there are.
    """
    for one in drawn.figures:
        if one.name == name:
            return one
    raise ValueError(f"figures must be {choices([one.name for one in drawn.figures])}; got {name!r}")


def choices(names: Sequence[str]) -> str:
    """What may be chosen, for an error; of many the first and the last.

    >>> choices("ab"), choices([])
    ('one of a, b', 'one of those given, which are none')
    """
    shown = [*names[:6], "...", names[-1]] if len(names) > 8 else names
    return f"one of {', '.join(shown) or 'those given, which are none'}"


def short_names(drawn: Layers) -> list[str]:
    """The names of the sites without the parts between dots that all of them share, but for one before what differs.

    >>> short_names(layers(site(f"model.layers.{n}.attention", "", "", np.zeros((1, 0, 0))) for n in range(2)))
    ['layers.0', 'layers.1']
    """
    parts = [one.name.split(".") for one in drawn.sites]
    fewest = min(len(part) for part in parts)
    before = next((at for at in range(fewest) if len({part[at] for part in parts}) > 1), fewest)
    behind = next((at for at in range(fewest - before) if len({part[-1 - at] for part in parts}) > 1), fewest - before)
    if before == fewest:
        return [one.name for one in drawn.sites]
    return [".".join(part[max(before - 1, 0) : len(part) - behind]) for part in parts]
