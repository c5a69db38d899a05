"""Every head of a run's own model at work in one answer, with the answer's tokens as labels."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from saccade.layers.hierarchical import alike
from saccade.lens import heads
from saccade.lens.answers import Captioned, Foreseen, Judged, Looked, Tagged, Transcribed, Written
from saccade.lens.capture.seen import Seen
from saccade.lens.capture.site import Site
from saccade.lens.heads import Layers, Top, layers

Labels = Sequence[str]


def drawing_of_heads(seen: Seen, answer: Looked, *, text: str = "") -> Layers:
    """What every attention looked at while a model gave one answer, for `saccade.draw`.

    Axes as long as the answer's tokens are labelled with them, those over an image or a recording with where a slot
    lies, all others with places (the patches of a series, the pieces of words). A document's sentences, and a series'
    variables where each is read by itself, are sites of their own; the steps of a decoder are rows of one.

    Args:
        seen: of `look` around that answer alone, greedy where it was written.
        text: the whole input as it was given.

    Raises:
        ValueError: no attention was seen.
    """
    modules: dict[str, list[Site]] = {}
    for site in seen.select():
        modules.setdefault(site.name.split("#")[0], []).append(site)
    said = "" if isinstance(answer, Foreseen) else answer.text
    sites = [one for name, some in modules.items() for one in _sites(seen, name, some, answer)]
    return layers(sites, figures={"entropy": [_entropy(one) for one in sites]}, text=text, answer=said)


def _sites(seen: Seen, name: str, sites: Sequence[Site], answer: Looked) -> list[heads.Site]:
    """What one module looked at: a site for each sequence."""
    # Of what is written the first sequence is the answer's; others are ballast that a search puts beside it.
    written = isinstance(answer, Written | Captioned | Transcribed)
    if written and {site.shape[2:] for site in sites} == {(1, sites[0].shape[3])}:
        each = seen.drawing(sites=[site.name for site in sites], measures=()).sites
        weights = np.concatenate([np.asarray(one.weights) for one in each], 1)
        whole = each[0]._replace(weights=_within(weights, answer))
        return [_labelled(whole._replace(name=name), list(_slots(answer, None)), answer, square=False)]
    found: list[tuple[int, heads.Site]] = []
    for number, site in enumerate(sites):
        which = _sentences(answer, sites, number)
        square = site.kind == "self" and site.shape[2] == site.shape[3]
        for example in range(1 if written else site.shape[0]):
            place = len(found) if which is None else which[example]
            (drawn,) = seen.drawing(sites=site.name, example=example, measures=()).sites
            slots = list(_slots(answer, None if which is None else place))
            if which is not None and not isinstance(drawn.weights, Top):
                drawn = drawn._replace(weights=_without_padding(drawn.weights, len(slots[0]), square))
            found.append((place, _labelled(drawn, slots, answer, square=square)))
    if len(found) > 1:
        found = [(place, one._replace(name=f"{name}, {_part(answer, place, len(found))}")) for place, one in found]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _sentences(answer: Looked, sites: Sequence[Site], number: int) -> list[int] | None:
    """Which sentences the sequences of a site are: a hierarchy reads them in groups of like length; None: not known."""
    if not isinstance(answer, Judged):
        return None
    groups = alike(torch.tensor([len(sentence) for sentence in answer.source]))
    if len(groups) != len(sites):
        return None
    rows: list[int] = groups[number].tolist()
    fits = len(rows) == sites[number].shape[0] and len(answer.source[rows[-1]]) == sites[number].shape[3]
    return rows if fits else None


def _part(answer: Looked, place: int, count: int) -> str:
    if isinstance(answer, Foreseen) and len(answer.names) == count:
        return answer.names[place]
    return f"{'sentence' if isinstance(answer, Judged) else 'sequence'} {place + 1}"


def _slots(answer: Looked, sentence: int | None) -> Iterator[Labels]:
    """What the slots of a site may be, the likeliest first."""
    if isinstance(answer, Foreseen):
        yield answer.times or [str(step) for step in range(1, len(answer.past) + 1)]
    elif isinstance(answer, Judged):
        if sentence is not None:
            yield answer.source[sentence]
        yield [f"sentence {number}" for number in range(1, len(answer.source) + 1)]
    elif isinstance(answer, Captioned):
        rows, columns = answer.weights.shape[1:] if answer.weights is not None else (0, 0)
        yield [f"({row + 1}, {column + 1})" for row in range(rows) for column in range(columns)]
    elif isinstance(answer, Transcribed):
        slots = 0 if answer.weights is None else answer.weights.shape[1]
        yield [f"{answer.extent * (slot + 0.5) / slots:.3g} {answer.unit}" for slot in range(slots)]
    else:
        yield answer.source


def _rows(answer: Looked, slots: Labels | None, square: bool) -> Iterator[Labels]:
    """What the rows of a site may be, the likeliest first."""
    if isinstance(answer, Tagged) and not isinstance(answer, Written | Captioned | Transcribed):
        yield [f"{word}/{tag}" for word, tag in zip(answer.source, answer.tags, strict=True)]
    if square and slots is not None:
        yield slots
    elif isinstance(answer, Written | Captioned | Transcribed):
        yield answer.target
    elif isinstance(answer, Foreseen) and answer.targets:
        yield [f"+{step}" for step in range(1, len(answer.values) + 1)]
    elif isinstance(answer, Judged):
        yield [answer.text]


def _labelled(drawn: heads.Site, choices: Sequence[Labels], answer: Looked, *, square: bool) -> heads.Site:
    """A site with labels that fit, or places."""
    weights, top = drawn.weights, drawn.weights if isinstance(drawn.weights, Top) else None
    rows = (weights.keys if isinstance(weights, Top) else weights).shape[1]
    slots = len(drawn.source.labels) if isinstance(weights, Top) else weights.shape[2]
    source = next((some for some in choices if len(some) == slots), None)
    target = next((some for some in _rows(answer, source, square) if len(some) == rows), None)
    source = source or [str(place) for place in range(slots)]
    target = target or [str(place) for place in range(rows)]
    if top is not None:
        return heads.site(drawn.name, source, target, top.weights, keys=top.keys, rest=top.rest, heads=drawn.heads)
    return heads.site(drawn.name, source, target, np.asarray(weights), heads=drawn.heads)


def _within(weights: NDArray[np.float32], answer: Looked) -> NDArray[np.float32]:
    """Those over the tokens of a text, which is read with padding behind it where it is short."""
    return weights[..., : len(answer.source)] if isinstance(answer, Written) else weights


def _without_padding(weights: NDArray[np.float32], words: int, square: bool) -> NDArray[np.float32]:
    """Those of a sentence that was read beside longer ones."""
    return weights[:, :words, :words] if square else weights[..., :words]


def _entropy(one: heads.Site) -> NDArray[np.float64]:
    """`-sum_j A_ij ln A_ij` of each head, the mean over its rows; not measured where rows are not whole."""
    if isinstance(one.weights, Top):
        return np.full(len(one.heads), np.nan)
    weights = one.weights.astype(np.float64)
    entropy: NDArray[np.float64] = -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum(-1).mean(-1)
    return entropy
