"""A translator whose encoder and decoder are programs: searched step by step, with our own decoding."""

from pathlib import Path
from typing import Any

from saccade import decoding
from saccade.data.paircorpus import Vocabularies
from saccade.export import Target
from saccade.export.translator import Exported
from saccade.tasks.translate.translator import Longest, Question


class Stepping(Exported):
    """A translator that onnxruntime runs, or PyTorch from programs: beams, penalties and drawing are our own.

    Args:
        folder: an exported run.
        engine: "onnx" or "pt2".
        program: how many tensors the memory is, whether weights are shown, whether the model copies.
    """

    def __init__(
        self, folder: Path, engine: Target, vocabularies: Vocabularies, longest: Longest, program: dict[str, Any]
    ):
        super().__init__(engine, vocabularies, longest, copies=program["copies"])
        if engine == "onnx":
            from saccade.export.onnx import OnnxModel

            self._steps: Any = OnnxModel(folder, memory=program["memory"], weights=program["weights"])
        else:
            from saccade.export.pt2 import ProgramModel

            self._steps = ProgramModel(folder)

    def _search(
        self, questions: list[Question], beam: int, nbest: int, manner: decoding.Manner
    ) -> list[list[decoding.Hypothesis]]:
        return self.found_by([self._steps], questions, beam, nbest, manner)
