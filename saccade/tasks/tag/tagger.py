"""Tag: a tag for each word of a sentence, with what each word looked at."""

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from saccade import metrics
from saccade.data.lexicon import UNKNOWN
from saccade.data.records import json_of
from saccade.data.tagged import Tagged, is_span_scheme, words_of
from saccade.data.taggedcorpus import TagCodec, side_by_side
from saccade.errors import DataError
from saccade.models.tagger import Tagger
from saccade.tasks.base import Trained, answered, rounded


class TaggedWords(NamedTuple):
    """What a tagger says of a sentence.

    source:        the words.
    tags:          a tag for each.
    probabilities: of each tag, 0 to 1.
    weights:       what each word looked at, float32 `[word, word]`, `[head, word, word]` of several heads; None where
                   nothing looks.
    """

    source: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    weights: NDArray[np.float32] | None

    @property
    def text(self) -> str:
        """The tags, with spaces between."""
        return " ".join(self.tags)

    def line(self, scores: bool) -> str:
        """word/TAG for each word; with scores, also the probability."""
        each = zip(self.source, self.tags, self.probabilities, strict=True)
        return " ".join(f"{word}/{tag}/{share:.2f}" if scores else f"{word}/{tag}" for word, tag, share in each)


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measures."""

    accuracy: float
    """Share of words whose tag is right, 0 to 1."""
    sentences_right: float
    """Share of sentences all of whose tags are right, 0 to 1."""
    unknown_accuracy: float | None
    """Accuracy of the words that were never seen in training; None where there are none."""
    span_precision: float | None
    """Share of the spans said that are true, 0 to 1; None where tags mark no spans."""
    span_recall: float | None
    """Share of the true spans that were said, 0 to 1."""
    span_f1: float | None
    """F1 of spans with their kind, 0 to 1, as seqeval gives it."""
    per_label: metrics.Report
    """Precision, recall, F1 and count for each tag, or for each kind of span."""
    never_seen: tuple[str, ...]
    """Tags of the data that the training did not have: they are counted as wrong."""
    words: int
    sentences: int
    seconds: float


class WordTagger(Trained[Sequence[str]]):
    """A trained tagger; an input is the words of a sentence.

    >>> from saccade.tasks.tag.task import new_model
    >>> from saccade.data.taggedcorpus import learn_codec
    >>> sentence = Tagged(("Ann", "sleeps"), ("NOUN", "VERB"))
    >>> codec = learn_codec([sentence], [sentence], cased=False, least=1, most=9)
    >>> from saccade.tasks.tag.options import TagOptions
    >>> tag = WordTagger(new_model(TagOptions(), codec), codec)
    >>> tag(["Ann", "sleeps"]).source
    ('Ann', 'sleeps')
    """

    model: Tagger

    def __init__(self, model: Tagger, codec: TagCodec):
        self.model, self.codec = model.eval(), codec

    def parse(self, line: str) -> tuple[str, ...]:
        """The words of a text, or a JSON list of words as it is."""
        words = None
        if line.startswith("["):
            with contextlib.suppress(ValueError):
                words = json_of(line)
        if words is None:
            return words_of(line)
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise DataError(f"expected a text, or a JSON list of words; got {line[:40]!r}")
        return tuple(words)

    def readable(self, given: Sequence[str] | str) -> str:
        """The words with spaces between."""
        return given if isinstance(given, str) else " ".join(given)

    def answer(self, inputs: Sequence[Sequence[str] | str]) -> list[TaggedWords]:
        """The tags of each sentence; they do not depend on the others."""
        sentences = [words_of(given) if isinstance(given, str) else tuple(given) for given in inputs]
        tagged = iter(answered(self._tagged, [sentence for sentence in sentences if sentence], len))
        return [next(tagged) if sentence else TaggedWords((), (), (), None) for sentence in sentences]

    @torch.inference_mode()
    def _tagged(self, sentences: list[tuple[str, ...]]) -> list[TaggedWords]:
        words, lengths, characters, pieces = (
            None if part is None else part.to(self.device) for part in side_by_side(sentences, self.codec)
        )
        assert lengths is not None
        emitted = self.model(words, lengths, characters if self.model.config.characters else None, pieces)
        tags, likely = (part.cpu().tolist() for part in self.model.best(emitted, lengths))
        weights = None if emitted.weights is None else emitted.weights.float().cpu().numpy()
        answers = []
        for i, sentence in enumerate(sentences):
            n = len(sentence)
            looked = None if weights is None else weights[i, ..., :n, :n]
            named = tuple(self.codec.tags[tag] for tag in tags[i][:n])
            answers.append(TaggedWords(sentence, named, tuple(likely[i][:n]), looked))
        return answers

    def record(self, given: Sequence[str] | str, answers: Sequence[TaggedWords]) -> dict[str, Any]:
        """The words, their tags, how probable they are, and the weights, as JSON."""
        (answer,) = answers
        return {
            "source_tokens": answer.source,
            "tags": answer.tags,
            "probabilities": [round(share, 6) for share in answer.probabilities],
            "weights": rounded(answer.weights),
        }

    def sample(self) -> dict[str, Any]:
        """Two sentences of twenty words of eight characters."""
        given = {"words": torch.ones(2, 20, dtype=torch.long), "lengths": torch.full((2,), 20)}
        if self.model.pretrained is not None:
            return given | {"pieces": torch.ones(2, 20, dtype=torch.long)}
        characters = {"characters": torch.ones(2, 20, 8, dtype=torch.long)}
        return given | characters if self.model.config.characters else given

    def doubts(self, given: Sequence[str] | str) -> list[str]:
        """Whether most words were never seen."""
        words = words_of(given) if isinstance(given, str) else given
        if not words:
            return ["the input is empty, and so is the answer"]
        unknown = self.codec.word_ids(words).count(UNKNOWN)
        return [f"{unknown} of its {len(words)} words were never seen in training"] if 2 * unknown > len(words) else []

    def _check(self, true: Sequence[tuple[str, ...]], where: str) -> None:
        found, tags = {tag for sentence in true for tag in sentence}, self.codec.tags
        if not found & set(tags):
            seen, came = (", ".join(some[:10]) + " ..." * (len(some) > 10) for some in (tags, sorted(found)))
            raise DataError(f"{where}: expected tags of the training ({seen}); got none of them, but {came}")

    def evaluate(self, examples: Iterable[Tagged]) -> Scores:
        """Measure on tagged sentences; tags that the training did not have are counted as wrong.

        Raises:
            DataError: none of the tags is one of the training's.
        """
        started, rest = time.perf_counter(), iter(examples)
        said: list[tuple[str, ...]] = []
        true: list[tuple[str, ...]] = []
        unknown: list[bool] = []
        where = ""
        while chunk := list(islice(rest, 1024)):
            where = where or chunk[0].where
            said += [answer.tags for answer in self.answer([sentence.words for sentence in chunk])]
            true += [sentence.tags for sentence in chunk]
            for sentence in chunk:
                unknown += [i == UNKNOWN for i in self.codec.word_ids(sentence.words)]
        self._check(true, where)
        right = [a == b for one, other in zip(said, true, strict=True) for a, b in zip(one, other, strict=True)]
        of_unknown = [hit for hit, never in zip(right, unknown, strict=True) if never]
        names = sorted({tag for tags in (*said, *true) for tag in tags})
        spans = metrics.span_scores(said, true) if is_span_scheme(self.codec.tags) else None
        if spans is not None:
            each = spans.per_kind
        else:
            one, other = ([(tag,) for tags in side for tag in tags] for side in (said, true))
            each = metrics.label_scores(one, other, names, several=False).per_label
        return Scores(
            accuracy=sum(right) / len(right),
            sentences_right=sum(one == other for one, other in zip(said, true, strict=True)) / len(true),
            unknown_accuracy=sum(of_unknown) / len(of_unknown) if of_unknown else None,
            span_precision=None if spans is None else spans.precision,
            span_recall=None if spans is None else spans.recall,
            span_f1=None if spans is None else spans.f1,
            per_label=each,
            never_seen=tuple(name for name in names if name not in self.codec.tags),
            words=len(right),
            sentences=len(true),
            seconds=time.perf_counter() - started,
        )
