"""Translators as two graphs of ONNX, which onnxruntime runs: `encoder.onnx` and `decoder.onnx`."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saccade.errors import ExportError, MissingExtraError, RunError, first_line
from saccade.export.program import Flat, Programs
from saccade.models.decoder import Step

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"


def save(programs: Programs, folder: Path) -> None:
    """Write both programs as graphs.

    Raises:
        ExportError: an operator that ONNX has not.
        MissingExtraError: the exporter's libraries are not installed.
    """
    counts = {"memory": programs.memory, "state": programs.state}
    memory, state = ([f"{name}_{i}" for i in range(count)] for name, count in counts.items())
    shown = ["weights"] if programs.weights else []
    after = [f"next_{name}" for name in state]
    with _quiet():
        _save(programs.encoder, [*memory, *state], folder / ENCODER)
        _save(programs.step, ["logits", *shown, *after], folder / DECODER)


def _save(program: Any, outputs: Sequence[str], path: Path) -> None:
    try:
        for name in ("onnx", "onnxscript"):
            import_module(name)
        graph = torch.onnx.export(program, dynamo=True, verbose=False, output_names=outputs)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "onnxscript", "export") from None
    except Exception as error:  # the exporter has errors of many kinds
        raise ExportError(f"the ONNX exporter cannot write {path.name}: {first_line(error)}") from error
    assert graph is not None
    graph.save(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's talk of operators that nobody uses here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class OnnxModel:
    """The steps of a translator, run by onnxruntime on the CPU: anything of `saccade.decoding` can search them.

    Args:
        folder: what `save` wrote.
        memory: how many tensors the memory is.
        weights: whether the decoder shows weights.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        RunError: a file that is not there, or no graph.
    """

    def __init__(self, folder: Path, *, memory: int, weights: bool):
        try:
            runtime: Any = import_module("onnxruntime")
        except ModuleNotFoundError:
            raise MissingExtraError("onnxruntime", "export") from None
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        self._encoder, self._decoder = (_session(runtime, folder / name, options) for name in (ENCODER, DECODER))
        self._memory, self._weights = memory, weights

    def remember(self, source: Tensor, lengths: Tensor, copy: Tensor | None = None) -> tuple[Flat, Flat]:
        """Read a batch of sources: what the decoder will read, and its first state."""
        found = _run(self._encoder, [source, lengths] if copy is None else [source, lengths, copy])
        return found[: self._memory], found[self._memory :]

    def step(self, token: Tensor, source: Flat, state: Flat) -> Step:
        """Read the previous token `[batch]` and predict the next."""
        logits, *rest = _run(self._decoder, [token, *source, *state])
        return Step(logits, rest[0] if self._weights else None, tuple(rest[self._weights :]))


def _session(runtime: Any, path: Path, options: Any) -> Any:
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has errors of many kinds
        raise RunError(f"{path}: expected a graph of ONNX; got {first_line(error)}") from None


def _run(session: Any, inputs: Sequence[Tensor]) -> Flat:
    named = {one.name: x.contiguous().numpy() for one, x in zip(session.get_inputs(), inputs, strict=True)}
    return tuple(map(torch.from_numpy, session.run(None, named)))
