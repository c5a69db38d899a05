"""Caption: what an image shows, or what a line of text says, with the place that each word was read from."""

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
from saccade.data.images import fitted, fitted_size, read_image
from saccade.data.listed import ListFile
from saccade.models.captioner import Captioner, CaptionerConfig
from saccade.models.writer import WritingConfig
from saccade.tasks.base import rounded
from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.writer import Found, Longest, WriteTrained

MUCH = 8  # times as large, or as long as wide


class ImageCaption(NamedTuple):
    """What a captioner says of an image.

    text:    the caption.
    score:   its log-probability in nats, of the end token too; with CTC the joint score.
    file:    the image's.
    pixels:  the image as the model saw it, uint8 `[height, width, 3]`.
    target:  the caption's tokens as they read, `</s>` last where it ended by itself.
    weights: where each token looked, float32 `[token, row, column]`; None where nothing looks.
    """

    text: str
    score: float
    file: str
    pixels: NDArray[np.uint8]
    target: tuple[str, ...]
    weights: NDArray[np.float32] | None

    def line(self, scores: bool) -> str:
        """The caption; with scores its log-probability."""
        return f"{self.text}\t{self.score:.4f}" if scores else self.text


class LineText(NamedTuple):
    """What a line of text says.

    text, score, file, target: as for `ImageCaption`.
    strip:   the line as the model saw it, uint8 `[height, width, 3]`.
    weights: where each token looked, float32 `[token, slot]`; None where nothing looks.
    unit, extent: the line's length, in pixels.
    """

    text: str
    score: float
    file: str
    strip: NDArray[np.uint8]
    target: tuple[str, ...]
    weights: NDArray[np.float32] | None
    unit: str
    extent: float

    def line(self, scores: bool) -> str:
        """The text; with scores its log-probability."""
        return f"{self.text}\t{self.score:.4f}" if scores else self.text


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measures of greedy captions, or of those that a beam found."""

    exact_match: float
    """Share of captions equal to the text that stands there, or to one of them, 0 to 1."""
    bleu1: float
    """BLEU of words, pairs, triples and quadruples of them (cumulative), 0 to 100."""
    bleu2: float
    bleu3: float
    bleu4: float
    bleu_signature: str
    """How sacrebleu measured BLEU."""
    cider: float
    """CIDEr-D, as its authors scale it: 0 to 10."""
    cer: float | None
    """Edits of characters for each that should be there; None where a file has several texts."""
    wer: float | None
    """Edits of words for each that should be there."""
    images: int
    left_out: int
    """Images that are not there or cannot be read (--skip-bad)."""
    seconds: float


def image_of(path: Path, options: CaptionOptions) -> NDArray[np.uint8]:
    """The image in a file, scaled to fit, `[height, width, channels]`."""
    return fitted(read_image(path), height=options.height, width=options.width, grey=options.grey)


def new_model(options: CaptionOptions, codec: WriteCodec) -> Captioner:
    """An untrained model; `torch.manual_seed` decides its weights."""
    return Captioner(
        CaptionerConfig(
            channels=1 if options.grey else 3,
            filters=options.filters,
            halvings=options.halvings,
            depth=options.depth,
            gates=options.gates,
            backbone=options.backbone,
            read=options.read,
            rows=options.height,
            hidden=options.hidden,
            layers=options.encoder_layers,
            warp=options.warp,
            dropout=options.dropout,
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


class ImageCaptioner(WriteTrained[ImageCaption | LineText]):
    """A trained captioner; an input is the path of an image."""

    model: Captioner

    def __init__(self, model: Captioner, codec: WriteCodec, longest: Longest, options: CaptionOptions):
        super().__init__(model, codec, longest)
        self.options = options

    def array(self, path: Path) -> NDArray[np.uint8]:
        """The image in a file, scaled to fit."""
        return image_of(path, self.options)

    def real_slots(self, weights: Tensor, batch: Tensor, size: Tensor) -> Tensor:
        """The first ones, as many as the image has places."""
        rows, columns = self.model.grid(size[None].cpu())[0].tolist()
        return weights[:, : rows * columns]

    def answer_of(self, path: Path, array: NDArray[Any], found: Found) -> ImageCaption | LineText:
        """A caption, or the text of a line."""
        pixels = np.repeat(array, 3, -1) if array.shape[-1] == 1 else array
        weights = found.weights
        if self.options.read == "columns":
            width = float(pixels.shape[1])
            return LineText(found.text, found.score, str(path), pixels, found.target, weights, "px", width)
        if weights is not None:
            grid = self.model.grid(torch.tensor([array.shape[:2]]))[0].tolist()
            weights = weights.reshape(len(weights), *grid)
        return ImageCaption(found.text, found.score, str(path), pixels, found.target, weights)

    def record(self, given: Path, answers: Sequence[ImageCaption | LineText]) -> dict[str, Any]:
        """The captions, their tokens and where each looked, as JSON."""
        return {
            "file": str(given),
            "answers": [
                {
                    "text": answer.text,
                    "score": round(answer.score, 6),
                    "target_tokens": answer.target,
                    "weights": rounded(answer.weights),
                }
                for answer in answers
            ],
        }

    def doubts(self, given: Path) -> list[str]:
        """Whether so small or so long an image shows little, or it is far larger than those of the training."""
        height, width = read_image(given).shape[:2]
        h, w = fitted_size((height, width), height=self.options.height, width=self.options.width)
        size, found = f"{width} x {height} pixels", []
        if h >= MUCH * height:
            found.append(f"tiny: {size}, enlarged {h / height:.0f} times")
        if self.options.read == "regions" and max(h, w) >= MUCH * min(h, w):
            found.append(f"elongated: of {size} {w} x {h} are read")
        if h * w > 2 * self.longest.input:
            found.append(f"large: {h * w / self.longest.input:.1f} times as many pixels as the largest of the training")
        return found

    def evaluate(self, examples: ListFile, *, beam: int = 1, manner: decoding.Manner = decoding.SEARCHED) -> Scores:
        """Measure on images with their texts."""
        started = time.perf_counter()
        said, true, left_out = self.sides(examples, beam=beam, manner=manner)
        single = all(len(texts) == 1 for texts in true)
        rates = metrics.error_rates(said, [texts[0] for texts in true]) if single else None
        bleu = metrics.bleu_n(said, true)
        return Scores(
            exact_match=sum(text in texts for text, texts in zip(said, true, strict=True)) / len(said),
            bleu1=bleu[0],
            bleu2=bleu[1],
            bleu3=bleu[2],
            bleu4=bleu[3],
            bleu_signature=metrics.bleu_n_signature(said, true),
            cider=metrics.cider(said, true),
            cer=None if rates is None else rates.cer,
            wer=None if rates is None else rates.wer,
            images=len(said),
            left_out=left_out,
            seconds=time.perf_counter() - started,
        )

    def sample(self) -> dict[str, Any]:
        """Two images of the largest size."""
        options = self.options
        shape = (2, options.height, options.width or 8 * options.height, 1 if options.grey else 3)
        sizes = torch.tensor([shape[1:3]] * 2)
        target = torch.ones(2, 1, dtype=torch.long)  # a token: each takes the same steps
        return {"input": torch.zeros(shape, dtype=torch.uint8), "sizes": sizes, "target": target}
