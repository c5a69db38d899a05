"""saccade look: what a model that others have made looked at."""

import inspect
import re
import sys
from typing import Any

import torch

from saccade.cli.options import Look
from saccade.errors import DataError, OptionError, SaccadeError, first_line
from saccade.layers.pretrained import quiet, read_model
from saccade.lens.capture.look import look as looking
from saccade.lens.capture.seen import Seen
from saccade.lens.figure import kind_of
from saccade.lens.show import draw
from saccade.lens.views import Merge
from saccade.tasks.devices import pick_device

WRITES = 64
"""Tokens that an encoder-decoder writes where nobody says how many."""
LONGEST = 200
"""Characters of a text that are told beside a drawing."""
OPTIONS = {"sites": "--site", "head": "--head", "measures": "--measure", "target": "--rollout", "rows": "--rows"}
"""What the library's arguments are called here."""


def look(command: Look) -> None:
    """Run a model on a text, and draw what it looked at."""
    rows = _checked(command)
    device = pick_device(command.device)
    try:
        model, tokenizer = read_model(command.model)
    except SaccadeError:
        raise
    except ValueError as error:
        raise DataError(f"{command.model}: {error}") from None
    _check_model(model, command)
    with quiet():
        with looking(model.to(device), tokenizer=tokenizer) as seen, torch.inference_mode():
            answer = _run(model, tokenizer, command)
        try:
            _draw(seen, command, rows, answer)
        except SaccadeError:
            raise
        except ValueError as error:
            raise OptionError(_with_options(str(error))) from None


def _checked(command: Look) -> slice | None:
    """The rows to draw.

    Raises:
        OptionError: an option that cannot be used, whatever the model.
        DataError: an empty text.
    """
    for name, value, least in (("--generate", command.generate, 0), ("--beams", command.beams, 1)):
        if value < least:
            raise OptionError(f"{name} must be at least {least}; got {value}")
    if command.faithful and command.generate:
        raise OptionError("--faithful is about one answer to a text; leave out --generate")
    if command.rollout is not None and (command.head is not None or command.rows is not None):
        raise OptionError("--rollout is one row over the tokens; leave out --head and --rows")
    if command.png is not None:
        kind_of(command.png)
    if not command.text.strip():
        raise DataError("expected a text to read; got an empty one")
    return None if command.rows is None else _stretch(command.rows)


def _stretch(rows: str) -> slice:
    """Rows as a person names them.

    >>> _stretch("-100:"), _stretch("-1"), _stretch("0:5")
    (slice(-100, None, None), slice(-1, None, None), slice(0, 5, None))
    """
    found = re.fullmatch(r"(-?\d+)?:(-?\d+)?", rows)
    if found:
        first, end = (None if part is None else int(part) for part in found.groups())
        return slice(first, end)
    if not re.fullmatch(r"-?\d+", rows):
        raise OptionError(f"--rows must be a place or a stretch, such as -1, -100: or 0:50; got {rows!r}")
    return slice(int(rows), int(rows) + 1 or None)


def _check_model(model: Any, command: Look) -> None:
    name, both = type(model).__name__, model.config.is_encoder_decoder
    writes = _writes(model, command)
    if writes and not model.can_generate():
        raise OptionError(f"--generate needs a model that writes; got {name}")
    if command.beams > 1 and not writes:
        raise OptionError("--beams are of what a model writes; say how much with --generate")
    if command.faithful and (both or not (model.can_generate() or name.endswith("SequenceClassification"))):
        raise OptionError(f"--faithful needs a classifier of texts or a language model; got {name}")
    if both and not writes and not name.endswith("Classification"):
        raise DataError(f"{command.model}: expected a model with what it answers with; got {name}")


def _writes(model: Any, command: Look) -> bool:
    return bool(command.generate or (model.config.is_encoder_decoder and model.can_generate()))


