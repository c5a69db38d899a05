"""The task of writing down what is said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from saccade.data.recordings import features_of, kind_of
from saccade.models.recognizer import Recognizer
from saccade.runs import Run
from saccade.tasks.base import Figures
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.transcribe.transcriber import Transcriber, front_of, new_model
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.learner import WriteLearner
from saccade.tasks.write.task import WriteTask
from saccade.tasks.write.writer import longest_of


class Transcribe(WriteTask[TranscribeOptions]):
    """Recordings with transcripts, a pyramidal encoder with a decoder that attends, and words."""

    name, noun, options, columns = "transcribe", "recordings", TranscribeOptions, ("audio", "text")

    def array(self, path: Path, options: TranscribeOptions) -> NDArray[Any]:
        """The features of a recording."""
        return features_of(path, front_of(options))

    def kind(self, paths: Sequence[Path]) -> str:
        """Recordings, or features that are ready."""
        return kind_of(paths)

    def scaled(self, options: TranscribeOptions) -> bool:
        """Recordings that are standardised one by one are so already."""
        return options.normalize == "training"

    def new_model(self, options: TranscribeOptions, codec: WriteCodec) -> Recognizer:
        """An untrained recogniser."""
        return new_model(options, codec)

    def learner(self, model: Recognizer, options: TranscribeOptions, codec: WriteCodec) -> WriteLearner:
        """Teacher forcing and CTC, and for monotonic attention that each token looks once."""
        return WriteLearner(model, options, quantity=options.quantity if options.monotonic else 0.0)

    def trained(self, model: Recognizer, codec: WriteCodec, options: TranscribeOptions, run: Run) -> Transcriber:
        """A recogniser in use."""
        return Transcriber(model, codec, longest_of(run), options)

    def headline(self, figures: Figures) -> str:
        """Loss, edits and exact match."""
        return f"loss {figures['loss']:.4f} errors {figures['error_rate']:.1%} exact {figures['exact_match']:.1%}"
