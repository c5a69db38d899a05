"""Translators as two programs of torch.export: `encoder.pt2` and `decoder.pt2`."""

from pathlib import Path

import torch
from torch import Tensor

from saccade.errors import RunError, first_line
from saccade.export.program import Flat, Programs
from saccade.models.decoder import Step

ENCODER, DECODER = "encoder.pt2", "decoder.pt2"


def save(programs: Programs, folder: Path) -> None:
    """Write both programs, without the inputs that they were made with, which are the only pickle in such a file."""
    for program, name in ((programs.encoder, ENCODER), (programs.step, DECODER)):
        program.example_inputs = None
        torch.export.save(program, folder / name)


class ProgramModel:
    """The steps of a translator, run by PyTorch without our models: anything of `saccade.decoding` can search them.

    Args:
        folder: what `save` wrote.

    Raises:
        RunError: a file that is not there, or no program.
    """

    def __init__(self, folder: Path):
        self._encoder, self._decoder = (_load(folder / name) for name in (ENCODER, DECODER))

    def remember(self, source: Tensor, lengths: Tensor, copy: Tensor | None = None) -> tuple[Flat, Flat]:
        """Read a batch of sources: what the decoder will read, and its first state."""
        given = (source, lengths) if copy is None else (source, lengths, copy)
        memory, state = self._encoder(*given)
        return memory, state

    def step(self, token: Tensor, source: Flat, state: Flat) -> Step:
        """Read the previous token `[batch]` and predict the next."""
        return Step(*self._decoder(token, source, state))


def _load(path: Path) -> torch.nn.Module:
    try:
        return torch.export.load(path).module()
    except Exception as error:  # torch.export has errors of many kinds
        raise RunError(f"{path}: expected a program of torch.export; got {first_line(error)}") from None
