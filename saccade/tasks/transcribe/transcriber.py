"""Transcribe: what is said in a recording, with the moment that each token was heard at."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade import decoding, metrics
from saccade.data.listed import ListFile
from saccade.data.recordings import FrontEnd, doubts, features_of, kind_of, read_recording
from saccade.errors import DataError
from saccade.models.recognizer import Recognizer, RecognizerConfig
from saccade.models.writer import WritingConfig
from saccade.tasks.base import rounded
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.writer import Found, Longest, WriteTrained


class Transcript(NamedTuple):
    """What is said in a recording.

    text:    the words.
    score:   its log-probability in nats, of the end token too; with CTC the joint score.
    file:    the recording's.
    strip:   its features as the model read them, float32 `[feature, frame]`; of sound the highest band first.
    target:  the tokens as they read, `</s>` last where the text ended by itself.
    weights: when each token was heard, float32 `[token, slot]`; None where nothing looks.
    unit, extent: how long the recording is, in seconds; of ready features in frames.
    """

    text: str
    score: float
    file: str
    strip: NDArray[np.float32]
    target: tuple[str, ...]
    weights: NDArray[np.float32] | None
    unit: str
    extent: float

    def line(self, scores: bool) -> str:
        """The words; with scores their log-probability."""
        return f"{self.text}\t{self.score:.4f}" if scores else self.text


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measures of greedy transcripts, or of those that a beam found."""

    wer: float
    """Edits of words for each that should be there: substitutions, deletions and insertions."""
    cer: float
    """Edits of characters for each that should be there."""
    exact_match: float
    """Share of recordings whose text is right whole, 0 to 1."""
    substitutions: int
    """Of words; so are the next two."""
    deletions: int
    insertions: int
    words: int
    recordings: int
    left_out: int
    """Recordings that are not there or cannot be read (--skip-bad)."""
    seconds: float


def front_of(options: TranscribeOptions) -> FrontEnd:
    """How a file becomes features."""
    return FrontEnd(rate=options.rate, mels=options.mels, deltas=options.deltas, normalize=options.normalize)


def new_model(options: TranscribeOptions, codec: WriteCodec) -> Recognizer:
    """An untrained model; `torch.manual_seed` decides its weights."""
    return Recognizer(
        RecognizerConfig(
            features=len(codec.mean),
            encoder=options.encoder,
            hidden=options.hidden,
            layers=options.encoder_layers,
            halvings=options.halvings,
            dropout=options.dropout,
            streaming=options.streaming,
            frequency_mask=options.frequency_mask,
            time_mask=options.time_mask,
            masks=options.masks,
            copies=1 + options.deltas,
            mean=codec.mean,
            std=codec.std,
            writing=WritingConfig(
                vocab=codec.vocabulary.size,
                attention=options.attention,
                decoder=options.decoder,
                attend=options.attend,
                embedding=options.embedding,
                hidden=options.hidden,
                layers=options.layers,
                heads=options.heads,
                dropout=options.dropout,
                ctc=options.ctc,
            ),
        )
    )


class Transcriber(WriteTrained[Transcript]):
    """A trained recogniser; an input is the path of a recording, or of its features."""

    model: Recognizer

    def __init__(self, model: Recognizer, codec: WriteCodec, longest: Longest, options: TranscribeOptions):
        super().__init__(model, codec, longest)
        self.options = options

    def array(self, path: Path) -> NDArray[np.float32]:
        """The features of a recording."""
        features = features_of(path, front_of(self.options))
        self.codec.check(path, kind_of([path]), features.shape[1])
        return features

    def written(
        self,
        arrays: Sequence[NDArray[Any]],
        *,
        beam: int = 1,
        nbest: int = 1,
        manner: decoding.Manner = decoding.SEARCHED,
        share: float | None = None,
    ) -> list[list[Found]]:
        """The texts for arrays; a streaming model that takes each best token does so as it listens, without CTC, whose
        probability of a beginning is known at the end.
        """
        if share is None and max(beam, nbest) == 1:
            share = self.options.share_of_greedy
        return super().written(arrays, beam=beam, nbest=nbest, manner=manner, share=share)

    def real_slots(self, weights: Tensor, batch: Tensor, size: Tensor) -> Tensor:
        """The first slots, as many as the recording's frames make."""
        slots = int(self.model.encoder.halved(size)[0])
        return weights[:, :slots]

    def answer_of(self, path: Path, array: NDArray[Any], found: Found) -> Transcript:
        """A transcript."""
        recorded = self.codec.kind == "recordings"
        unit, extent = ("s", len(array) * FrontEnd.hop) if recorded else ("frames", float(len(array)))
        # A spectrogram has its low frequencies at the bottom, and no deltas.
        strip = array[:, : self.options.mels].T[::-1] if recorded else array.T
        return Transcript(found.text, found.score, str(path), strip, found.target, found.weights, unit, extent)

    def record(self, given: Path, answers: Sequence[Transcript]) -> dict[str, Any]:
        """The transcripts, their tokens and when each was heard, as JSON."""
        return {
            "file": str(given),
            "answers": [
                {
                    "text": answer.text,
                    "score": round(answer.score, 6),
                    "target_tokens": answer.target,
                    "unit": answer.unit,
                    "extent": round(answer.extent, 6),
                    "weights": rounded(answer.weights),
                }
                for answer in answers
            ],
        }

    def evaluate(self, examples: ListFile, *, beam: int = 1, manner: decoding.Manner = decoding.SEARCHED) -> Scores:
        """Measure on recordings with their texts."""
        started = time.perf_counter()
        said, true, left_out = self.sides(examples, beam=beam, manner=manner)
        references = [_only(texts) for texts in true]
        rates = metrics.error_rates(said, references)
        return Scores(
            wer=rates.wer,
            cer=rates.cer,
            exact_match=sum(a == b for a, b in zip(said, references, strict=True)) / len(said),
            substitutions=rates.substitutions,
            deletions=rates.deletions,
            insertions=rates.insertions,
            words=rates.words,
            recordings=len(said),
            left_out=left_out,
            seconds=time.perf_counter() - started,
        )

    def doubts(self, given: Path) -> list[str]:
        """What is odd about a recording."""
        return doubts(read_recording(given), self.options.rate) if self.codec.kind == "recordings" else []

    def sample(self) -> dict[str, Any]:
        """Two recordings of the largest size."""
        frames = torch.zeros(2, self.longest.input, len(self.codec.mean))
        sizes = torch.full((2, 1), self.longest.input)
        return {"input": frames, "sizes": sizes, "target": torch.ones(2, 1, dtype=torch.long)}


def _only(texts: tuple[str, ...]) -> str:
    """The text of a recording.

    Raises:
        DataError: it has several.
    """
    if len(set(texts)) > 1:
        raise DataError(f"expected one text of each recording; got {texts[0]!r} and {texts[1]!r} of one")
    return texts[0]
