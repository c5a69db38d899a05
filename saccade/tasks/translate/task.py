"""The task of turning one kind of text into another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saccade.data import tokens
from saccade.data.alphabet import spread_sides
from saccade.data.linked import LinkedFile
from saccade.data.paircorpus import AnyPair, Batch, PairCorpus, Vocabularies, encode_pairs, reopen_pairs
from saccade.data.pairs import SOURCE_AND_TARGET, PairFile
from saccade.data.schedule import Epochs, TokenSchedule
from saccade.errors import OptionError, RunError
from saccade.files import write_atomic
from saccade.models.seq2seq import Seq2Seq
from saccade.runs import CONFIG, Run
from saccade.tasks.base import Figures, Say, Start, Task, held_out, skipped_lines
from saccade.tasks.translate.choosing import kept
from saccade.tasks.translate.learner import TranslateLearner
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import Longest, Translator, new_model
from saccade.tasks.wordvectors import begin_with

Parts = tuple[PairCorpus, PairCorpus]


class Translate(Task[TranslateOptions, AnyPair, Vocabularies, Batch]):
    """Pairs of texts, an encoder-decoder, and a translator of them."""

    name, noun, options, columns = "translate", "pairs", TranslateOptions, SOURCE_AND_TARGET
    reopens = True

    def files(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: TranslateOptions) -> PairFile:
        """Pairs of one file, or of two aligned ones."""
        if len(columns) != 2:
            raise OptionError(f"--columns must be two names, source,target; got {','.join(columns)!r}")
        return PairFile(paths, (columns[0], columns[1]))

    def inputs(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: TranslateOptions) -> Iterable[str]:
        """The sources of pairs."""
        return (pair.source for pair in self.files(paths, columns, options))

    def parts(self, start: Start, options: TranslateOptions, say: Say) -> tuple[Iterable[AnyPair], Iterable[AnyPair]]:
        """Held out by the source. Links go with the pairs to train on."""
        if options.alignments is not None:
            start = replace(start, train=LinkedFile(start.train, Path(options.alignments)))
        return held_out(start, options.seed, lambda pair: str(pair.source), self.noun, say)

    def learn(self, start: Start, training: Iterable[AnyPair], options: TranslateOptions) -> Vocabularies:
        """A vocabulary of each side, or one of both."""
        if options.shared:
            texts = (text for pair in training for text in (pair.source, pair.target))
            both = tokens.learn(texts, options.level, options.vocab_size)
            return Vocabularies(both, both)
        if options.level == "char":  # every character counts, so all texts are read, twice
            sides: Iterable[Iterable[str]] = (
                (getattr(pair, side) for pair in training) for side in Vocabularies._fields
            )
        else:
            sides = spread_sides(((pair.source, pair.target) for pair in training), 2)
        return Vocabularies(*(tokens.learn(texts, options.level, options.vocab_size) for texts in sides))

    def write_codec(self, run: Run, codec: Vocabularies) -> None:
        """Two tokenizers, a shared one twice."""
        for side, vocabulary in zip(Vocabularies._fields, codec, strict=True):
            write_atomic(run.path(f"tokenizer-{side}.json"), vocabulary.to_json())

    def read_codec(self, run: Run) -> Vocabularies:
        """Two tokenizers."""
        return Vocabularies(*(tokens.load(run.path(f"tokenizer-{side}.json")) for side in Vocabularies._fields))

    def corpus(
        self, folder: Path, name: str, examples: Iterable[AnyPair], codec: Vocabularies, options: TranslateOptions
    ) -> PairCorpus:
        """Encoded pairs, without those that are too long; with links where attention is guided, in training."""
        linked = options.alignments is not None and name == "training"
        return encode_pairs(folder, name, examples, codec, options.max_length, copy=options.copy, linked=linked)

    def reopen(self, folder: Path, name: str, codec: Vocabularies, options: TranslateOptions) -> PairCorpus | None:
        """What `corpus` wrote, where all of it is there; pairs with links are encoded anew, with the links of today."""
        return None if options.alignments else reopen_pairs(folder, name, codec, options.max_length, copy=options.copy)

    def schedule(self, corpus: PairCorpus, options: TranslateOptions) -> Epochs:
        """So many sentences, or so many tokens of each side."""
        if not options.batch_tokens:
            return super().schedule(corpus, options)
        return TokenSchedule([corpus.sizes, corpus.target_sizes], options.batch_tokens, options.seed)

    def measured(self, corpus: PairCorpus, options: TranslateOptions) -> Sequence[NDArray[np.int64]]:
        """Like ones together; with a bound on tokens, within it."""
        if not options.batch_tokens:
            return super().measured(corpus, options)
        schedule = self.schedule(corpus, options)
        return [schedule[step] for step in range(schedule.per_epoch)]

    def report(self, start: Start, options: TranslateOptions, parts: Parts, say: Say) -> None:
        """Empty lines, pairs left out, tokens that a fine-tuned model never saw."""
        skipped_lines(start, say)
        limit, training = options.max_length, parts[0]
        for name, part in zip(("training", "validation"), parts, strict=True):
            if part.too_long:
                some = f"{part.too_long} {name} pair{'s' * (part.too_long > 1)}"
                say(f"left out {some} longer than {limit} tokens (--max-length)")
            if not len(part):
                raise OptionError(f"--max-length must leave some {name} pairs; got {limit}, which leaves none")
        if start.parent is not None and training.unknown:
            say(f"{start.train}: {training.unknown} tokens were never seen by {start.parent} and are read as unknown")

    def described(self, start: Start, parts: Parts) -> dict[str, Any]:
        """How long texts are, which bounds answers."""
        training = parts[0]
        longest = {"source": int(training.sizes.max()), "target": int(training.target_sizes.max())}
        return {"skipped_empty_lines": start.train.skipped, "too_long": training.too_long, "longest": longest}

    def check_codec(self, run: Run, codec: Vocabularies, weights: Mapping[str, Tensor]) -> None:
        """Vocabularies of another size than the embeddings'.

        Raises:
            RunError: naming the file and both sizes.
        """
        tables = ("source_embedding.weight", "decoder.embedding.weight")
        for side, vocabulary, table in zip(Vocabularies._fields, codec, tables, strict=True):
            # Tied embeddings stand under the first of their names.
            size = len(weights.get(table, weights.get(tables[0], ())))
            if size not in (0, vocabulary.size):
                path = run.path(f"tokenizer-{side}.json")
                raise RunError(f"{path}: expected the vocabulary of the weights, {size} tokens; got {vocabulary.size}")

    def new_model(self, options: TranslateOptions, codec: Vocabularies) -> Seq2Seq:
        """An untrained encoder-decoder."""
        return new_model(options, codec)

    def begin(self, model: Seq2Seq, options: TranslateOptions, codec: Vocabularies, say: Say) -> None:
        """Take word vectors where the options name some."""
        sides = (
            (options.vectors, codec.source, model.source_embedding),
            (options.target_vectors, codec.target, model.decoder.embedding),
        )
        for path, vocabulary, table in sides:
            if path is not None:
                named = [vocabulary.label(i) for i in range(vocabulary.size)]
                begin_with(partial(_fill, table), table.embedding_dim, path, named, say)

    def learner(self, model: Seq2Seq, options: TranslateOptions, codec: Vocabularies) -> TranslateLearner:
        """Teacher forcing."""
        return TranslateLearner(model, options)

    def trained(self, model: Seq2Seq, codec: Vocabularies, options: TranslateOptions, run: Run) -> Translator:
        """A translator."""
        try:
            longest = Longest(**run.read_config()["data"]["longest"])
        except (KeyError, TypeError):
            raise RunError(f"{run.path(CONFIG)}: expected data.longest with source and target; got none") from None
        return Translator(model, codec, longest, alignment=kept(run) or options.alignment)

    def headline(self, figures: Figures) -> str:
        """Loss and exact match."""
        return f"loss {figures['loss']:.4f} exact {figures['exact_match']:.1%}"


@torch.no_grad()
def _fill(table: nn.Embedding, values: Tensor, found: Tensor) -> None:
    found[tokens.PAD] = False
    table.weight[found] = values[found]
