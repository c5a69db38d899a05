"""Classify: the label of a text, or labels, with what was looked at."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from saccade import metrics
from saccade.data.labelled import Labelled
from saccade.data.labelledcorpus import Limits, ReadText, check_labels, read, side_by_side
from saccade.data.lexicon import Lexicon
from saccade.data.pieces import Pieces
from saccade.data.records import json_of
from saccade.data.tokens import Vocabulary
from saccade.errors import DataError
from saccade.layers.pretrained import positions
from saccade.models.classifier import Classified, Classifier
from saccade.tasks.base import Trained, answered, rounded
from saccade.tasks.classify.learner import count, decide
from saccade.tasks.classify.options import ClassifyOptions


class LabelCodec(NamedTuple):
    """What stands between texts and numbers.

    vocabulary: of the tokens; of a classifier on a pretrained encoder, that encoder's tokenizer.
    labels:     every label, in order.
    counts:     how many training texts have each.
    texts:      how many training texts there are.
    characters: of the words as they are written; None for a classifier that reads none.
    encoder:    the configuration of a pretrained encoder; None where there is none.
    """

    vocabulary: Vocabulary | Pieces
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    texts: int
    characters: Lexicon | None = None
    encoder: dict[str, Any] | None = None


class Verdict(NamedTuple):
    """What a classifier says of a text.

    labels:        the label; of a classifier of several labels those that are likelier than not.
    probabilities: of every label, the likeliest first.
    source:        the tokens that were read, as they read, in sentences; a flat text is one.
    weights:       for each sentence what was looked at, float32 `[hops, token]`; None where nothing looks.
    sentences:     of a document what was looked at among its sentences, float32 `[hops, sentence]`; else None.
    """

    labels: tuple[str, ...]
    probabilities: dict[str, float]
    source: tuple[tuple[str, ...], ...]
    weights: tuple[NDArray[np.float32], ...] | None
    sentences: NDArray[np.float32] | None

    @property
    def text(self) -> str:
        """The labels, with commas between."""
        return ",".join(self.labels)

    def line(self, scores: bool) -> str:
        """The labels in one line; with scores, TAB and the probability of each."""
        said = ",".join(f"{self.probabilities[label]:.4f}" for label in self.labels)
        return f"{self.text}\t{said}" if scores else self.text


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measures."""

    loss: float
    """Cross-entropy of a text, nats; of several labels summed over them."""
    accuracy: float
    """Share of texts whose label, or whose labels all, are right, 0 to 1."""
    macro_f1: float
    """The mean of the F1 of the labels, 0 to 1."""
    per_label: metrics.Report
    """Precision, recall, F1 and how many texts have it, for each label."""
    confusion: dict[str, dict[str, int]] | None
    """How many texts of a label (first) were said to be of another (second); None for several labels a text."""
    texts: int
    seconds: float


