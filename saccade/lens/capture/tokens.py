"""The tokens that went into a model and came out, and which of a site's rows and slots they are."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from saccade.lens.capture.recorder import Kind


class Sequence(NamedTuple):
    """Tokens of one side.

    ids:     `[batch, token]`.
    texts:   each as text, a list for each sequence; None without a tokenizer.
    real:    boolean `[batch, token]`, which are no padding; None: nobody said.
    special: boolean `[batch, token]`, which have a meaning of their own, as [CLS]; None without a tokenizer.
    """

    ids: Tensor
    texts: list[list[str]] | None = None
    real: Tensor | None = None
    special: Tensor | None = None


class Tokens(NamedTuple):
    """What was read and what was written.

    source: of an encoder-decoder what is read; of any other model all there is, what it wrote included.
    target: what an encoder-decoder writes, from its start token on; None of any other model.
    """

    source: Sequence | None = None
    target: Sequence | None = None

    def of(self, kind: Kind, queries: int, keys: int) -> tuple[Sequence | None, Sequence | None]:
        """The tokens of a site's rows and of its slots, as far as they are known: `(rows, slots)`."""
        sides = [side for side in (self.source, self.target) if side is not None]
        if kind == "cross":
            return _fitting(self.target, queries), _fitting(self.source, keys)
        for side in sides:
            if queries == keys and _fitting(side, keys) is not None:
                return _fitting(side, queries), _fitting(side, keys)
        return None, next((fit for side in sides if (fit := _fitting(side, keys)) is not None), None)


def tokens_of(inputs: dict[str, Tensor], tokenizer: Any) -> Tokens:
    """Tokens of one run: its inputs, and what a generation returned."""
    ids, written = inputs.get("input_ids"), inputs.get("decoder_input_ids")
    mask, sequences = inputs.get("attention_mask"), inputs.get("sequences")
    if sequences is not None:
        continued = ids is not None and sequences.shape[1] >= ids.shape[1] and _continues(ids, sequences)
        if continued:
            ids, mask = sequences, _longer(mask, sequences)
        else:
            written = sequences
            mask = _longer(mask, ids)
    source = None if ids is None else _sequence(ids, mask, tokenizer)
    return Tokens(source, None if written is None else _sequence(written, None, tokenizer))


def _continues(ids: Tensor, sequences: Tensor) -> bool:
    """Whether a generation begins with what was read, as a decoder's does."""
    repeated = ids.repeat_interleave(max(1, len(sequences) // len(ids)), 0)
    return repeated.shape[0] == len(sequences) and torch.equal(sequences[:, : ids.shape[1]], repeated)


def _longer(mask: Tensor | None, ids: Tensor | None) -> Tensor | None:
    """A padding mask for a sequence that became longer, and more: what was written is real."""
    if mask is None or ids is None:
        return None
    mask = mask.repeat_interleave(max(1, len(ids) // len(mask)), 0)
    return torch.nn.functional.pad(mask, (0, ids.shape[1] - mask.shape[1]), value=1)


def _sequence(ids: Tensor, mask: Tensor | None, tokenizer: Any) -> Sequence:
    texts = special = None
    if tokenizer is not None:
        texts = [tokenizer.convert_ids_to_tokens(row) for row in ids.tolist()]
        special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device, dtype=ids.dtype))
    return Sequence(ids, texts, None if mask is None else mask.bool(), special)


def _fitting(side: Sequence | None, size: int) -> Sequence | None:
    """The first `size` tokens of a side: the last token that a generation writes is never read."""
    if side is None or not size <= side.ids.shape[1] <= size + 1:
        return None
    parts = [None if x is None else x[:, :size] for x in (side.real, side.special)]
    texts = None if side.texts is None else [row[:size] for row in side.texts]
    return Sequence(side.ids[:, :size], texts, *parts)
