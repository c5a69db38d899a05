"""Which of a translator's weights say which words belong together: measured on a development text, and kept."""

import json
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from saccade.alignments import Choice, Links
from saccade.alignments.symmetry import transposed
from saccade.data.aligned import Gold, WordPair
from saccade.errors import RunError
from saccade.files import write_atomic
from saccade.metrics.alignments import agreement, alignment_scores
from saccade.runs import ALIGNMENT, Run
from saccade.tasks.translate.aligning import align
from saccade.tasks.translate.translator import Translator

Linking: TypeAlias = Callable[[NDArray[np.float32]], Links]
"""Links out of the weights of words."""


class ByGold(NamedTuple):
    """A choice, and the alignment error rate of its links."""

    choice: Choice
    aer: float


class ByAgreement(NamedTuple):
    """A choice for each of two directions, and how far their links agree."""

    forward: Choice
    backward: Choice
    agreement: float


def choices(translator: Translator, *, heads: bool) -> list[Choice]:
    """What there is to choose from: each layer of a Transformer's decoder, each with and without a shift, and
    what was guided or chosen before; or the shift and the posterior of a recurrent one.

    Args:
        heads: whether each head of a layer stands there too, beside the mean of all.
    """
    config = translator.model.config
    if config.decoder != "transformer":
        after = config.attend == "after" and not config.copy
        return [Choice(), Choice(shift=True), *[Choice(posterior=True)] * after]
    places = [None, *range(config.heads)] if heads else [None]
    own = [] if translator.alignment.layer is None else [translator.alignment]
    every = (Choice(*some) for some in product(range(config.layers), places, (False, True)))
    return list(dict.fromkeys([*own, *every]))


def by_gold(translator: Translator, gold: Sequence[Gold], link: Linking) -> list[ByGold]:
    """Every choice, heads too, by what people said; the lowest error first."""
    sure, possible = [true.sure for true in gold], [true.possible for true in gold]
    pairs = [true.words for true in gold]
    tried = choices(translator, heads=True)
    found = [ByGold(one, alignment_scores(_links(translator, pairs, one, link), sure, possible).aer) for one in tried]
    return sorted(found, key=lambda one: one.aer)


def by_agreement(
    forward: Translator, backward: Translator, pairs: Sequence[WordPair], link: Linking
) -> list[ByAgreement]:
    """Every two choices by how far the links of both directions agree, which needs no links by people (Chen et al.
    2020, section 3.1); the highest first. Layers are taken with the mean of their heads: of single heads those that
    look straight along a diagonal would agree.
    """
    turned = [WordPair(pair.target, pair.source) for pair in pairs]
    ours, theirs = (
        {one: _links(translator, some, one, link) for one in choices(translator, heads=False)}
        for translator, some in ((forward, pairs), (backward, turned))
    )
    theirs = {one: [transposed(links) for links in many] for one, many in theirs.items()}
    found = [ByAgreement(*both, agreement(ours[both[0]], theirs[both[1]])) for both in product(ours, theirs)]
    return sorted(found, key=lambda one: -one.agreement)


def _links(translator: Translator, pairs: Sequence[WordPair], choice: Choice, link: Linking) -> list[Links]:
    return [link(one.weights) for one in align(translator, pairs, choice=choice)]


def keep(run: Run, choice: Choice, why: dict[str, float | str]) -> None:
    """Write a choice into a run folder, from where it is taken from then on, with what it was made by."""
    write_atomic(run.path(ALIGNMENT), json.dumps({**choice._asdict(), "chosen": why}) + "\n")


def kept(run: Run) -> Choice | None:
    """The choice that a run folder keeps, if there is one.

    Raises:
        RunError: a broken file.
    """
    path = run.path(ALIGNMENT)
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        choice = Choice(*(found[name] for name in Choice._fields))
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{path}: expected {', '.join(Choice._fields)} as JSON; got something else") from None
    kinds = zip(choice, (int, int, bool, bool), strict=True)
    if not all(type(part) is kind or (kind is int and part is None) for part, kind in kinds):
        raise RunError(f"{path}: expected numbers or null for layer and head, then true or false; got {[*choice]}")
    return choice
