"""Translate: one kind of text into another, with what each output token looked at."""

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from saccade import decoding, metrics
from saccade.alignments import Choice
from saccade.data import tokens
from saccade.data.copying import Copyable, copyable
from saccade.data.paircorpus import Batch, Vocabularies, collate, encode
from saccade.data.pairs import Pair
from saccade.data.schedule import in_order_of_length
from saccade.errors import DataError, OptionError
from saccade.models.seq2seq import Seq2Seq, Seq2SeqConfig
from saccade.tasks.base import Searching, answered, rounded
from saccade.tasks.translate.learner import count
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.scores import Scores, TeacherForced

_LAST_LAYER = Choice()
LONGEST_READ = 1000
"""Tokens of a text that are read at least; more where the training allowed more (--max-length)."""
_SYMBOLS = decoding.Symbols(tokens.START, tokens.END, (tokens.PAD, tokens.START, tokens.UNKNOWN))


class Answer(NamedTuple):
    """One answer of a translator.

    text:    the answer.
    score:   its log-probability in nats, of the end token too.
    source:  the input's tokens as they read, `</s>` last.
    target:  the answer's tokens as they read, `</s>` last where the answer ended by itself.
    weights: float32 `[target, source]`, each row what an output token looked at; None where nothing looks.
    copied:  for each output token which share of its probability came from copying the input, 0 to 1; none where the
             model does not copy, or where nobody asked.
    """

    text: str
    score: float
    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: NDArray[np.float32] | None
    copied: tuple[float, ...] = ()

    def line(self, scores: bool) -> str:
        r"""The answer in one line: one learnt from JSON or CSV may hold line breaks, which are then `\n`."""
        text = self.text
        if "\n" in text:
            text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"{text}\t{self.score:.4f}" if scores else text


class Question(NamedTuple):
    """An encoded input: ids, how they read, and what can be copied from it (nothing where the model does not copy)."""

    ids: list[int]
    labels: list[str]
    copy: Copyable


