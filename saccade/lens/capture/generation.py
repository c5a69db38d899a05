"""Generations and compiled models, watched: where one begins, which tokens came out, which beams survived."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from saccade.lens.capture.recorder import Mark, Recorder, active
from saccade.lens.capture.swaps import swap

TOKENS = ("input_ids", "attention_mask", "decoder_input_ids")


def swap_generate(recorder: Recorder, model: nn.Module) -> None:
    """Watch `model.generate`, where the model is Hugging Face's."""
    if hasattr(model, "generate") and hasattr(model, "generation_config"):
        swap(recorder, model.__dict__, "generate", cast(Any, model.generate), _Generate(model))


def swap_compiled(recorder: Recorder, model: nn.Module) -> None:
    """Watch modules that were compiled in place, whose hooks are part of what was compiled."""
    for module in model.modules():
        compiled = getattr(module, "_compiled_call_impl", None)
        if compiled is not None:
            swap(recorder, module.__dict__, "_compiled_call_impl", compiled, _Compiled(module))


def note_tokens(recorder: Recorder, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Remember the tokens that the model is given, if it is given any."""
    named = dict(zip(TOKENS, (x for x in args[:2] if _tokens(x)), strict=False))
    named |= {name: given[name] for name in TOKENS if _tokens(given.get(name))}
    if named:
        recorder.inputs.append({name: x.detach() for name, x in named.items()})


def _tokens(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() == 2 and not x.is_floating_point()


class _Generate:
    """Watches a generation; with beams it is told to return which of them survived."""

    def __init__(self, model: Any):
        self.model = model

    def enter(self, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[list[Recorder], bool]:
        """Whoever looks at this model in this thread, and whether the caller wants the tokens alone."""
        lookers = [recorder for recorder in active if recorder.names.get(id(self.model)) == "" and recorder.mine()]
        alone = False
        if (
            lookers
            and self._asked("num_beams", given, 1) > 1
            and not self._asked("return_dict_in_generate", given, False)
        ):
            given["return_dict_in_generate"] = alone = True
        for recorder in lookers:
            inputs = {"input_ids": given["inputs"]} if _tokens(given.get("inputs")) else {}
            note_tokens(recorder, args, inputs | given)
            recorder.raw.append(Mark("generate", len(recorder.inputs)))
            recorder.generating += 1
        return lookers, alone

    def leave(
        self, state: tuple[list[Recorder], bool], args: tuple[Any, ...], given: dict[str, Any], found: Any
    ) -> Any:
        """What the caller would have got."""
        lookers, alone = state
        sequences = getattr(found, "sequences", found)
        for recorder in lookers:
            recorder.generating -= 1
            recorder.raw.append(Mark("end"))
            if isinstance(sequences, Tensor):
                if not recorder.inputs:
                    recorder.inputs.append({})
                recorder.inputs[-1]["sequences"] = sequences
            if isinstance(beams := getattr(found, "beam_indices", None), Tensor):
                recorder.follows[max(len(recorder.inputs), 1)] = beams
        return sequences if alone else found

    def _asked(self, name: str, given: dict[str, Any], default: Any) -> Any:
        for where in (given.get("generation_config"), self.model.generation_config):
            default = getattr(where, name, None) or default
            if where is not None:
                break
        return given[name] if given.get(name) is not None else default


class _Compiled:
    """Watches a compiled module: what its graph appends to must be as empty as when it was traced."""

    def __init__(self, module: nn.Module):
        self.module = module

    def enter(self, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        """Before each call."""
        if torch.compiler.is_compiling():
            return
        for recorder in active:
            if recorder.mine():
                recorder.settle()
                if recorder.names.get(id(self.module)) == "" and not recorder.generating:
                    note_tokens(recorder, args, given)

    def leave(self, state: None, args: tuple[Any, ...], given: dict[str, Any], found: Any) -> Any:
        """What the module gave."""
        return found