class TextClassifier(Trained[Sequence[str]]):
    """A trained classifier; an input is a text, or the sentences of a document.

    >>> from saccade.data import tokens
    >>> from saccade.tasks.classify.task import new_model
    >>> codec = LabelCodec(tokens.learn(["a fine film"], "word"), ("bad", "good"), (1, 1), 2)
    >>> classify = TextClassifier(new_model(ClassifyOptions(), codec), codec, ClassifyOptions())
    >>> classify("a fine film").source
    (('a', 'fine', 'film'),)
    """

    model: Classifier

    def __init__(self, model: Classifier, codec: LabelCodec, options: ClassifyOptions):
        self.model, self.codec, self.options = model.eval(), codec, options
        self.limits = limits_of(options, codec)

    def parse(self, line: str) -> Sequence[str]:
        """A text; or a document, as a JSON list of its sentences."""
        if not (self.options.documents and line.startswith("[")):
            return (line,)
        try:
            sentences = json_of(line)
        except ValueError:
            return (line,)
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise DataError(f"expected a text, or a JSON list of sentences; got {line[:40]!r}")
        return tuple(sentences)

    def readable(self, given: Sequence[str] | str) -> str:
        """The text, or the sentences of a document one after another."""
        return given if isinstance(given, str) else " ".join(given)

    def answer(self, inputs: Sequence[Sequence[str] | str]) -> list[Verdict]:
        """The verdict on each text; it does not depend on the others."""
        texts = [(given,) if isinstance(given, str) else given for given in inputs]
        return answered(self._verdicts, self._read(texts), _tokens)

    def _read(self, texts: Sequence[Sequence[str]]) -> list[ReadText]:
        return read(texts, self.codec.vocabulary, self.limits, written=self.codec.characters is not None)

    def _verdicts(self, texts: list[ReadText]) -> list[Verdict]:
        said = self._classified(texts)
        return [self._verdict(text, said, place) for place, text in enumerate(texts)]

    @torch.inference_mode()
    def _classified(self, texts: Sequence[ReadText]) -> Classified:
        parts = side_by_side(texts, documents=self.options.documents, characters=self.codec.characters)
        said: Classified = self.model(*(None if part is None else part.to(self.device) for part in parts))
        return said

    def _verdict(self, text: ReadText, said: Classified, place: int) -> Verdict:
        several = self.options.several
        logits = said.logits[place].float().cpu()
        likely = (logits.sigmoid() if several else logits.softmax(0)).tolist()
        order = sorted(range(len(likely)), key=lambda i: -likely[i])
        kept = decide(logits[None], several=several)[0].tolist()
        labels = self.codec.labels
        spans = [self.codec.vocabulary.spans(sentence, self.limits.words) for sentence in text.sentences]
        source = tuple(tuple(reads for reads, _ in some) for some in spans)
        words, sentences = (None if part is None else part[place].float().cpu().numpy() for part in said[1:])
        return Verdict(
            tuple(labels[i] for i in order if kept[i]),
            {labels[i]: likely[i] for i in order},
            source,
            None if words is None else self._of_sentences(words, spans),
            None if sentences is None else np.atleast_2d(sentences)[:, : len(source)],
        )

    def _of_sentences(self, words: NDArray[np.float32], spans: Sequence[Sequence[tuple[str, int]]]) -> tuple[Any, ...]:
        each = words if self.options.documents else words[None]
        return tuple(
            _of_words(np.atleast_2d(weights), [count for _, count in some])
            for weights, some in zip(each, spans, strict=False)
        )

    def record(self, given: Sequence[str] | str, answers: Sequence[Verdict]) -> dict[str, Any]:
        """An input, its tokens, the probabilities and the weights, as JSON."""
        (verdict,) = answers
        return {
            "source": given,
            "labels": verdict.labels,
            "probabilities": {label: round(share, 6) for label, share in verdict.probabilities.items()},
            "source_tokens": verdict.source,
            "weights": None if verdict.weights is None else [rounded(weights) for weights in verdict.weights],
            "sentence_weights": rounded(verdict.sentences),
        }

    def sample(self) -> dict[str, Any]:
        """Two texts of twenty words, or documents of five such sentences; words of eight characters."""
        ids = torch.ones((2, 5, 20) if self.options.documents else (2, 20), dtype=torch.long)
        given = {"ids": ids, "lengths": torch.full(ids.shape[:-1], 20)}
        characters = {"forms": ids, "characters": torch.ones(2, 8, dtype=torch.long)}
        return given if self.codec.characters is None else given | characters

    def doubts(self, given: Sequence[str] | str) -> list[str]:
        """What a person should know before trusting the verdict on a text."""
        text = (given,) if isinstance(given, str) else given
        if not any(sentence.strip() for sentence in text):
            return ["the input is empty, and so nothing was read"]
        (found,) = read([text], self.codec.vocabulary, self.limits)
        flat = [identity for row in found.rows for identity in row]
        unknown = flat.count(self.codec.vocabulary.unknown)
        doubts = []
        if unknown * 2 > len(flat):
            doubts.append(f"{unknown} of its {len(flat)} tokens were never seen in training")
        if found.words:
            of = " of a sentence" if self.limits.sentences else ""
            why = why_cut(self.options, self.limits)
            doubts.append(f"only the first {self.limits.words} tokens{of} were read ({why})")
        if found.beyond:
            doubts.append(f"only the first {self.limits.sentences} sentences were read (--max-sentences)")
        return doubts

    def evaluate(self, examples: Iterable[Labelled]) -> Scores:
        """Measure on labelled texts.

        Raises:
            DataError: a label that was never seen in training.
        """
        started, rest = time.perf_counter(), iter(examples)
        index = {label: i for i, label in enumerate(self.codec.labels)}
        losses: list[float] = []
        said: list[tuple[str, ...]] = []
        true: list[tuple[str, ...]] = []
        while chunk := list(islice(rest, 1024)):
            for example in chunk:
                check_labels(example, index)
            logits = self._logits(chunk)
            losses += count(logits, self._targets(chunk, index)).loss.tolist()
            for kept in decide(logits, several=self.options.several).tolist():
                said.append(tuple(label for label, keep in zip(self.codec.labels, kept, strict=True) if keep))
            true += [example.labels for example in chunk]
        found = metrics.label_scores(said, true, self.codec.labels, several=self.options.several)
        seconds = time.perf_counter() - started
        return Scores(sum(losses) / len(losses), *found, texts=len(true), seconds=seconds)

    @torch.inference_mode()
    def _logits(self, examples: Sequence[Labelled]) -> torch.Tensor:
        texts = self._read([example.sentences for example in examples])
        return torch.stack(answered(lambda some: self._classified(some).logits.float().cpu(), texts, _tokens))

    def _targets(self, examples: Sequence[Labelled], index: dict[str, int]) -> torch.Tensor:
        if not self.options.several:
            return torch.tensor([index[example.labels[0]] for example in examples])
        target = torch.zeros(len(examples), len(index))
        for row, example in enumerate(examples):
            target[row, [index[label] for label in example.labels]] = 1.0
        return target


def _tokens(text: ReadText) -> int:
    return sum(map(len, text.rows))


def _of_words(weights: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """The weights of words, those of their pieces together: `[hops, piece]` to `[hops, word]`."""
    there = weights[:, : sum(counts)]
    if sum(counts) == len(counts):
        return there
    begins = np.cumsum([0, *counts[:-1]])
    found: NDArray[np.float32] = np.add.reduceat(there, begins, axis=1)
    return found


def limits_of(options: ClassifyOptions, codec: LabelCodec) -> Limits:
    """How much of a text is read: no more than a pretrained encoder has positions for."""
    words = options.max_length
    if codec.encoder is not None and isinstance(codec.vocabulary, Pieces):
        words = max(min(words, positions(codec.encoder) - codec.vocabulary.special), 1)
    return Limits(words, options.max_sentences if options.documents else 0)


def why_cut(options: ClassifyOptions, limits: Limits) -> str:
    """What decides how many tokens are read."""
    return "--max-length" if limits.words == options.max_length else "the encoder has no more positions"
