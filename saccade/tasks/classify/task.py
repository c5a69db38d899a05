"""The task of giving texts and documents their labels."""

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from saccade.data import characters, lexicon, pieces, tokens
from saccade.data.labelled import Labelled, LabelledFile
from saccade.data.labelledcorpus import LabelledBatch, LabelledCorpus
from saccade.data.tokens import Vocabulary
from saccade.errors import DataError, OptionError, RunError
from saccade.files import write_atomic
from saccade.layers.pretrained import PretrainedEncoder
from saccade.models.classifier import Classifier, ClassifierConfig
from saccade.runs import Run
from saccade.tasks import pretrained
from saccade.tasks.base import Figures, Say, Start, Task, held_out, skipped_lines
from saccade.tasks.classify.classifier import LabelCodec, TextClassifier, limits_of, why_cut
from saccade.tasks.classify.learner import ClassifyLearner
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.wordvectors import begin_with

TOKENIZER, CHARACTERS, LABELS = "tokenizer.json", "characters.json", "labels.json"
Parts = tuple[LabelledCorpus, LabelledCorpus]


class Classify(Task[ClassifyOptions, Labelled, LabelCodec, LabelledBatch]):
    """Labelled texts, a classifier, and verdicts."""

    name, noun, options, columns = "classify", "texts", ClassifyOptions, ("text", "label")

    def files(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: ClassifyOptions) -> LabelledFile:
        """Labelled texts of one file, or of several in turn."""
        return LabelledFile(paths, _two(columns), several=options.several)

    def inputs(
        self, paths: tuple[Path, ...], columns: tuple[str, ...], options: ClassifyOptions
    ) -> Iterator[tuple[str, ...]]:
        """The texts of files without labels."""
        return (example.sentences for example in LabelledFile(paths, _two(columns), unlabelled=True))

    def parts(self, start: Start, options: ClassifyOptions, say: Say) -> tuple[Iterable[Labelled], Iterable[Labelled]]:
        """Held out by the text."""
        return held_out(start, options.seed, lambda example: str(example.text), self.noun, say, share=10)

    def learn(self, start: Start, training: Iterable[Labelled], options: ClassifyOptions) -> LabelCodec:
        """What stands in the training part; the labels of the whole file, of which some may be held out alone."""
        counts: Counter[str] = Counter()
        written: Counter[str] = Counter()
        texts = 0

        def each() -> Iterator[str]:
            nonlocal texts
            for example in training:
                texts += 1
                counts.update(example.labels)
                if options.characters != "none":
                    written.update(example.text)
                yield from example.sentences

        encoder, cutter = pretrained.taken(options)
        vocabulary = cutter or _learned(each(), options)
        if cutter is not None:
            deque(each(), 0)  # to count labels
        labels = sorted({label for example in start.train for label in example.labels})
        if len(labels) < 2 - options.several:
            raise DataError(f"{start.train}: expected at least two labels; got {labels[0]!r} alone")
        alphabet = None if options.characters == "none" else lexicon.learn(written)
        each_count = tuple(counts[label] for label in labels)
        return LabelCodec(vocabulary, tuple(labels), each_count, texts, alphabet, encoder)

    def write_codec(self, run: Run, codec: LabelCodec) -> None:
        """A tokenizer, the labels, and characters and an encoder's configuration where there are some."""
        pretrained.write(run, codec.encoder)
        write_atomic(run.path(TOKENIZER), codec.vocabulary.to_json())
        if codec.characters is not None:
            write_atomic(run.path(CHARACTERS), codec.characters.to_json())
        labels = {"labels": codec.labels, "counts": codec.counts, "texts": codec.texts}
        write_atomic(run.path(LABELS), json.dumps(labels, ensure_ascii=False, indent=2) + "\n")

    def read_codec(self, run: Run) -> LabelCodec:
        """A tokenizer, the labels, and characters and an encoder's configuration where there are some."""
        options, path = self.read_options(run, run.read_config()), run.path(LABELS)
        encoder = None if options.pretrained is None else pretrained.read(run)
        vocabulary = (tokens if encoder is None else pieces).load(run.path(TOKENIZER))
        alphabet = None if options.characters == "none" else lexicon.load(run.path(CHARACTERS))
        try:
            found = json.loads(path.read_text("utf-8"))
            labels, counts, texts = tuple(found["labels"]), tuple(found["counts"]), int(found["texts"])
            return LabelCodec(vocabulary, labels, counts, texts, alphabet, encoder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: expected labels with their counts; got {error}") from None

    def corpus(
        self, folder: Path, name: str, examples: Iterable[Labelled], codec: LabelCodec, options: ClassifyOptions
    ) -> LabelledCorpus:
        """Encoded texts."""
        return LabelledCorpus(
            folder,
            name,
            examples,
            codec.vocabulary,
            codec.labels,
            limits_of(options, codec),
            several=options.several,
            characters=codec.characters,
        )

    def report(self, start: Start, options: ClassifyOptions, parts: Parts, say: Say) -> None:
        """Empty lines, texts that are cut, and labels that are rare."""
        skipped_lines(start, say)
        training = parts[0]
        for name, part in zip(("training", "validation"), parts, strict=True):
            if part.cut:
                what = why_cut(options, part.limits) + " or --max-sentences" * options.documents
                say(f"{part.cut} {name} texts are longer than what is read of them ({what})")
        often, rare = training.counts.most_common()[0], training.counts.most_common()[-1]
        if rare[1] * 5 < often[1]:
            hint = "" if options.balance else " (make them count alike with --balance)"
            say(f"labels are uneven: {often[1]} texts of {often[0]!r}, {rare[1]} of {rare[0]!r}{hint}")

    def described(self, start: Start, parts: Parts) -> dict[str, Any]:
        """How often each label occurs, and what was cut."""
        training = parts[0]
        labels = dict(sorted(training.counts.items()))
        return {
            "skipped_empty_lines": start.train.skipped,
            "labels": labels,
            "cut": training.cut,
            "unknown": training.unknown,
        }

    def new_model(self, options: ClassifyOptions, codec: LabelCodec) -> Classifier:
        """An untrained classifier."""
        return new_model(options, codec)

    def begin(self, model: Classifier, options: ClassifyOptions, codec: LabelCodec, say: Say) -> None:
        """Take word vectors, or the weights of an encoder, where the options name some."""
        if isinstance(model.embed[0], PretrainedEncoder):
            pretrained.begin(model.embed[0], options, say)
        if options.vectors is None:
            return
        assert isinstance(codec.vocabulary, Vocabulary)
        named = [codec.vocabulary.label(i) for i in range(codec.vocabulary.size)]
        begin_with(model.tokens.load, options.embedding, options.vectors, named, say)

    def learner(self, model: Classifier, options: ClassifyOptions, codec: LabelCodec) -> ClassifyLearner:
        """Cross-entropy."""
        return ClassifyLearner(model, options, codec.counts, codec.texts)

    def trained(self, model: Classifier, codec: LabelCodec, options: ClassifyOptions, run: Run) -> TextClassifier:
        """A classifier of texts."""
        return TextClassifier(model, codec, options)

    def headline(self, figures: Figures) -> str:
        """Loss, accuracy and macro-F1."""
        return f"loss {figures['loss']:.4f} accuracy {figures['accuracy']:.1%} macro-F1 {figures['macro_f1']:.1%}"

    def rank(self, figures: Figures) -> tuple[float, ...]:
        """The most accurate; of equals the one of the lowest loss."""
        return -figures["accuracy"], figures["loss"]


def new_model(options: ClassifyOptions, codec: LabelCodec) -> Classifier:
    """An untrained classifier; `torch.manual_seed` decides its weights."""
    many = options.encoder == "none" and options.self_attention == "multi-head"
    encoder = pretrained.untrained(options, codec.encoder, heads=options.heads if many else 1)
    return Classifier(
        ClassifierConfig(
            vocab=codec.vocabulary.size,
            labels=len(codec.labels),
            attention=options.attention,
            encoder=options.encoder,
            embedding=options.embedding if encoder is None else encoder.dim,
            hidden=options.hidden,
            layers=options.layers,
            dropout=options.dropout,
            documents=options.documents,
            self_attention=options.self_attention,
            heads=options.heads,
            hops=options.hops,
            word_dropout=options.word_dropout,
            unknown=tokens.UNKNOWN,
            characters=0 if codec.characters is None else characters.count(codec.characters),
            character_embedding=options.character_embedding,
            character_hidden=options.character_hidden,
            character_encoder="cnn" if options.characters == "none" else options.characters,
        ),
        pretrained=encoder,
    )


def _learned(texts: Iterable[str], options: ClassifyOptions) -> Vocabulary:
    level, most = options.level, options.vocab_size
    return tokens.learn(texts, level, most, cased=options.cased, least=options.least)


def _two(columns: tuple[str, ...]) -> tuple[str, str]:
    if len(columns) != 2:
        raise OptionError(f"--columns must be two names, text,label; got {','.join(columns)!r}")
    return columns[0], columns[1]
