"""An encoder that others have trained, in a task: from its folder into a run, and the rates at which it learns."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from saccade.data.pieces import Pieces
from saccade.errors import OptionError, RunError, SaccadeError
from saccade.files import write_atomic
from saccade.layers.pretrained import PretrainedEncoder, read_config, read_tokenizer
from saccade.runs import Run
from saccade.tasks.base import Say
from saccade.tasks.pretraining import Pretraining

ENCODER = "encoder.json"
Config = dict[str, Any]


def taken(options: Pretraining, *, apart: bool = False) -> tuple[Config, Pieces] | tuple[None, None]:
    """The configuration and the tokenizer of the encoder that options name; None twice where they name none.

    Args:
        apart: whether what is read are words that stand apart.

    Raises:
        OptionError: naming the folder and what is wrong in it.
        MissingExtraError: the library is not installed.
    """
    if options.pretrained is None:
        return None, None
    folder = Path(options.pretrained)
    try:
        config = read_config(folder)
        pieces = Pieces(read_tokenizer(folder), apart=apart)
        size = int(config.get("vocab_size", pieces.size))
        if pieces.size > size:
            raise ValueError(f"expected a tokenizer of the model's {size} pieces; got one of {pieces.size}")
    except SaccadeError:
        raise
    except ValueError as error:
        raise OptionError(f"--pretrained {folder}: {error}") from None
    return config, pieces


def write(run: Run, config: Config | None) -> None:
    """Write the configuration of an encoder into a run folder, if there is one."""
    if config is not None:
        write_atomic(run.path(ENCODER), json.dumps(config, ensure_ascii=False, indent=2) + "\n")


def read(run: Run) -> Config:
    """The configuration of the encoder of a run.

    Raises:
        RunError: no such file, or a broken one.
    """
    path = run.path(ENCODER)
    try:
        config = json.loads(path.read_text("utf-8"))
        if not isinstance(config, dict):
            raise ValueError("something else than an object")
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: expected the configuration of an encoder; got {error}") from None
    return config


def untrained(options: Pretraining, config: Config | None, *, heads: int = 1) -> PretrainedEncoder | None:
    """The encoder of a configuration, with weights of chance; None where there is none.

    Args:
        heads: that share its states.

    Raises:
        OptionError: a configuration that the library does not take, one to freeze that is not there, or heads that do
            not divide it.
    """
    if config is None:
        if options.freeze:
            raise OptionError("--freeze needs the encoder of --pretrained; there is none")
        return None
    try:
        encoder = PretrainedEncoder(config, frozen=options.freeze)
    except SaccadeError:
        raise
    except ValueError as error:
        raise OptionError(f"--pretrained {options.pretrained}: {error}") from None
    if encoder.dim % heads:
        raise OptionError(f"--heads must divide the width of the encoder of --pretrained, {encoder.dim}; got {heads}")
    return encoder


def begin(encoder: PretrainedEncoder, options: Pretraining, say: Say) -> None:
    """Give an encoder the weights of its folder.

    Raises:
        OptionError: weights that are not whole.
    """
    assert options.pretrained is not None
    try:
        encoder.load(Path(options.pretrained))
    except ValueError as error:
        raise OptionError(f"--pretrained {options.pretrained}: {error}") from None
    count = sum(parameter.numel() for parameter in encoder.parameters())
    further = f"trained further (--pretrained-rate {options.pretrained_rate:g})"
    how = "kept as it is (--freeze)" if options.freeze else further
    say(f"{options.pretrained}: an encoder of {count:,} parameters, {how}")


def rates(learner: nn.Module, encoder: nn.Module | None, options: Pretraining) -> list[dict[str, Any]]:
    """The parameters that are trained, with their highest learning rates: an encoder has one of its own."""
    inside = set() if encoder is None else {id(parameter) for parameter in encoder.parameters()}
    own = [parameter for parameter in learner.parameters() if id(parameter) not in inside]
    slow = [parameter for parameter in learner.parameters() if id(parameter) in inside and parameter.requires_grad]
    groups = [{"params": own, "lr": options.learning_rate}, {"params": slow, "lr": options.pretrained_rate}]
    return [group for group in groups if group["params"]]
