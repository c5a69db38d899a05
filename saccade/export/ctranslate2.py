"""Translators whose halves are both Transformers, run by CTranslate2."""

from collections.abc import Sequence
from math import isclose, log2
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from saccade import decoding
from saccade.data import tokens
from saccade.data.paircorpus import Vocabularies
from saccade.errors import DataError, OptionError, RunError, first_line
from saccade.export.spec import library, names
from saccade.export.translator import Exported
from saccade.tasks.translate.translator import Longest, Question

_PATIENCE = 2.0
"""Under a penalty a beam ends with so many times as many answers as it is wide (Kasai et al. 2022): of 400 sentences
one had another answer than our own search's; with 1.0 sixteen had, in three quarters of the time."""
_BANNED = [[tokens.SPECIAL[identity]] for identity in (tokens.PAD, tokens.START, tokens.UNKNOWN)]


class _One(NamedTuple):
    """An answer, and whether it ended by itself."""

    ended: bool
    hypothesis: decoding.Hypothesis


_Found: TypeAlias = list[_One]


class CTranslate2(Exported):
    """A translator that CTranslate2 runs.

    What is never written is taken out before probabilities are made, not after, so that scores are a little higher
    than our own where a model gives such tokens any probability. Beams end as CTranslate2 ends them, under a penalty of
    length later than it would by itself, but for early ends; answers that are cut at the limit stand behind those that
    ended.

    Args:
        folder: what `save` wrote.
        positions: how many places there are; 0: no end.
    """

    def __init__(self, folder: Path, vocabularies: Vocabularies, longest: Longest, *, positions: int):
        super().__init__("ctranslate2", vocabularies, longest)
        self.positions, threads = positions, torch.get_num_threads()
        try:
            self._model = library().Translator(str(folder), device="cpu", intra_threads=threads)
        except (RuntimeError, ValueError) as error:
            raise RunError(f"{folder}: expected a model of CTranslate2; got {first_line(error)}") from None
        self._names = names(vocabularies.source)
        self._ids = {name: identity for identity, name in enumerate(names(vocabularies.target))}

    def _search(
        self, questions: list[Question], beam: int, nbest: int, manner: decoding.Manner
    ) -> list[list[decoding.Hypothesis]]:
        if manner.sampling is not None:
            raise OptionError("--sample draws as our own engine draws; got --engine ctranslate2")
        alpha, width = exponent(manner.penalty), max(beam, nbest)
        how = {
            "beam_size": width,
            "length_penalty": alpha,
            "patience": _PATIENCE if alpha and not manner.early else 1.0,
        }
        found: dict[int, _Found] = {}
        for limit, rows in self._by_limit(questions).items():
            asked = {row: [self._names[identity] for identity in questions[row].ids] for row in rows}
            some = self._asked(asked, limit, nbest, how)
            # Where the best is cut, another that ended may stand behind it.
            cut = {row: asked[row] for row in rows if width > nbest and not all(one.ended for one in some[row])}
            found |= some | (self._asked(cut, limit, width, how) if cut else {})
        ordered = (sorted(found[row], key=lambda one: not one.ended) for row in range(len(questions)))
        return [[one.hypothesis for one in some[:nbest]] for some in ordered]

    def _asked(self, questions: dict[int, list[str]], limit: int, nbest: int, how: dict[str, Any]) -> dict[int, _Found]:
        """What CTranslate2 finds for some questions."""
        results = self._model.translate_batch(
            list(questions.values()),
            **how,
            num_hypotheses=nbest,
            suppress_sequences=_BANNED,
            max_input_length=0,
            max_decoding_length=limit,
            min_decoding_length=0,
            return_scores=True,
            return_attention=True,
            return_end_token=True,
        )
        return {row: self._found(result, how["length_penalty"]) for row, result in zip(questions, results, strict=True)}

    def _found(self, result: Any, alpha: float) -> _Found:
        """The answers to one question as CTranslate2 ranks them."""
        found = []
        for said, rank, looked in zip(result.hypotheses, result.scores, result.attention, strict=True):
            written = [self._ids[name] for name in said]
            ended = written[-1:] == [tokens.END]
            whole = decoding.Hypothesis(
                written[:-1] if ended else written, rank * len(written) ** alpha, torch.tensor(looked)
            )
            found.append(_One(ended, whole))
        return found

    def _by_limit(self, questions: Sequence[Question]) -> dict[int, list[int]]:
        """Which questions may have answers of so many tokens: one call knows but one limit."""
        rows: dict[int, list[int]] = {}
        for row, question in enumerate(questions):
            length = len(question.ids)
            if self.positions and length > self.positions:
                most = f"at most {self.positions} tokens, to which its places were exported"
                raise DataError(f"expected an input of {most}; got {length}")
            limit = self._limit(length)
            rows.setdefault(min(limit, self.positions) if self.positions else limit, []).append(row)
        return rows


def exponent(penalty: decoding.Penalty | None) -> float:
    """The alpha of a penalty `|Y|^alpha`.

    Raises:
        OptionError: another penalty, which CTranslate2 has not.

    >>> exponent(decoding.power(0.5)), exponent(None)
    (0.5, 0.0)
    """
    if penalty is None:
        return 0.0
    alpha = round(log2(penalty(2)), 12)
    if not isclose(penalty(7), 7**alpha):
        raise OptionError("--penalty must be power with --engine ctranslate2, which has no other; got wu")
    return alpha
