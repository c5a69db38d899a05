"""What the trained models that write down files have in common: files to arrays, arrays to texts."""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade import decoding
from saccade.data.listed import ListFile
from saccade.data.tokens import END, SPECIAL
from saccade.data.writtencorpus import collate
from saccade.errors import DataError, OptionError, RunError
from saccade.models.writer import Writer
from saccade.runs import CONFIG, Run
from saccade.tasks.base import Searching, answered
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.search import search

AnswerT = TypeVar("AnswerT")


class Longest(NamedTuple):
    """The largest input (places, frames) and the longest text (tokens) of the training files."""

    input: int
    target: int


class Found(NamedTuple):
    """A text for an array: tokens as they read, `</s>` last where it ended by itself, log-probability, and weights over
    slots, float32 `[token, slot]`, None where nothing looks.
    """

    text: str
    target: tuple[str, ...]
    score: float
    weights: NDArray[np.float32] | None


class Sides(NamedTuple):
    """What was written, what should have been (one text or several), and how many files were left out."""

    said: list[str]
    true: list[tuple[str, ...]]
    left_out: int


class WriteTrained(Searching[Path], Generic[AnswerT]):
    """A trained writer; an input is the path of a file. A subclass says how it is read, and what an answer is."""

    model: Writer

    def __init__(self, model: Writer, codec: WriteCodec, longest: Longest):
        self.model, self.codec, self.longest = model.eval(), codec, longest

    @abstractmethod
    def array(self, path: Path) -> NDArray[Any]:
        """What a file holds.

        Raises:
            DataError: it cannot be read.
        """

    @abstractmethod
    def answer_of(self, path: Path, array: NDArray[Any], found: Found) -> AnswerT:
        """An answer, with what was looked at."""

    def parse(self, line: str) -> Path:
        """The path of a file that is there."""
        path = Path(line.strip())
        if not path.is_file():
            raise DataError(f"expected the path of a file; got {line.strip()!r}, which is not there")
        return path

    def each(self, files: Any) -> Any:
        """The paths in lists."""
        return (listed.path for listed in files)

    def answer(self, inputs: Sequence[Path]) -> list[AnswerT]:
        """The answer to each file, greedy; it does not depend on the others."""
        return [best[0] for best in self.answers(inputs)]

    def answers(
        self,
        inputs: Sequence[Path],
        *,
        beam: int = 1,
        nbest: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
    ) -> list[list[AnswerT]]:
        """The `nbest` best answers to each file, best first; fewer where the search found fewer. Or so many drawn.

        Raises:
            OptionError: a beam for a model that does not search: CTC alone takes the best path.
            DataError: a file that cannot be read.
        """
        if min(beam, nbest) < 1:
            raise OptionError(f"--beam and --nbest must be at least 1; got {beam} and {nbest}")
        if self.model.decoder is None and (beam, nbest) != (1, 1):
            raise OptionError(f"--beam and --nbest need a decoder, which this run has not; got {beam} and {nbest}")
        arrays = [self.array(path) for path in map(Path, inputs)]
        found = self.written(arrays, beam=beam, nbest=nbest, manner=manner)
        return [
            [self.answer_of(path, array, one) for one in best]
            for path, array, best in zip(map(Path, inputs), arrays, found, strict=True)
        ]

    def written(
        self,
        arrays: Sequence[NDArray[Any]],
        *,
        beam: int = 1,
        nbest: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
        share: float | None = None,
    ) -> list[list[Found]]:
        """The texts for arrays; those of like size are searched together.

        Args:
            share: of CTC in the score of a text; None: that of the training.

        Raises:
            OptionError: a text is to be drawn, or a penalty of length is given, where CTC takes its best path.
        """
        if self.model.decoder is None and manner != decoding.SEARCHED:
            raise OptionError("--length-penalty and --sample need a decoder, which this run has not")

        def run(some: list[NDArray[Any]]) -> list[list[Found]]:
            input, sizes = (part.to(self.device) for part in collate(some))
            limits = [self.limit(int(np.prod(array.shape[:-1]))) for array in some]
            keys = [array.tobytes() for array in some]
            with torch.inference_mode():
                best = search(
                    self.model,
                    input,
                    sizes,
                    limits,
                    beam=beam,
                    nbest=nbest,
                    manner=manner,
                    keys=keys,
                    share=share,
                )
            return [self._found(row, hypotheses, input, sizes) for row, hypotheses in enumerate(best)]

        return answered(run, arrays, lambda array: int(np.prod(array.shape[:-1])))

    def limit(self, size: int) -> int:
        """How many tokens may be written of an input of so many places: twice as many as the longest text of training
        has, and in proportion more for inputs larger than any there.
        """
        return 2 * self.longest.target * max(self.longest.input, size) // self.longest.input + 1

    def _found(self, row: int, hypotheses: list[decoding.Hypothesis], input: Tensor, sizes: Tensor) -> list[Found]:
        found = []
        for hypothesis in hypotheses:
            target = [self.codec.vocabulary.label(i) for i in hypothesis.tokens]
            weights = None
            if hypothesis.weights is not None:
                weights = self.real_slots(hypothesis.weights.float().cpu(), input, sizes[row]).numpy()
                target += [SPECIAL[END]] * (len(weights) - len(target))
            text = self.codec.vocabulary.decode(hypothesis.tokens)
            found.append(Found(text, tuple(target), hypothesis.score, weights))
        return found

    @abstractmethod
    def real_slots(self, weights: Tensor, batch: Tensor, size: Tensor) -> Tensor:
        """The weights `[token, slot]` of one example of a batch, without the slots under its padding."""

    def sides(self, examples: ListFile, *, beam: int = 1, manner: decoding.Manner = decoding.SEARCHED) -> "Sides":
        """What is written for each file of some lists, and the texts that stand there; a file may stand there often.

        Raises:
            OptionError: a beam for CTC alone.
            DataError: a file that cannot be read, or none that can.
        """
        if self.model.decoder is None and beam != 1:
            raise OptionError(f"--beam needs a decoder, which this run has not; got {beam}")
        listed = sorted(examples, key=lambda one: str(one.path))
        grouped = [(path, tuple(some)) for path, some in groupby(listed, key=lambda one: one.path)]
        said: list[str] = []
        true: list[tuple[str, ...]] = []
        for begin in range(0, len(grouped), 256):
            arrays = []
            for path, some in grouped[begin : begin + 256]:
                try:
                    arrays.append(self.array(path))
                except DataError:
                    if not examples.skip_bad:
                        raise
                    continue
                true.append(tuple(text for one in some for text in one.texts))
            said += [best[0].text for best in self.written(arrays, beam=beam, manner=manner)]
        if not said:
            raise DataError(f"{examples}: expected some files that can be read; got none of {len(grouped)}")
        return Sides(said, true, examples.missing + len(grouped) - len(said))


def longest_of(run: Run) -> Longest:
    """How large inputs and texts of a run's training were.

    Raises:
        RunError: its configuration does not say.
    """
    try:
        return Longest(**run.read_config()["data"]["longest"])
    except (KeyError, TypeError):
        raise RunError(f"{run.path(CONFIG)}: expected data.longest with input and target; got none") from None