class Longest(NamedTuple):
    """The longest source and target of the training pairs, in tokens."""

    source: int
    target: int


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on another device."""
    source, lengths, before, target = (tensor.to(device) for tensor in batch[:4])
    copy, links = (None if part is None else part.to(device) for part in batch[4:])
    return Batch(source, lengths, before, target, copy, links)


def new_model(options: TranslateOptions, vocabularies: Vocabularies) -> Seq2Seq:
    """An untrained model; `torch.manual_seed` decides its weights.

    Raises:
        OptionError: embeddings that both sides shall share, and two vocabularies.
    """
    if options.tied == "all" and vocabularies.source.to_json() != vocabularies.target.to_json():
        raise OptionError("--tied all needs one vocabulary for both sides; got two that differ")
    return Seq2Seq(
        Seq2SeqConfig(
            source_vocab=vocabularies.source.size,
            target_vocab=vocabularies.target.size,
            attention=options.attention,
            encoder=options.encoder,
            decoder=options.decoder,
            embedding=options.embedding,
            hidden=options.hidden,
            layers=options.layers,
            dropout=options.dropout,
            half_width=options.half_width,
            attend=options.attend,
            slots=options.max_length,
            copy=options.copy,
            unknown=tokens.UNKNOWN,
            feed=options.feed == "input",
            tied=options.tied,
            variational=options.variational,
            layer_norm=options.layer_norm,
            heads=options.heads,
            shared_heads=options.shared_heads,
            feedforward=options.feedforward,
            norm=options.norm,
            positions=options.positions,
        )
    )


class Translator(Searching[str]):
    """A trained translator.

    Args:
        longest: the longest texts of its training.
        others: models of the same vocabularies, whose mean it answers with.
        alignment: which of its weights say what belongs together.

    >>> vocabulary = tokens.learn(["12"], "char")
    >>> model = new_model(TranslateOptions(), Vocabularies(vocabulary, vocabulary))
    >>> translate = Translator(model, Vocabularies(vocabulary, vocabulary), Longest(2, 2))
    >>> translate("12").source
    ('1', '2', '</s>')
    """

    model: Seq2Seq

    def __init__(
        self,
        model: Seq2Seq,
        vocabularies: Vocabularies,
        longest: Longest,
        *,
        others: Sequence[Seq2Seq] = (),
        alignment: Choice = _LAST_LAYER,
    ):
        self.model, self.vocabularies, self.longest = model.eval(), vocabularies, longest
        self.others, self.alignment = tuple(other.eval() for other in others), alignment

    @property
    def copies(self) -> bool:
        """Whether words of the source can be copied."""
        return self.model.config.copy

    @property
    def most(self) -> int:
        """How many tokens a text may have, the end token among them."""
        return max(LONGEST_READ, self.model.config.slots)

    def joined(self, others: Sequence["Translator"]) -> "Translator":
        """One translator of this and others of the same vocabularies, that answers with the mean of probabilities.

        What was looked at is the mean too. Losses, and what was copied, are those of this one alone.

        Raises:
            OptionError: another vocabulary, or one copies and another does not.
        """
        for other in others:
            for side, mine, its in zip(Vocabularies._fields, self.vocabularies, other.vocabularies, strict=True):
                if mine.to_json() != its.to_json():
                    sizes = f"{mine.size} tokens; got another one of {its.size}"
                    raise OptionError(f"--ensemble must be runs of one vocabulary; expected the {side}'s of {sizes}")
            if other.model.config.copy != self.model.config.copy:
                raise OptionError("--ensemble must be runs that all copy, or that all do not; got both")
        models = [*self.others, *(other.model for other in others)]
        return Translator(self.model, self.vocabularies, self.longest, others=models, alignment=self.alignment)

    def __call__(self, text: str, *, beam: int = 1) -> Answer:
        """The best answer to one text; greedy, or the best of a beam. It also says what was copied."""
        return self.answer([text], beam=beam, copied=True)[0][0]

    def answer(
        self,
        texts: Sequence[str],
        *,
        beam: int = 1,
        nbest: int = 1,
        copied: bool = False,
        manner: decoding.Manner = decoding.SEARCHED,
    ) -> list[list[Answer]]:
        """The `nbest` best answers to each text, best first; fewer where the search found fewer. Or so many drawn.

        An empty text has the empty answer, and so has one of more tokens than `most`: nothing is cut off in silence,
        and time and weights grow with the square of the length. Texts of like length are searched together; a text's
        answer does not depend on the others. With `copied` a model that copies also says what it copied.
        """
        if min(beam, nbest) < 1:
            raise OptionError(f"--beam and --nbest must be at least 1; got {beam} and {nbest}")
        asked = [self._encoded(text) if text.strip() else None for text in texts]
        questions = [one for one in asked if one is not None and len(one.ids) <= self.most]
        searched = answered(
            lambda some: self._search(some, beam, nbest, manner), questions, lambda question: len(question.ids)
        )
        found = (
            [self._answer(question, hypothesis, copied) for hypothesis in best[:nbest]]
            for question, best in zip(questions, searched, strict=True)
        )
        nothing = [Answer("", 0.0, (), (), None)]
        return [nothing if one is None or len(one.ids) > self.most else next(found) for one in asked]

    def answers(
        self,
        inputs: Sequence[str],
        *,
        beam: int = 1,
        nbest: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
    ) -> list[list[Answer]]:
        """As `answer`."""
        return self.answer(inputs, beam=beam, nbest=nbest, manner=manner)

    def _encoded(self, text: str) -> Question:
        ids, labels = self.vocabularies.source.encode(text)
        copy = copyable(text, *self.vocabularies) if self.copies else Copyable([], [])
        return Question(ids, labels, copy)

    def _search(
        self, questions: list[Question], beam: int, nbest: int, manner: decoding.Manner
    ) -> list[list[decoding.Hypothesis]]:
        return self.found_by([self.model, *self.others], questions, beam, nbest, manner)

    @torch.inference_mode()
    def found_by(
        self, models: Sequence[Any], questions: list[Question], beam: int, nbest: int, manner: decoding.Manner
    ) -> list[list[decoding.Hypothesis]]:
        """What models with the `remember` and `step` of a `Seq2Seq`, asked together, find for some questions."""
        batch = to_device(self._side_by_side(questions), self.device)
        ballast = len(batch.source) - len(questions)
        limits = [self._limit(len(question.ids)) for question in questions] + [1] * ballast
        begun = [model.remember(batch.source, batch.lengths, batch.copy) for model in models]
        steps, memory, state = decoding.together(models, begun)
        keys = [np.array(question.ids, np.int32).tobytes() for question in questions] + [b""] * ballast
        given = {"beam": beam, "nbest": nbest}
        found = decoding.decode(steps, memory, state, _SYMBOLS, limits, **given, manner=manner, keys=keys)
        return found[: len(questions)]

    def _side_by_side(self, questions: list[Question]) -> Batch:
        """A batch of at least `decoding.LEAST` rows, the last repeated, and of slots in sixteens: of others sums
        are taken in another order on the CPU, so that an answer's last bits would tell of what stood beside it.
        """
        rows = questions + questions[-1:] * (decoding.LEAST - len(questions))
        copies = [question.copy.ids for question in rows] if self.copies else None
        batch = collate([question.ids for question in rows], [[tokens.END]], copies)
        width = (0, -batch.source.shape[1] % 16)
        copy = None if batch.copy is None else pad(batch.copy, width)
        return batch._replace(source=pad(batch.source, width, value=tokens.PAD), copy=copy)

    def _limit(self, length: int) -> int:
        # Twice the longest answer of training, and in proportion for inputs longer than any seen.
        return 2 * self.longest.target * max(self.longest.source, length) // self.longest.source + 1

    def _answer(self, question: Question, hypothesis: decoding.Hypothesis, copied: bool) -> Answer:
        vocabulary, source, extra = self.vocabularies.target, question.labels, question.copy.extra
        target = [vocabulary.label(identity, extra) for identity in hypothesis.tokens]
        weights = hypothesis.weights
        if weights is not None:
            weights = weights[:, : len(source)].float().cpu()
            target += [tokens.SPECIAL[tokens.END]] * (len(weights) - len(target))
        text = vocabulary.decode(hypothesis.tokens, extra)
        matrix = None if weights is None else weights.numpy()
        shares = self._copied(question, hypothesis.tokens, len(target)) if copied and self.copies else ()
        return Answer(text, hypothesis.score, tuple(source), tuple(target), matrix, shares)

    @torch.inference_mode()
    def _copied(self, question: Question, written: list[int], length: int) -> tuple[float, ...]:
        target = [*written, tokens.END][:length]
        if not target:
            return ()
        batch = to_device(collate([question.ids], [target], [question.copy.ids]), self.device)
        assert batch.copy is not None
        shares = self.model.copied(batch.source, batch.lengths, batch.before, batch.target, copy=batch.copy)
        return tuple(shares[0].tolist())

    def parse(self, line: str) -> str:
        """The line itself."""
        return line

    def record(self, given: str, answers: Sequence[Answer]) -> dict[str, Any]:
        """An input, its tokens, and for each answer its tokens and weights, as JSON."""
        return {
            "source": given,
            "source_tokens": answers[0].source,
            "answers": [
                {
                    "answer": answer.text,
                    "score": round(answer.score, 6),
                    "answer_tokens": answer.target,
                    "weights": rounded(answer.weights),
                }
                for answer in answers
            ],
        }

    def sample(self) -> dict[str, Any]:
        """Two sources and targets as long as the longest of training."""
        source, target = (torch.ones(2, length, dtype=torch.long) for length in self.longest)
        lengths = torch.full((2,), self.longest.source)
        given = {"source": source, "lengths": lengths, "target": target}
        return given | {"copy": torch.zeros_like(source)} if self.copies else given

    def doubts(self, given: str) -> list[str]:
        """What a person should know before trusting the answer to a text: one line each, none for an ordinary one."""
        text = given
        if not text.strip():
            return ["the input is empty, and so is the answer"]
        encoded, doubts = self.vocabularies.source.encode(text), []
        pairs = zip(encoded.ids, encoded.labels, strict=True)
        unknown = list(dict.fromkeys(label for identity, label in pairs if identity == tokens.UNKNOWN))
        if unknown:
            doubts.append(f"never seen in training: {' '.join(unknown[:10])}{' ...' if len(unknown) > 10 else ''}")
        if len(encoded.ids) > self.most:
            return [f"too long to be read, and its answer is empty: {len(encoded.ids)} tokens, at most {self.most}"]
        if len(encoded.ids) > self.longest.source:
            doubts.append(
                f"longer than any training input: {len(encoded.ids)} tokens, at most {self.longest.source} seen"
            )
        return doubts

    def evaluate(
        self,
        pairs: Iterable[Pair],
        *,
        beam: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
        tokenize: metrics.Tokenize = "auto",
        lowercase: bool = False,
    ) -> Scores:
        """Measure on pairs; answers are greedy, the best of a beam, or drawn.

        Args:
            tokenize: what parts texts into the words of BLEU; see `metrics.text_scores`.
            lowercase: whether BLEU and chrF take capital letters for small ones.

        Raises:
            DataError: no pair is short enough to be read.
        """
        started, rows = time.perf_counter(), iter(pairs)
        answers: list[str] = []
        references: list[str] = []
        forced = TeacherForced(0.0, 0, 0, 0)
        while chunk := list(islice(rows, 4096)):
            forced = forced.plus(self.teacher_forced(chunk))
            sources = [pair.source for pair in chunk]
            answers += [best[0].text for best in self.answer(sources, beam=beam, manner=manner)]
            references += [pair.target for pair in chunk]
        if not forced.examples:
            raise DataError(f"expected pairs of at most {self.most} tokens on a side; got none of {len(references)}")
        text = metrics.text_scores(answers, references, tokenize=tokenize, lowercase=lowercase)
        return Scores(
            loss=forced.loss_sum / forced.tokens,
            loss_sum_per_example=forced.loss_sum_per_example,
            exact_match=text.exact_match,
            token_accuracy=forced.right / forced.tokens,
            bleu=text.bleu,
            chrf=text.chrf,
            bleu_signature=text.bleu_signature,
            chrf_signature=text.chrf_signature,
            rouge1=text.rouge1,
            rouge2=text.rouge2,
            rougeL=text.rougeL,
            examples=len(references),
            too_long=len(references) - forced.examples,
            seconds=time.perf_counter() - started,
        )

    @torch.inference_mode()
    def teacher_forced(self, pairs: Sequence[Pair]) -> TeacherForced:
        """Loss and right tokens when at each step the true tokens before are given, of pairs that are not too long."""
        self.model.eval()
        encoded = encode(pairs, self.vocabularies, copy=self.copies)
        lengths = [(len(source), max(len(source), len(target))) for source, target in zip(*encoded[:2], strict=True)]
        short = np.array([i for i, (_, longer) in enumerate(lengths) if longer <= self.most], np.int64)
        totals = torch.zeros(3, dtype=torch.float64)
        for some in in_order_of_length([lengths[i][0] for i in short], 128):
            counted = count(self.model, to_device(encoded.batch(short[some].tolist()), self.device))
            totals += torch.stack([part.double().cpu() for part in (counted.loss.sum(), *counted[1:3])])
        loss, target_tokens, right = totals.tolist()
        return TeacherForced(loss, int(target_tokens), int(right), len(short))
