"""The run folder: what a training leaves behind, readable by anyone who was given it.

    config.json              format version, task, options, model, data, scores
    tokenizer.json ...       what stands between words and numbers: tokenizers, labels, tags, a scale
    weights.safetensors      the best weights so far
    metrics.jsonl            one line a validation
    checkpoints/             for --resume alone; the only place with pickles, read with weights_only=True
    tensorboard/             the same figures as events
    ctranslate2/ onnx/ pt2/  the same model for other engines, where it was exported

Loading a run for use reads JSON and safetensors and nothing else. Everything is written whole or not at all.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from saccade.errors import RunError
from saccade.files import write_atomic

FORMAT = 2
# Where the parts of a model stood in format 1, and where they stand now; by task.
_MOVED = {
    "translate": {
        "target_embedding": "decoder.embedding",
        **{part: f"decoder.{part}" for part in ("attention", "cells", "start", "attentional", "output", "copier")},
    }
}
CONFIG, WEIGHTS, METRICS = "config.json", "weights.safetensors", "metrics.jsonl"
ALIGNMENT = "alignment.json"  # of a translator: which of its weights say what belongs together
CHECKPOINTS, TENSORBOARD, SCRATCH = "checkpoints", "tensorboard", "scratch"
_OURS = {CONFIG, WEIGHTS, METRICS, ALIGNMENT, CHECKPOINTS, TENSORBOARD, SCRATCH, "maps.html", "map.png"}
_OURS |= {"tokenizer-source.json", "tokenizer-target.json", "tokenizer.json", "labels.json"}
_OURS |= {"words.json", "characters.json", "tags.json", "encoder.json", "scale.json", "baseline.safetensors"}
_OURS |= {"ctranslate2", "onnx", "pt2"}  # exported from the run

Value = TypeVar("Value")


def moved(config: Mapping[str, Any]) -> dict[str, str]:
    """What is called otherwise now among the parts of a run's model: the first part of a name, and what it became.

    >>> moved({"format": 1, "task": "translate"})["attention"], moved({"format": FORMAT, "task": "translate"})
    ('decoder.attention', {})
    """
    old = config["format"] < 2 and config.get("task") in _MOVED
    return _MOVED[config["task"]] if old else {}


def renamed(weights: Mapping[str, Value], parts: Mapping[str, str]) -> dict[str, Value]:
    """Weights under the names of today, where `parts` were moved.

    >>> renamed({"output.bias": 1, "encoder.output.bias": 2}, {"output": "decoder.output"})
    {'decoder.output.bias': 1, 'encoder.output.bias': 2}
    """
    names = ((name, *name.partition(".")) for name in weights)
    return {parts.get(first, first) + dot + rest: weights[name] for name, first, dot, rest in names}


def tied(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """The names whose weights are those of an earlier name, and that name: they are stored once.

    >>> import torch
    >>> one = torch.ones(2)
    >>> tied({"embedding": one, "output": one, "other": torch.ones(2)})
    {'output': 'embedding'}
    """
    first: dict[Any, str] = {}
    found = {}
    for name, x in weights.items():
        key = (x.device, x.data_ptr(), x.shape, x.stride()) if x.numel() else name
        if first.setdefault(key, name) != name:
            found[name] = first[key]
    return found


class Run:
    """A run folder.

    >>> import tempfile
    >>> run = Run(Path(tempfile.mkdtemp()))
    >>> run.exists()
    False
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def __str__(self) -> str:
        return str(self.folder)

    def path(self, name: str) -> Path:
        """A file or folder of the run."""
        return self.folder / name

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.path(CONFIG).is_file()

    def create(self) -> None:
        """Make the folder, or take an empty one (or one that a training left before it had begun).

        Raises:
            RunError: the folder holds something else, or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self.folder.iterdir()}
        except OSError as error:
            raise RunError(f"{self}: expected a folder that can be written; got {error.strerror or error}") from None
        foreign = sorted(name for name in names - _OURS if not name.startswith("."))
        if foreign:
            raise RunError(f"{self}: expected a new or empty folder; it holds {foreign[0]}")
        self.path(CHECKPOINTS).mkdir(exist_ok=True)

    def discard_if_not_begun(self) -> None:
        """Leave nothing behind where a mistake was found before anything was trained."""
        if not self.exists() and self.folder.is_dir():
            for folder in (self.path(CHECKPOINTS), self.folder):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def read_config(self) -> dict[str, Any]:
        """The configuration, from this format or an older one.

        Raises:
            RunError: no run here, a broken file, or a format newer than this program.
        """
        path = self.path(CONFIG)
        if not self.folder.is_dir():
            raise RunError(f"{self}: expected a run folder; there is none")
        if not path.is_file():
            raise RunError(f"{self}: expected a run folder; it holds no {CONFIG}")
        try:
            config = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: expected JSON; got {error}") from None
        if not isinstance(config, dict) or not isinstance(config.get("format"), int):
            raise RunError(f"{path}: expected a run's configuration with a format number; got something else")
        if config["format"] > FORMAT:
            raise RunError(f"{path}: expected format {FORMAT} or older; got {config['format']}, of a newer saccade")
        return config

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the configuration, with this format's version in front."""
        text = json.dumps({**config, "format": FORMAT}, indent=2, ensure_ascii=False, sort_keys=True)
        write_atomic(self.path(CONFIG), text + "\n")

    def read_weights(self) -> dict[str, Tensor]:
        """The best weights, under the names of this format.

        Raises:
            RunError: no file, or a broken one; or no configuration.
        """
        path = self.path(WEIGHTS)
        if not path.is_file():
            raise RunError(f"{path}: expected trained weights; there are none (go on training with --resume)")
        try:
            weights = safetensors.torch.load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise RunError(f"{path}: expected a whole safetensors file; got {error}") from None
        return renamed(weights, moved(self.read_config()))

    def write_weights(self, weights: dict[str, Tensor]) -> None:
        """Write the best weights; what has several names under the first of them."""
        several = tied(weights)
        once = {name: tensor for name, tensor in weights.items() if name not in several}
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in once.items()}
        write_atomic(self.path(WEIGHTS), safetensors.torch.save(contiguous))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; none where the file is not there yet."""
        path = self.path(METRICS)
        try:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: expected JSON lines; got {error}") from None

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl anew: it is short, and so never has a half line."""
        write_atomic(self.path(METRICS), "".join(json.dumps(line) + "\n" for line in lines))


def take_weights(model: nn.Module, weights: Mapping[str, Tensor], run: Run) -> None:
    """Give a model weights that were read from a run.

    Raises:
        RunError: weights of another shape, naming the first.
    """
    own = model.state_dict()
    several = tied(own)
    expected = {name: list(tensor.shape) for name, tensor in own.items() if name not in several}
    found = {name: list(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            shapes = f"expected {name} of shape {expected.get(name)}; got {found.get(name)}"
            raise RunError(f"{run.path(WEIGHTS)}: {shapes}")
    model.load_state_dict({**weights} | {name: weights[first] for name, first in several.items()})
