"""The task of giving each word of a sentence its tag."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from saccade.data import characters, lexicon, pieces
from saccade.data.spans import span_constraints
from saccade.data.tagged import Tagged, TaggedFile, is_span_scheme
from saccade.data.taggedcorpus import TagCodec, TaggedBatch, TaggedCorpus, learn_codec
from saccade.errors import DataError, OptionError, RunError
from saccade.files import write_atomic
from saccade.models.tagger import Tagger, TaggerConfig
from saccade.runs import Run
from saccade.tasks import pretrained
from saccade.tasks.base import Figures, Say, Start, Task, held_out
from saccade.tasks.tag.learner import TagLearner
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.tag.tagger import WordTagger
from saccade.tasks.wordvectors import begin_with

WORDS, CHARACTERS, TAGS, TOKENIZER = "words.json", "characters.json", "tags.json", "tokenizer.json"
Parts = tuple[TaggedCorpus, TaggedCorpus]


class Tag(Task[TagOptions, Tagged, TagCodec, TaggedBatch]):
    """Tagged sentences, a tagger, and tags."""

    name, noun, options, columns = "tag", "sentences", TagOptions, ()

    def files(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: TagOptions) -> TaggedFile:
        """Tagged sentences of one file, or of several in turn."""
        return TaggedFile(paths, _two(columns))

    def inputs(
        self, paths: tuple[Path, ...], columns: tuple[str, ...], options: TagOptions
    ) -> Iterator[tuple[str, ...]]:
        """The words of files whose tags nobody needs."""
        return (sentence.words for sentence in TaggedFile(paths, _two(columns), unlabelled=True))

    def parts(self, start: Start, options: TagOptions, say: Say) -> tuple[Iterable[Tagged], Iterable[Tagged]]:
        """Held out by the words of a sentence."""
        return held_out(start, options.seed, lambda sentence: " ".join(sentence.words), self.noun, say, share=10)

    def learn(self, start: Start, training: Iterable[Tagged], options: TagOptions) -> TagCodec:
        """The words and characters of the training part; the tags of the whole file."""
        codec = learn_codec(training, start.train, cased=options.cased, least=options.least, most=options.vocab_size)
        if len(codec.tags) < 2:
            raise DataError(f"{start.train}: expected at least two tags; got {', '.join(codec.tags)} alone")
        encoder, cutter = pretrained.taken(options, apart=True)
        return codec._replace(encoder=encoder, pieces=cutter)

    def write_codec(self, run: Run, codec: TagCodec) -> None:
        """Words, characters and tags, and what a pretrained encoder is."""
        if codec.pieces is not None:
            pretrained.write(run, codec.encoder)
            write_atomic(run.path(TOKENIZER), codec.pieces.to_json())
        write_atomic(run.path(WORDS), codec.words.to_json())
        write_atomic(run.path(CHARACTERS), codec.characters.to_json())
        tags = {"tags": codec.tags, "cased": codec.cased, "spans": codec.spans}
        write_atomic(run.path(TAGS), json.dumps(tags, ensure_ascii=False, indent=2) + "\n")

    def read_codec(self, run: Run) -> TagCodec:
        """Words, characters and tags, and what a pretrained encoder is."""
        encoder = cutter = None
        if self.read_options(run, run.read_config()).pretrained is not None:
            encoder, cutter = pretrained.read(run), pieces.load(run.path(TOKENIZER), apart=True)
        words, alphabet = lexicon.load(run.path(WORDS)), lexicon.load(run.path(CHARACTERS))
        path = run.path(TAGS)
        try:
            found = json.loads(path.read_text("utf-8"))
            tags, cased, spans = tuple(found["tags"]), bool(found["cased"]), bool(found["spans"])
            return TagCodec(words, alphabet, tags, cased, spans, encoder, cutter)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: expected tags; got {error}") from None

    def corpus(
        self, folder: Path, name: str, examples: Iterable[Tagged], codec: TagCodec, options: TagOptions
    ) -> TaggedCorpus:
        """Encoded sentences."""
        return TaggedCorpus(folder, name, examples, codec, options.max_length)

    def report(self, start: Start, options: TagOptions, parts: Parts, say: Say) -> None:
        """Sentences left out, and words never seen."""
        for name, part in zip(("training", "validation"), parts, strict=True):
            if part.too_long:
                say(f"left out {part.too_long} {name} sentences of more than {options.max_length} words (--max-length)")
            if not len(part):
                limit = options.max_length
                raise OptionError(f"--max-length must leave some {name} sentences; got {limit}, which leaves none")
        training, validation = parts
        if is_span_scheme(training.codec.tags) and not training.codec.spans:
            say(f"{start.train}: some tags go on with no span before them; so any tag may follow any")
        if validation.unknown:
            say(f"{validation.unknown / validation.words:.1%} of the words to validate on are not among those learned")

    def described(self, start: Start, parts: Parts) -> dict[str, Any]:
        """How often each tag occurs, and what was left out."""
        training = parts[0]
        return {"tags": dict(sorted(training.counts.items())), "words": training.words, "too_long": training.too_long}

    def new_model(self, options: TagOptions, codec: TagCodec) -> Tagger:
        """An untrained tagger."""
        return new_model(options, codec)

    def begin(self, model: Tagger, options: TagOptions, codec: TagCodec, say: Say) -> None:
        """Take word vectors, or the weights of an encoder, where the options name some."""
        if model.pretrained is not None:
            pretrained.begin(model.pretrained, options, say)
        if options.vectors is None or model.embedding is None:
            return
        words = ["", "", *codec.words.words]  # padding and unknown first
        begin_with(model.embedding.load, options.embedding, options.vectors, words, say)

    def learner(self, model: Tagger, options: TagOptions, codec: TagCodec) -> TagLearner:
        """The negative log-likelihood of tags."""
        return TagLearner(model, options, codec.tags if is_span_scheme(codec.tags) else None)

    def trained(self, model: Tagger, codec: TagCodec, options: TagOptions, run: Run) -> WordTagger:
        """A tagger of words."""
        return WordTagger(model, codec)

    def headline(self, figures: Figures) -> str:
        """Loss, accuracy, and F1 of spans where there are some."""
        spans = f" span F1 {figures['span_f1']:.1%}" if "span_f1" in figures else ""
        return f"loss {figures['loss']:.4f} accuracy {figures['accuracy']:.2%}{spans}"

    def rank(self, figures: Figures) -> tuple[float, ...]:
        """The best F1 of spans where there are some, else the most accurate; of equals the one of the lowest loss."""
        return -figures.get("span_f1", figures["accuracy"]), figures["loss"]


def new_model(options: TagOptions, codec: TagCodec) -> Tagger:
    """An untrained tagger; `torch.manual_seed` decides its weights."""
    constraints = span_constraints(codec.tags) if options.output == "crf" and codec.spans else None
    many = options.encoder == "none" and options.attention == "multi-head"
    encoder = pretrained.untrained(options, codec.encoder, heads=options.heads if many else 1)
    reads = options.characters != "none" and encoder is None
    return Tagger(
        TaggerConfig(
            words=codec.words.size,
            tags=len(codec.tags),
            characters=characters.count(codec.characters) if reads else 0,
            embedding=options.embedding if encoder is None else encoder.dim,
            character_embedding=options.character_embedding,
            character_hidden=options.character_hidden,
            character_encoder="cnn" if options.characters == "none" else options.characters,
            encoder=options.encoder,
            hidden=options.hidden,
            layers=options.layers,
            attention=options.attention,
            heads=options.heads,
            output=options.output,
            dropout=options.dropout,
            word_dropout=options.word_dropout,
            unknown=lexicon.UNKNOWN,
        ),
        constraints=constraints,
        pretrained=encoder,
    )


def _two(columns: tuple[str, ...]) -> tuple[str, str] | None:
    if not columns:
        return None
    if len(columns) != 2:
        raise OptionError(f"--columns must be two, of words and of tags; got {','.join(columns)!r}")
    return columns[0], columns[1]
