"""The links of two directions made into one set: intersection, union, and what grows between them."""

from collections.abc import Callable
from typing import get_args

from saccade.alignments import Link, Links, Method

# (target, source), in the order of Koehn et al. 2005: beside first, then diagonal.
_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrize(forward: Links, backward: Links, how: Method) -> Links:
    """The links of both directions as one set, between their intersection and their union.

    `intersection` has the links on which both agree, `union` all. `grow-diag` begins with the intersection and takes
    links of the union that lie beside or diagonally to one it has, where at least one of their two words has no link
    yet, until there is none (Koehn et al. 2003 and 2005). `grow-diag-final` then
    takes further links, those of `forward` first, where at least one of the words has none; `grow-diag-final-and`
    where both have none.

    What grows depends on the order in which links are met: by target word and then by source word, as in Koehn et al.
    2005 and the symal of Moses.

    Args:
        forward: of the translator from source to target, which gives each target word its source words.
        backward: of the other one, with the same orientation of links: (source, target).

    Raises:
        ValueError: an unknown way.

    >>> sorted(symmetrize({(0, 0), (1, 1), (3, 2)}, {(0, 0), (1, 1), (1, 2)}, "grow-diag"))
    [(0, 0), (1, 1), (1, 2)]
    """
    match how:
        case "intersection":
            return forward & backward
        case "union":
            return forward | backward
    if how not in get_args(Method):
        raise ValueError(f"how must be one of {', '.join(get_args(Method))}; got {how!r}")
    growing = _Growing(forward & backward)
    growing.grow(forward | backward)
    if how != "grow-diag":
        enough = all if how == "grow-diag-final-and" else any
        growing.finish(forward, enough)
        growing.finish(backward, enough)
    return growing.links


def transposed(links: Links) -> Links:
    """The links as seen from the other side.

    >>> transposed({(0, 1)})
    {(1, 0)}
    """
    return {(target, source) for source, target in links}


class _Growing:
    """Links, and which words have one."""

    def __init__(self, links: Links):
        self.links = set(links)
        self.sources, self.targets = {source for source, _ in links}, {target for _, target in links}

    def free(self, link: Link) -> tuple[bool, bool]:
        """Whether the source word has no link yet, and whether the target word has none."""
        return link[0] not in self.sources, link[1] not in self.targets

    def add(self, link: Link) -> None:
        self.links.add(link)
        self.sources.add(link[0])
        self.targets.add(link[1])

    def grow(self, union: Links) -> None:
        """Take neighbours out of the union until none is left to take."""
        before = -1
        while before != len(self.links):
            before = len(self.links)
            for source, target in sorted(union, key=_by_target):
                if (source, target) in self.links:  # also one that was taken a moment ago
                    for down, right in _NEIGHBOURS:
                        link = source + right, target + down
                        if link in union and any(self.free(link)):
                            self.add(link)

    def finish(self, links: Links, enough: Callable[[tuple[bool, bool]], bool]) -> None:
        """Take links wherever enough of their two words have none."""
        for link in sorted(links, key=_by_target):
            if enough(self.free(link)):
                self.add(link)


def _by_target(link: Link) -> Link:
    return link[1], link[0]
