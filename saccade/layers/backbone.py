"""Encoders of images that others have written, by their names in timm: the one file that imports it."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from saccade import masks
from saccade.attention.gates import only_places
from saccade.errors import MissingExtraError, at_least_one, first_line
from saccade.layers.convolutional import Mapped, check_images


class Backbone(nn.Module):
    """The last map of any model of timm that gives maps (Wightman 2019), with weights of chance.

    It is called as a `ConvolutionalEncoder` is. Its places are as large as its stride; what lies in padding of its map
    is zero, but padding does have an influence: a foreign model convolves, attends and normalises over all of an
    image, so that an image is the same alone and in a batch only where all images are of one size.

    Args:
        name: of the model, as `timm.list_models()` has it.
        channels: how many an image has.

    Raises:
        MissingExtraError: timm is not installed, or cannot be imported.
        ValueError: a name that timm does not have, or a model that gives no maps.
    """

    def __init__(self, name: str, channels: int = 3):
        super().__init__()
        at_least_one({"channels": channels})
        self.name, self.channels = name, channels
        library = _library()
        try:
            self.model = library.create_model(name, features_only=True, pretrained=False, in_chans=channels)
            self.dim = int(self.model.feature_info.channels()[-1])
            self.stride = int(self.model.feature_info.reduction()[-1])
        except Exception as error:  # the library raises many kinds
            raise ValueError(
                f"name must be a model of timm that gives maps; got {name!r}: {first_line(error)}"
            ) from None

    def grid(self, sizes: Int[Tensor, "*batch 2"]) -> Int[Tensor, "*batch 2"]:
        """Rows and columns of the maps of images of these sizes."""
        grid: Tensor = (sizes + self.stride - 1) // self.stride
        return grid

    def forward(self, x: Float[Tensor, "batch channels height width"], sizes: Int[Tensor, "batch 2"]) -> Mapped:
        """Encode images, `[batch, channels, height, width]`, of which the first `sizes[b]` rows and columns are real.

        Raises:
            ValueError: axes or channels that do not fit, sizes that are none, or larger than the images; an image
                that the model does not take.
        """
        x = only_places(x, check_images(x, sizes, self.channels))
        try:
            found = self.model(x)[-1]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"x must be images that {self.name} takes; got {list(x.shape)}: {first_line(error)}"
            ) from error
        if str(getattr(getattr(self.model, "output_fmt", None), "value", "NCHW")) == "NHWC":
            found = found.permute(0, 3, 1, 2)
        # Models without padding round down.
        sizes = self.grid(sizes).minimum(torch.tensor(found.shape[2:], device=sizes.device))
        mask = masks.places(sizes, *found.shape[2:])
        return Mapped(only_places(found, mask), mask, sizes)


def load_backbone(backbone: Backbone, path: Path | str) -> None:
    """Take the weights of a model of timm from a file in safetensors, as others publish them.

    What the file has beside, the head of a classifier, is left out.

    Raises:
        ValueError: no such file, no safetensors, a weight that is lacking, or one of another shape.
    """
    try:
        given = {_spelt(name): weight for name, weight in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: expected weights in safetensors; got {first_line(error)}") from None
    wanted = backbone.model.state_dict()
    found = {}
    for name, weight in wanted.items():
        new = given.get(_spelt(name))
        if new is None and name.endswith("num_batches_tracked"):
            new = weight
        if new is None:
            raise ValueError(f"{path}: expected the weights of {backbone.name}; got none for {name}")
        if new.shape != weight.shape:
            expected = f"{name} of {backbone.name} to be {list(weight.shape)}"
            raise ValueError(f"{path}: expected {expected}; got {list(new.shape)}")
        found[name] = new
    backbone.model.load_state_dict(found)


def _spelt(name: str) -> str:
    """A weight's name in a whole model and in one that gives maps, which timm writes differently."""
    return name.removeprefix("model.").replace(".", "_")


def _library() -> Any:
    try:
        import timm
    except Exception:  # with a torchvision that does not fit, many kinds
        raise MissingExtraError("timm", "backbones") from None
    return timm
