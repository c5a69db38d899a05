"""A model asked again, without some of its tokens: what explanations of its answer are worth."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saccade.lens.capture import flows
from saccade.lens.capture.site import Site
from saccade.lens.capture.tokens import Tokens
from saccade.lens.faithfulness import Faithfulness, faithfulness

BATCH = 32
"""How many variants of a text are asked about at once."""


class Question(NamedTuple):
    """One text of a model, and one of its answers.

    ids:       its tokens, `[token]`.
    real:      which are no padding, boolean `[token]`.
    removable: which may be taken away, boolean `[token]`: not the special ones, nor the one that is answered at.
    row:       the place that is answered at.
    target:    the class, or the token, whose probability is the score.
    """

    ids: Tensor
    real: Tensor
    removable: Tensor
    row: int
    target: int


def explained(
    sites: Sequence[Site],
    tokens: Tokens,
    model: nn.Module | None,
    target: int | None,
    *,
    example: int,
    steps: int,
    random: int,
) -> Faithfulness:
    """Faithfulness of attention, rollout and gradient, about one text: see `Seen.faithfulness`."""
    if model is None:
        raise ValueError("faithfulness asks the model again, and what was loaded from a folder has none")
    side = tokens.source
    if side is None or side.special is None or tokens.target is not None:
        raise ValueError("faithfulness needs look(model, tokenizer=...) and a model that reads input_ids and no others")
    if not 0 <= example < len(side.ids):
        raise ValueError(f"example must be 0 to {len(side.ids) - 1}; got {example}")
    real = torch.ones_like(side.ids, dtype=torch.bool) if side.real is None else side.real
    # Of tensors that were made under inference_mode nothing could be differentiated.
    ids, there, special = (x[example].clone() for x in (side.ids, real, side.special))
    asked = question(model, ids, there, special, target)
    stack = flows.stack_of(sites)
    at = flows.positions(stack, asked.row, None)
    explanations = {
        "attention": stack[-1].row(asked.row)[example].mean(0).cpu().numpy(),
        "rollout": flows.rollout(stack, at)[example].cpu().numpy(),
        "gradient": gradient_times_input(model, asked),
    }
    removable = asked.removable.cpu().numpy()
    return faithfulness(score_of(model, asked), explanations, removable=removable, steps=steps, random=random)


@torch.no_grad()
def question(model: nn.Module, ids: Tensor, real: Tensor, special: Tensor, target: int | None) -> Question:
    """What the model says of a text: of a classifier a class, of a language model the token after the last.

    Args:
        ids, real, special: of its tokens, `[token]`.
        target: the class or token; the likeliest where None.

    Raises:
        ValueError: a model that gives no logits, nothing that may be taken away, or no such target.
    """
    logits = _logits(model, ids[None], real[None])
    last = int(real.nonzero().max())
    row = last if logits.dim() == 3 else _summary(special, last)
    scores = logits[0, last] if logits.dim() == 3 else logits[0]
    target = int(scores.argmax()) if target is None else target
    if not 0 <= target < len(scores):
        raise ValueError(f"target must be 0 to {len(scores) - 1}; got {target}")
    removable = real & ~special
    if logits.dim() == 3:
        removable[last] = False
    if not removable.any():
        raise ValueError(f"a text must have tokens that may be taken away; got {len(ids)}, of which none may")
    return Question(ids, real, removable, row, target)


def score_of(model: nn.Module, asked: Question) -> Callable[[NDArray[np.bool_]], NDArray[np.float64]]:
    """The probability of the target with only some tokens there; the others are hidden from every attention."""

    @torch.no_grad()
    def score(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        found = []
        for some in torch.split(torch.from_numpy(kept).to(asked.ids.device), BATCH):
            logits = _logits(model, asked.ids.expand(len(some), -1), some & asked.real)
            found.append(_probability(logits, asked))
        return torch.cat(found).double().cpu().numpy()

    return score


def gradient_times_input(model: Any, asked: Question) -> NDArray[np.float64]:
    """`|sum_d x_d dp/dx_d|` of each token's embedding x (Shrikumar et al. 2016): the baseline that costs one pass.

    Raises:
        ValueError: a model that does not tell its embedding.
    """
    if not hasattr(model, "get_input_embeddings"):
        raise ValueError(f"a gradient needs a model with get_input_embeddings; got {type(model).__name__}")
    seen: list[Tensor] = []

    def kept(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1]

    handle = model.get_input_embeddings().register_forward_hook(kept)
    try:
        with torch.enable_grad():
            probability = _probability(_logits(model, asked.ids[None], asked.real[None]), asked)
            (slope,) = torch.autograd.grad(probability.sum(), seen[:1])
    finally:
        handle.remove()
    product: Tensor = (seen[0] * slope).sum(-1)[0].abs()
    return product.detach().double().cpu().numpy()


def _logits(model: nn.Module, ids: Tensor, there: Tensor) -> Tensor:
    training = model.training
    model.eval()
    try:
        found = getattr(model(input_ids=ids, attention_mask=there.to(ids.dtype)), "logits", None)
    finally:
        model.train(training)
    if not isinstance(found, Tensor) or found.dim() not in (2, 3):
        raise ValueError(
            f"model must give logits, as a classifier or a language model does; got {type(model).__name__}"
        )
    return found.float()


def _probability(logits: Tensor, asked: Question) -> Tensor:
    scores = logits[:, asked.row] if logits.dim() == 3 else logits
    return scores.softmax(-1)[:, asked.target]


def _summary(special: Tensor, last: int) -> int:
    """Where a classifier reads: at its first token, if that is one made for it, else at its last."""
    return 0 if bool(special[0]) else last
