"""saccade align."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import TextIO, TypeAlias

from saccade.alignments import Choice, Links
from saccade.alignments.symmetry import symmetrize, transposed
from saccade.alignments.weights import above, likeliest
from saccade.cli.options import Align
from saccade.data.aligned import Gold, WordPair, pharaoh, read_gold, word_pairs
from saccade.errors import DataError, OptionError, RunError
from saccade.files import write_atomic
from saccade.metrics.alignments import alignment_scores
from saccade.runs import Run
from saccade.tasks.load import task_named
from saccade.tasks.translate.aligning import align as aligned
from saccade.tasks.translate.aligning import check
from saccade.tasks.translate.choosing import Linking, by_agreement, by_gold, keep

_AT_ONCE = 1024

_Given: TypeAlias = tuple[WordPair, Gold | None]
"""A pair, and what people said of it."""


def align(command: Align) -> None:
    """Link the words of each pair, in order, and measure the links where people drew some."""
    _check(command)
    if command.choose:
        _choose(command)
        return
    lines: list[str] = []
    said: list[Links] = []
    gold: list[Gold] = []
    for some, links in _linked(command):
        written = "".join(f"{pharaoh(one)}\n" for one in links)
        if command.out is None:
            print(written, end="", flush=True)
        else:
            lines.append(written)
        if command.gold is not None:
            said += links
            gold += [true for _, true in some if true is not None]
    if command.out is not None:
        write_atomic(command.out, "".join(lines))
    if gold:
        _measure(said, gold, sys.stderr if command.out is None else sys.stdout)


def _check(command: Align) -> None:
    files = sum(path is not None for path in (command.source, command.target))
    if files == 1 or not (files or command.gold):
        got = "one of the files alone" if files else "none of them"
        raise OptionError(f"align must be given --source and --target, or --gold; got {got}")
    if command.symmetrize is not None and command.reverse is None:
        raise OptionError(f"--symmetrize needs --reverse, its other direction; got {command.symmetrize} alone")
    if command.threshold is not None and not 0 < command.threshold <= 1:
        raise OptionError(f"--threshold must be above 0 and at most 1; got {command.threshold}")
    if command.choose and command.gold is None and command.reverse is None:
        raise OptionError("--choose needs --gold, links that people drew, or --reverse, to agree with; got neither")
    for name, given, none in zip(Choice._fields, _given_choice(command), Choice(), strict=True):
        if command.choose and given != none:
            raise OptionError(f"--choose chooses the --{name}; got both")


def _choose(command: Align) -> None:
    """Keep the best choice in each run folder, and print all, the best first."""
    folders = [command.run] if command.reverse is None else [command.run, command.reverse]
    translators = [_Direction(folder, command) for folder in folders]
    if command.gold is None:
        pairs = [pair for pair, _ in _given(command)]
        found = by_agreement(translators[0].translator, translators[1].translator, pairs, _linking(command))
        for *both, agreed in found:
            print(f"{agreed:.4f}  {command.run} {_typed(both[0])}  {command.reverse} {_typed(both[1])}")
        why: dict[str, float | str] = {"agreement": found[0].agreement, "on": f"{command.source} {command.target}"}
        for folder, choice in zip(folders, found[0][:2], strict=True):
            keep(Run(folder), choice, why)
        return
    gold = [true for _, true in _given(command) if true is not None]
    for folder, direction, true in zip(folders, translators, (gold, [one.turned() for one in gold]), strict=False):
        tried = by_gold(direction.translator, true, _linking(command))
        for choice, aer in tried:
            print(f"{aer:.4f}  {folder} {_typed(choice)}")
        keep(Run(folder), tried[0].choice, {"aer": tried[0].aer, "on": str(command.gold)})


def _typed(choice: Choice) -> str:
    """A choice as a person would type it.

    >>> _typed(Choice(2, None, True)), _typed(Choice())
    ('--layer 2 --shift', '--no-shift')
    """
    places = [f"--{name} {place}" for name, place in zip(Choice._fields, choice[:2], strict=False) if place is not None]
    return " ".join([*places, *["--shift"] * choice.shift, *["--posterior"] * choice.posterior]) or "--no-shift"


def _given_choice(command: Align) -> Choice:
    return Choice(command.layer, command.head, command.shift, command.posterior)


def _linking(command: Align) -> Linking:
    return likeliest if command.threshold is None else partial(above, least=command.threshold)


def _linked(command: Align) -> Iterator[tuple[list[_Given], list[Links]]]:
    """Pairs with their links, some at once."""
    forward = _Direction(command.run, command)
    backward = None if command.reverse is None else _Direction(command.reverse, command)
    given = _given(command)
    while some := list(islice(given, _AT_ONCE)):
        pairs = [pair for pair, _ in some]
        links = forward.links(pairs)
        if backward is not None:
            back = backward.links([WordPair(pair.target, pair.source) for pair in pairs])
            how = command.symmetrize or "grow-diag-final-and"
            links = [symmetrize(one, transposed(other), how) for one, other in zip(links, back, strict=True)]
        yield some, links


class _Direction:
    """A translator of one direction, and how links are made of its weights."""

    def __init__(self, folder: Path, command: Align):
        self.folder, self.link = folder, _linking(command)
        self.translator = task_named("translate").load(folder, device=command.device)
        said = _given_choice(command)
        self.choice = self.translator.alignment if said == Choice() else said
        try:
            check(self.choice, self.translator.model.config)
        except ValueError as error:
            raise OptionError(f"{folder}: {error}") from None

    def links(self, pairs: Sequence[WordPair]) -> list[Links]:
        try:
            found = aligned(self.translator, pairs, choice=self.choice)
        except RunError as error:
            raise RunError(f"{self.folder}: {error}") from None
        return [self.link(one.weights) for one in found]


def _given(command: Align) -> Iterator[_Given]:
    """The pairs of the files; with what people said of each, where they did."""
    gold = None if command.gold is None else read_gold(command.gold)
    if command.source is None or command.target is None:
        assert gold is not None
        yield from ((true.words, true) for true in gold)
        return
    pairs = word_pairs(command.source, command.target)
    if gold is None:
        yield from ((pair, None) for pair in pairs)
        return
    for number, (pair, true) in enumerate(zip_longest(pairs, gold), 1):
        if pair is None or true is None:
            short, long = (command.source, command.gold) if pair is None else (command.gold, command.source)
            raise DataError(f"{short}: expected as many pairs as in {long}; it ends before pair {number}")
        ours, theirs = (" and ".join(str(len(side)) for side in words) for words in (pair, true.words))
        if ours != theirs:
            raise DataError(f"{command.source}:{number}: expected {theirs} words, as in {true.where}; got {ours}")
        yield pair, true


def _measure(said: Sequence[Links], gold: Sequence[Gold], stream: TextIO) -> None:
    scores = alignment_scores(said, [true.sure for true in gold], [true.possible for true in gold])
    for name, value in scores._asdict().items():
        print(f"{name:22}{value:.4f}" if isinstance(value, float) else f"{name:22}{value}", file=stream)
