"""The task of saying what an image shows, or what a line of text says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from saccade.errors import OptionError
from saccade.layers.backbone import Backbone, load_backbone
from saccade.models.captioner import Captioner
from saccade.runs import Run
from saccade.tasks.base import Figures, Say
from saccade.tasks.caption.captioner import ImageCaptioner, image_of, new_model
from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.learner import WriteLearner
from saccade.tasks.write.task import WriteTask
from saccade.tasks.write.writer import longest_of


class Caption(WriteTask[CaptionOptions]):
    """Images with texts, a convolutional encoder with a decoder that attends, and captions."""

    name, noun, options, columns = "caption", "images", CaptionOptions, ("image", "caption")

    def array(self, path: Path, options: CaptionOptions) -> NDArray[Any]:
        """An image, scaled to fit."""
        return image_of(path, options)

    def kind(self, paths: Sequence[Path]) -> str:
        """Images, whatever their names."""
        return self.noun

    def new_model(self, options: CaptionOptions, codec: WriteCodec) -> Captioner:
        """An untrained captioner."""
        return new_model(options, codec)

    def begin(self, model: Captioner, options: CaptionOptions, codec: WriteCodec, say: Say) -> None:
        """Take the weights of a backbone where the options name some."""
        if options.backbone_weights is not None and isinstance(model.image, Backbone):
            try:
                load_backbone(model.image, options.backbone_weights)
            except ValueError as error:
                raise OptionError(f"--backbone-weights {error}") from None
            say(f"the backbone begins with {options.backbone_weights}")

    def learner(self, model: Captioner, options: CaptionOptions, codec: WriteCodec) -> WriteLearner:
        """Teacher forcing, CTC, and that every place is looked at."""
        return WriteLearner(model, options, doubly_stochastic=options.doubly_stochastic)

    def trained(self, model: Captioner, codec: WriteCodec, options: CaptionOptions, run: Run) -> ImageCaptioner:
        """A captioner in use."""
        return ImageCaptioner(model, codec, longest_of(run), options)

    def headline(self, figures: Figures) -> str:
        """Loss, edits and exact match."""
        return f"loss {figures['loss']:.4f} errors {figures['error_rate']:.1%} exact {figures['exact_match']:.1%}"
