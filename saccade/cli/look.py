"""saccade look: what a model that others have made looked at."""

import sys
from typing import Any

import torch

from saccade.cli.options import Look
from saccade.errors import DataError, OptionError
from saccade.layers.pretrained import read_model
from saccade.lens.capture.look import look as looking
from saccade.lens.capture.seen import Seen
from saccade.tasks.devices import pick_device

WRITES = 64
"""Tokens that an encoder-decoder writes where nobody says how many."""


def look(command: Look) -> None:
    """Run a model on a text, and draw what it looked at."""
    _check(command)
    device = pick_device(command.device)
    try:
        model, tokenizer = read_model(command.model)
    except ValueError as error:
        raise DataError(f"{command.model}: {error}") from None
    model = model.to(device)
    inputs = tokenizer(command.text, return_tensors="pt").to(device)
    if not inputs["input_ids"].numel():
        raise DataError("the text must have tokens; got an empty text")
    try:
        with looking(model, tokenizer=tokenizer) as seen, torch.inference_mode():
            answer = _run(model, tokenizer, inputs, command)
        _draw(seen, command, answer)
    except ValueError as error:
        raise OptionError(f"{command.model}: {error}") from None


def _check(command: Look) -> None:
    for name, value, least in (("--generate", command.generate, 0), ("--beams", command.beams, 1)):
        if value < least:
            raise OptionError(f"{name} must be at least {least}; got {value}")
    if command.faithful and command.generate:
        raise OptionError("--faithful is about one answer to a text; leave out --generate")


def _run(model: Any, tokenizer: Any, inputs: Any, command: Look) -> str:
    """The answer: what was written, the label, or nothing."""
    both = bool(getattr(model.config, "is_encoder_decoder", False))
    if command.generate or (both and model.can_generate()):
        if not model.can_generate():
            raise ValueError(f"--generate needs a model that writes; got {type(model).__name__}")
        count = command.generate or WRITES
        written = model.generate(**inputs, max_new_tokens=count, num_beams=command.beams, do_sample=False)
        new = written[0] if both else written[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True))
    names = set(inputs) - {"token_type_ids"} if "token_type_ids" not in model.forward.__code__.co_varnames else inputs
    found = model(**{name: inputs[name] for name in names})
    logits = getattr(found, "logits", None)
    if logits is not None and logits.dim() == 2:
        return str(model.config.id2label[int(logits[0].argmax())])
    return ""


def _draw(seen: Seen, command: Look, answer: str) -> None:
    files = command.png is not None or command.page is not None
    terminal, title = command.terminal or not files, f"{command.text[:80]} → {answer}" if answer else command.text[:80]
    found = seen.faithfulness() if command.faithful else None
    if found is not None:
        for name, fall, left in found.table():
            print(f"{name}: comprehensiveness {fall:.3f}, sufficiency {left:.3f}", file=sys.stderr)
    if command.rollout is not None:
        flow = seen.rollout(command.rollout, sites=command.site)
        flow.show(merge="words" if command.words else "pieces", terminal=terminal, png=command.png, page=command.page)
        return
    seen.show(
        sites=command.site,
        head=int(command.head) if command.head is not None and command.head.lstrip("-").isdigit() else command.head,
        merge="words" if command.words else "pieces",
        measures=[name for name in command.measure.split(",") if name],
        faithfulness=found,
        title=title,
        terminal=terminal,
        png=command.png,
        page=command.page,
    )
