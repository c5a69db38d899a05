"""What was seen as a folder of safetensors and JSON; reading it unpickles nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from saccade.files import write_atomic
from saccade.lens.capture import tokens
from saccade.lens.capture.call import Call, attendable, narrow
from saccade.lens.capture.checks import Check
from saccade.lens.capture.pieces import Kept
from saccade.lens.capture.recorder import Recorded
from saccade.lens.capture.site import Site
from saccade.lens.capture.stitching import Track

NUMBERS, DESCRIPTION, VERSION = "seen.safetensors", "seen.json", 1
LARGEST = 2**28
"""Bytes that a mask which is a function may take when it is written out."""


def save(folder: Path | str, sites: Sequence[Site], known: tokens.Tokens) -> None:
    """Write sites and tokens; the folder is made where there is none.

    Raises:
        ValueError: a function of FlexAttention that cannot be written down.
        OSError: the folder cannot be written.
    """
    kept = _Numbers()
    described = [_site(site, kept) for site in sites]
    sides = {name: None if side is None else _fields(side, kept) for name, side in known._asdict().items()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / NUMBERS, safetensors.torch.save(kept.tensors))
    text = json.dumps({"version": VERSION, "sites": described, "tokens": sides}, ensure_ascii=False, indent=1)
    write_atomic(folder / DESCRIPTION, text + "\n")


def load(folder: Path | str) -> tuple[list[Site], tokens.Tokens]:
    """What `save` wrote.

    Raises:
        ValueError: no such folder, or one that holds something else.
    """
    folder = Path(folder)
    try:
        described = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        numbers = safetensors.torch.load_file(folder / NUMBERS)
        if described["version"] != VERSION:
            raise ValueError(f"version {VERSION} expected")
        sites = [_read_site(one, numbers) for one in described["sites"]]
        sides = {
            name: side and tokens.Sequence(**_read_fields(side, numbers)) for name, side in described["tokens"].items()
        }
        return sites, tokens.Tokens(**sides)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: expected what Seen.save wrote; got {type(error).__name__}: {error}") from None


class _Numbers:
    """Tensors under names, each once however many share it."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[tuple[int, ...], str] = {}
        self._held: list[Tensor] = []  # so that no address is used twice

    def name(self, x: Tensor) -> str:
        at = (x.data_ptr(), x.storage_offset(), *x.shape, *x.stride(), hash(x.dtype))
        if at not in self._names:
            self._names[at] = str(len(self._names))
            self.tensors[self._names[at]] = x.detach().cpu().contiguous().clone()
            self._held.append(x)
        return self._names[at]


def _site(site: Site, kept: _Numbers) -> dict[str, Any]:
    follow = None if site.follow is None else kept.name(site.follow)
    parts = [_piece(record, piece, kept) for record, piece in zip(site.records, site.made_pieces(), strict=True)]
    names = {"name": site.name, "kind": site.kind, "route": site.route, "check": list(site.check)}
    return {**names, "follow": follow, "parts": parts}


def _piece(record: Recorded, piece: Call | Kept, kept: _Numbers) -> dict[str, Any]:
    if isinstance(piece, Call):
        if piece.modified is not None:
            raise ValueError(f"{record.name} has a score function, which cannot be written down")
        if piece.allowed is not None:
            piece = _written_out(record.name, piece)
    return {"what": type(piece).__name__, **_fields(piece, kept)}


def _written_out(name: str, call: Call) -> Call:
    """The same with its mask as a tensor."""
    one = narrow(call, slice(0, 1), slice(0, 1))
    if one.shape[2] * one.shape[3] * call.shape[0] * call.shape[1] > LARGEST:
        raise ValueError(f"{name} has a mask that is a function, too large to be written out: {list(call.shape)}")
    mask = attendable(call._replace(causal=False, window=None, bias=None))
    return call._replace(mask=mask, allowed=None)


def _fields(x: Any, kept: _Numbers) -> dict[str, Any]:
    """The fields of a tuple, tensors by their names."""
    found: dict[str, Any] = {}
    for name, value in x._asdict().items():
        if isinstance(value, Tensor):
            found[name] = {"tensor": kept.name(value)}
        elif isinstance(value, torch.dtype):
            found[name] = {"dtype": str(value).removeprefix("torch.")}
        elif value is not None and value != x._field_defaults.get(name):
            found[name] = value
    return found


def _read_fields(described: dict[str, Any], numbers: dict[str, Tensor]) -> dict[str, Any]:
    found = {name: value for name, value in described.items() if name != "what"}
    for name, value in found.items():
        if isinstance(value, dict):
            found[name] = numbers[value["tensor"]] if "tensor" in value else getattr(torch, value["dtype"])
    return found


def _read_site(described: dict[str, Any], numbers: dict[str, Tensor]) -> Site:
    records = []
    for part in described["parts"]:
        fields = _read_fields(part, numbers)
        piece = Call(**fields) if part["what"] == "Call" else Kept(**{**fields, "rows": tuple(fields["rows"])})
        records.append(Recorded(described["name"], described["route"], described["kind"], piece))
    track = Track(described["name"], described["kind"], records, None)
    follow = None if described["follow"] is None else numbers[described["follow"]]
    return Site(track, Check(*described["check"]), follow)