def _run(model: Any, tokenizer: Any, command: Look) -> str:
    """The answer: what was written, a label, a token; nothing where the model says nothing in words.

    Raises:
        DataError: a text that the model cannot read.
    """
    given = tokenizer(command.text, return_tensors="pt").to(model.device)
    ids = given["input_ids"]
    if not tokenizer(command.text, add_special_tokens=False)["input_ids"]:
        raise DataError(f"{command.model}: expected a text of tokens; its tokenizer finds none")
    known = inspect.signature(model.forward).parameters
    inputs = {name: x for name, x in given.items() if name in known}
    try:
        if not _writes(model, command):
            return _said(model, tokenizer, ids[0], getattr(model(**inputs), "logits", None))
        count = command.generate or WRITES
        written = model.generate(**inputs, max_new_tokens=count, num_beams=command.beams, do_sample=False)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise DataError(f"{command.model}: {_refused(model, ids.shape[1], command.generate, error)}") from None
    new = written[0] if model.config.is_encoder_decoder else written[0, ids.shape[1] :]
    return str(tokenizer.decode(new, skip_special_tokens=True)).strip()


def _refused(model: Any, reads: int, writes: int, error: Exception) -> str:
    most = getattr(model.config, "max_position_embeddings", None)
    asked = f"read {reads:,} tokens" + (f" and write {writes:,}" if writes else "")
    places = f", it has {most:,} positions" if most and reads + writes > most else ""
    return f"the model cannot {asked}{places}: {first_line(error)}"


def _said(model: Any, tokenizer: Any, ids: torch.Tensor, logits: Any) -> str:
    """What logits say in words: of a classifier labels, of a language model the token at each mask, or the next."""
    if not isinstance(logits, torch.Tensor):
        return ""
    labels, likely = model.config.id2label, logits[0].argmax(-1)
    if logits.dim() == 2:
        if logits.shape[1] == 1:
            return f"{float(logits[0, 0]):.4g}"
        if model.config.problem_type == "multi_label_classification":
            return ", ".join(labels[at] for at in (logits[0] > 0).nonzero()[:, 0].tolist())
        return str(labels[int(likely)])
    masks = ids == (-1 if tokenizer.mask_token_id is None else tokenizer.mask_token_id)
    if bool(masks.any()):
        return ", ".join(tokenizer.decode([token]).strip() for token in likely[masks].tolist())
    if type(model).__name__.endswith("TokenClassification"):
        special = set(tokenizer.all_special_ids)
        return " ".join(
            labels[at] for at, token in zip(likely.tolist(), ids.tolist(), strict=True) if token not in special
        )
    return str(tokenizer.decode([int(likely[-1])])).strip() if model.can_generate() else ""


def _draw(seen: Seen, command: Look, rows: slice | None, answer: str) -> None:
    files = command.png is not None or command.page is not None
    terminal = command.terminal or not files
    merge: Merge = "words" if command.words else "pieces"
    found = seen.faithfulness() if command.faithful else None
    if found is not None:
        for name, fall, left in found.table():
            print(f"{name}: comprehensiveness {fall:.3f}, sufficiency {left:.3f}", file=sys.stderr)
    if command.rollout is not None:
        flow = seen.rollout(command.rollout, sites=command.site)
        flow.show(merge=merge, terminal=terminal, png=command.png, page=command.page)
        return
    number = command.head is not None and re.fullmatch(r"-?\d+", command.head)
    drawing = seen.drawing(
        sites=command.site,
        rows=rows,
        head=int(command.head) if number and command.head else command.head,
        merge=merge,
        measures=[name for name in command.measure.split(",") if name],
        faithfulness=found,
    )
    if not any(site.target.labels for site in drawing.sites):
        raise OptionError(f"--rows must be some that there are; got {command.rows!r}")
    text = command.text if len(command.text) <= LONGEST else command.text[: LONGEST - 4] + " ..."
    title = f"{text} → {answer}" if answer else text
    told = drawing._replace(text=text, answer=answer)
    draw(told, title=title, terminal=terminal, png=command.png, page=command.page)


def _with_options(message: str) -> str:
    """An error of the library with the names of the options.

    >>> _with_options("sites must be some of a, b; got 'c'")
    "--site must be some of a, b; got 'c'"
    """
    first, *rest = message.split(" ", 1)
    message = " ".join([OPTIONS.get(first, first), *rest])
    return message.replace(": say sites=...", "").replace("rows=slice(-100, None) are", "--rows -100: are")
