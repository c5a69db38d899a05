"""Draws (text, answer) pairs from a language of templates, without repeats and in an order fixed by a seed."""

import random
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from saccade.errors import OptionError


class Template(Protocol):
    """One way of writing: its (text, answer) pairs by number. No two templates share a text."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[str, str]: ...


class Family(NamedTuple):
    """Templates, each as likely as the next, that together are drawn with `weight`."""

    weight: int
    templates: Sequence[Template]


def draw(families: Sequence[Family], count: int, seed: int, noun: str) -> list[tuple[str, str]]:
    """`count` distinct pairs: a family by weight, then a template, then one of its pairs not drawn before.

    A template with nothing left is out, and so is a family without templates. A last shuffle spreads the
    pairs of the small templates, which are used up first, so that any part of the list is a fair sample.

    Raises:
        OptionError: `count` is below 1 or above the number of pairs; the line names them `noun`.

    >>> draw([Family(1, [[("noon", "12:00")], [("9 pm", "21:00")]])], 2, seed=1, noun="times")
    [('noon', '12:00'), ('9 pm', '21:00')]
    """
    size = sum(len(template) for family in families for template in family.templates)
    if not 1 <= count <= size:
        raise OptionError(f"count must be between 1 and {size}, the number of distinct {noun}; got {count}")
    rng = random.Random(seed)
    urns = [(family.weight, [_Urn(template) for template in family.templates]) for family in families]
    drawn = [_draw_one(urns, rng) for _ in range(count)]
    everything = _Urn(drawn)
    return [everything.take(rng) for _ in range(count)]


def _draw_one(urns: list[tuple[int, list["_Urn"]]], rng: random.Random) -> tuple[str, str]:
    """A pair of a random family and template; both leave `urns` when they are empty."""
    place = _below(sum(weight for weight, _ in urns), rng)
    chosen = 0
    while place >= urns[chosen][0]:
        place -= urns[chosen][0]
        chosen += 1
    family = urns[chosen][1]
    index = _below(len(family), rng)
    pair = family[index].take(rng)
    if not family[index].left:
        del family[index]
    if not family:
        del urns[chosen]
    return pair


class _Urn:
    """A template without the pairs already taken: a Fisher-Yates shuffle that stores only what it has moved."""

    def __init__(self, template: Template):
        self.template = template
        self.left = len(template)
        self.moved: dict[int, int] = {}

    def take(self, rng: random.Random) -> tuple[str, str]:
        place = _below(self.left, rng)
        self.left -= 1
        index = self.moved.get(place, place)
        self.moved[place] = self.moved.pop(self.left, self.left)
        return self.template[index]


def _below(limit: int, rng: random.Random) -> int:
    # Only random() is promised to give the same numbers in every version of Python; randrange and choice are not.
    return int(rng.random() * limit)
