"""Which words of two texts belong together, by what a translator looks at when it is given both."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.alignments import Choice
from saccade.alignments.weights import word_weights
from saccade.data.aligned import WordPair
from saccade.data.paircorpus import Batch, encode, words_of_tokens
from saccade.data.pairs import Pair
from saccade.errors import RunError
from saccade.models.seq2seq import Seq2Seq, Seq2SeqConfig
from saccade.tasks.base import answered
from saccade.tasks.translate.translator import Translator, to_device


class Aligned(NamedTuple):
    """What the words of a translation looked at.

    source:  the words that were read.
    target:  the words that were given.
    weights: float32 `[target, source]`; a row sums to one but for what went to the end token.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: NDArray[np.float32]


def align(
    translator: Translator,
    pairs: Sequence[tuple[str | Sequence[str], str | Sequence[str]]],
    *,
    choice: Choice | None = None,
) -> list[Aligned]:
    """What each word of a given translation looks at; `saccade.alignments.weights` makes links of it.

    The weights of tokens are those of `forced_weights`; a word of several pieces has the sum over the pieces that are
    looked at and the mean over those that look. A pair's weights do not depend on the others.

    Args:
        translator: any that looks at its source.
        pairs: source and target, each a text, whose words white space parts, or a list of words.
        choice: which weights; None: the translator's own choice.

    Raises:
        ValueError: a side without a word, or a layer or head that the translator has not.
        RunError: the translator looks at nothing.

    >>> from saccade.tasks.translate.translator import Longest, TranslateOptions, Vocabularies, new_model, tokens
    >>> both = Vocabularies(*[tokens.learn(["one two"], "char")] * 2)
    >>> translator = Translator(new_model(TranslateOptions(), both), both, Longest(7, 7))
    >>> align(translator, [("one two", "two two one")])[0].weights.shape
    (3, 2)
    """
    given = [WordPair(*(_words(side, place) for side in pair)) for place, pair in enumerate(pairs)]
    texts = [Pair(" ".join(pair.source), " ".join(pair.target)) for pair in given]
    looked = forced_weights(translator, texts, choice=choice)
    read = words_of_tokens(translator.vocabularies.source, [pair.source for pair in given])
    written = words_of_tokens(translator.vocabularies.target, [pair.target for pair in given])
    aligned = []
    for pair, weights, source, target in zip(given, looked, read, written, strict=True):
        found = word_weights(weights, [*source, -1], target, shape=(len(pair.target), len(pair.source)))
        aligned.append(Aligned(pair.source, pair.target, found))
    return aligned


def _words(side: str | Sequence[str], place: int) -> tuple[str, ...]:
    words = tuple(side.split() if isinstance(side, str) else side)
    if not words:
        raise ValueError(f"pairs must have a word on each side; got {side!r} in pair {place}")
    return words


def forced_weights(
    translator: Translator, pairs: Sequence[Pair], *, choice: Choice | None = None
) -> list[NDArray[np.float32]]:
    """What each token of a given target looks at, when the true tokens before it are given.

    A row is that of the step that predicted its token, or with a shift that of the next step, which reads the token
    (Chen et al. 2020, Shift-Att), or what `RecurrentDecoder.posterior` makes of the first. A decoder that attends
    before its cell asks with the state before it: one that has not read yet what this step reads.

    Args:
        translator: any that looks at its source.
        pairs: texts; those of like length are run together.
        choice: which weights; None: the translator's own choice.

    Returns:
        for each pair float32 `[target token, source token]`; the end token is among those of the source alone.

    Raises:
        ValueError: a layer or head that the translator has not.
        RunError: the translator looks at nothing.
    """
    choice = translator.alignment if choice is None else choice
    check(choice, translator.model.config)
    encoded = encode(pairs, translator.vocabularies, copy=translator.model.config.copy)

    @torch.inference_mode()
    def run(rows: list[int]) -> list[NDArray[np.float32]]:
        batch = to_device(encoded.batch(rows), translator.device)
        looked = _looked(translator.model, batch, choice)
        steps = looked[:, 1:] if choice.shift else looked  # the end token is the last that is predicted
        found = zip(steps.float().cpu().numpy(), rows, strict=True)
        return [each[: len(encoded.targets[row]) - 1, : len(encoded.sources[row])] for each, row in found]

    return answered(run, range(len(pairs)), lambda row: len(encoded.targets[row]))


def check(choice: Choice, config: Seq2SeqConfig) -> None:
    """Refuse weights that a model does not have.

    Raises:
        ValueError: naming layer or head.
    """
    if config.decoder != "transformer" and (choice.layer, choice.head) != (None, None):
        raise ValueError(
            f"layer and head must be of a Transformer's decoder; got a decoder of the kind {config.decoder}"
        )
    after = config.decoder != "transformer" and config.attend == "after" and not config.copy
    if choice.posterior and (choice.shift or not after):
        raise ValueError("posterior needs a recurrent decoder that attends after its cell, no copying and no shift")
    for name, place, count in (("layer", choice.layer, config.layers), ("head", choice.head, config.heads)):
        if place is not None and not -count <= place < count:
            raise ValueError(f"{name} must be from {-count} to {count - 1}; got {place}")


def _looked(model: Seq2Seq, batch: Batch, choice: Choice) -> Tensor:
    """The chosen weights, `[batch, target, source]`."""
    given = batch.source, batch.lengths, batch.before
    if choice.layer is None and choice.head is None:
        posterior = choice.posterior
        weights = model.posterior(*given, batch.target) if posterior else model(*given, copy=batch.copy).weights
        if weights is None:
            raise RunError("expected a translator that looks at its source; it looks at nothing (--attention none)")
        return cast(Tensor, weights)
    layer = model.every_head(*given)[1][-1 if choice.layer is None else choice.layer]
    return layer.mean(1) if choice.head is None else layer[:, choice.head]
