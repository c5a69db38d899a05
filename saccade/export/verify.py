"""Whether an engine writes the same tokens as the run that was exported."""

import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from saccade.data import tokens
from saccade.data.records import lines_of
from saccade.errors import DataError, ExportError
from saccade.runs import Run
from saccade.tasks.base import Task
from saccade.tasks.translate.translator import Translator

SENTENCES = 100
_SHOWN = 60


class Sentences(NamedTuple):
    """What is translated to compare, and where it is from."""

    texts: list[str]
    where: str


def sentences(run: Run, task: Task[Any, Any, Any, Any], translator: Translator, text: Path | None) -> Sentences:
    """The first hundred texts of a file; where none is given, of the training files; where these are gone, made of the
    vocabulary.

    Raises:
        DataError: a file that was given and cannot be read, or holds no text.
    """
    if text is not None:
        some = list(islice((line for _, line in lines_of(text) if line.strip()), SENTENCES))
        if not some:
            raise DataError(f"{text}: expected a text at least; the file is empty")
        return Sentences(some, str(text))
    config = run.read_config()
    paths = tuple(Path(path) for path in config["data"]["train"])
    if all(path.is_file() for path in paths):
        inputs = task.inputs(paths, tuple(config["data"]["columns"]), task.read_options(run, config))
        return Sentences(list(islice(inputs, SENTENCES)), " + ".join(map(str, paths)))
    return Sentences(made_up(translator), "the vocabulary")


def made_up(translator: Translator) -> list[str]:
    """Texts of tokens drawn from the vocabulary of the source, of one to as many as the longest of training had."""
    rng, vocabulary = random.Random(1), translator.vocabularies.source
    known = range(min(len(tokens.SPECIAL), vocabulary.size - 1), vocabulary.size)
    longest = min(translator.longest.source, SENTENCES)
    drawn = (vocabulary.decode(rng.choices(known, k=1 + n % longest)) for n in range(SENTENCES))
    return [text if text.strip() else vocabulary.label(known[0]) for text in drawn]


def check(expected: Translator, exported: Translator, texts: Sequence[str], where: str) -> None:
    """Refuse an engine whose greedy answers are not those of the run, token for token.

    Raises:
        ExportError: the first sentence and the first token that differ, and what came.
    """
    answers = zip(texts, expected.answer(texts), exported.answer(texts), strict=True)
    for number, (text, (own,), (other,)) in enumerate(answers, 1):
        if (own.target, own.text) == (other.target, other.text):
            continue
        longest = max(len(own.target), len(other.target))
        sides = [[*answer.target, *[""] * (longest + 1 - len(answer.target))] for answer in (own, other)]
        place = next((i for i, pair in enumerate(zip(*sides, strict=True)) if pair[0] != pair[1]), longest)
        said = f"sentence {number} ({text[:_SHOWN]!r}), token {place + 1}"
        raise ExportError(f"{where}: {said}: expected {sides[0][place]!r}, as the run writes; got {sides[1][place]!r}")
