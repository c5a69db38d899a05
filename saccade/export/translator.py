"""A translator whose model another engine runs: the same questions, and the same answers."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from saccade import decoding
from saccade.data.paircorpus import Vocabularies
from saccade.data.pairs import Pair
from saccade.errors import OptionError
from saccade.export import Target
from saccade.metrics import Tokenize
from saccade.tasks.translate.scores import Scores
from saccade.tasks.translate.translator import Longest, Question, Translator


class Exported(Translator):
    """What the translators of all engines have; a subclass says how one searches."""

    def __init__(self, engine: Target, vocabularies: Vocabularies, longest: Longest, *, copies: bool = False):
        self.engine, self.vocabularies, self.longest, self.others = engine, vocabularies, longest, ()
        self._copies = copies

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def copies(self) -> bool:
        """Whether words of the source can be copied."""
        return self._copies

    @property
    def most(self) -> int:
        """How many tokens a text may have: an engine that has an end refuses what is longer."""
        return sys.maxsize

    def joined(self, others: Sequence[Translator]) -> Translator:
        """Refused: models of several engines have no steps in common."""
        raise OptionError(f"--ensemble is for runs that our own engine runs; got one that {self.engine} runs")

    def evaluate(
        self,
        pairs: Iterable[Pair],
        *,
        beam: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
        tokenize: Tokenize = "auto",
        lowercase: bool = False,
    ) -> Scores:
        """Refused: the losses of given answers are asked of the run itself."""
        raise OptionError(f"evaluate is for runs; got a folder that was exported to {self.engine}")

    def sample(self) -> dict[str, Any]:
        """Refused: there are no layers to be listed."""
        raise OptionError(f"describe is for runs; got a folder that was exported to {self.engine}")

    def _copied(self, question: Question, written: list[int], length: int) -> tuple[float, ...]:
        return ()
