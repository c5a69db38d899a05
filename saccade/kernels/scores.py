"""Differentiable operators over the kernels that have a backward pass of their own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from saccade.kernels import chunked, masked, reference
from saccade.kernels.choice import chosen
from saccade.normalizers import softmax

Found = tuple[Tensor | None, ...]


class CpuScores(torch.autograd.Function):
    """`v . tanh(q_i + k_j)` by the compiled loops.

    `values` and `largest` are the key's `Exponentials` where they are remembered, else None.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, v: Tensor, values: Tensor | None, largest: Tensor | None
    ) -> Tensor:
        """Scores `[batch, query, key]`, float32."""
        from saccade.kernels import cpu

        q = cpu.exponentials(query)
        if values is None or largest is None:
            k = cpu.exponentials(key)
        else:
            k = cpu.Exponentials(values.numpy(), largest.numpy())
        ctx.save_for_backward(query, key, v)
        ctx.exponentials = (q, k) if cpu.within(q, k) else None
        return cpu.scores(q, k, v) if ctx.exponentials else chunked.additive_scores(query, key, v)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Found:
        """Gradients of query, key and v."""
        from saccade.kernels import cpu

        inputs = ctx.saved_tensors
        if torch.is_grad_enabled() or not ctx.exponentials:
            return *again(chunked.additive_scores, grad, *inputs), None, None
        found = cpu.gradients(grad, ctx.exponentials[0], ctx.exponentials[1], inputs[2])
        return *(x.to(like.dtype) for x, like in zip(found, inputs, strict=True)), None, None


class CudaScores(torch.autograd.Function):
    """The same by the kernels in Triton."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, v: Tensor) -> Tensor:
        """Scores `[batch, query, key]`, float32."""
        from saccade.kernels import cuda

        ctx.save_for_backward(query, key, v)
        found: Tensor = cuda.scores(query, key, v)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Found:
        """Gradients of query, key and v."""
        from saccade.kernels import cuda

        if torch.is_grad_enabled():
            return again(chunked.additive_scores, grad, *ctx.saved_tensors)
        found: Found = cuda.scores_backward(grad, *ctx.saved_tensors)
        return found


class CudaAttention(torch.autograd.Function):
    """Scores, softmax and weighted sum in one kernel, which never holds `[batch, query, key]`."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, v: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Contexts `[batch, query, value_dim]`."""
        from saccade.kernels import cuda

        context: Tensor
        context, log_sum = cuda.attention(query, key, v, value, mask)
        ctx.save_for_backward(query, key, v, value, mask, context, log_sum)
        return context

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Found:
        """Gradients of query, key, v and value."""
        from saccade.kernels import cuda

        query, key, v, value, mask, context, log_sum = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *again(
                lambda q, k, v, x: separate(chunked.additive_scores, q, k, v, x, mask)[0], grad, query, key, v, value
            ), None
        return *cuda.attention_backward(grad, context, log_sum, query, key, v, value, mask), None


def by_kernel(
    query: Tensor, key: Tensor, v: Tensor, *, values: Tensor | None = None, largest: Tensor | None = None
) -> Tensor:
    """Scores by the kernel that there is for these tensors, or in pieces; not while a program is compiled."""
    kernel = chosen(query, key, v)
    if kernel == "cpu":
        found = CpuScores.apply(query, key, v, values, largest)  # type: ignore[no-untyped-call]
    elif kernel == "cuda":
        found = CudaScores.apply(query, key, v)  # type: ignore[no-untyped-call]
    else:
        found = (reference if kernel == "reference" else chunked).additive_scores(query, key, v)
    result: Tensor = found
    return result


def again(function: Callable[..., Tensor], grad: Tensor, *inputs: Tensor) -> Found:
    """The gradients of a function of plain PyTorch, None where none is wanted; called in a backward pass.

    Gradients are enabled there only while a graph of the gradients is wanted, and then these have one.
    """
    graph = torch.is_grad_enabled()
    if not graph:
        inputs = tuple(x.detach().requires_grad_(x.requires_grad) for x in inputs)
    wanted = [x for x in inputs if x.requires_grad]
    with torch.enable_grad():
        found = iter(torch.autograd.grad(function(*inputs), wanted, grad, create_graph=graph))
    return tuple(next(found) if x.requires_grad else None for x in inputs)


def separate(
    score: Callable[[Tensor, Tensor, Tensor], Tensor],
    query: Tensor,
    key: Tensor,
    v: Tensor,
    value: Tensor,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Context and weights by scores, softmax and weighted sum one after the other, of what the mask has `shown`."""
    weights = softmax(masked.seen_scores(lambda q, k: score(q, k, v), query, key, mask), mask)
    return masked.read_values(weights, value, mask), weights.to(value.dtype)


@torch.library.custom_op("saccade::additive_scores", mutates_args=())
def compiled_scores(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    """`v . tanh(q_i + k_j)` as one operator, for `torch.compile`."""
    return by_kernel(query, key, v).float()


@compiled_scores.register_fake
def _(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    return query.new_empty(query.shape[0], query.shape[1], key.shape[1], dtype=torch.float32)


@torch.library.custom_op("saccade::additive_scores_backward", mutates_args=())
def compiled_gradients(grad: Tensor, query: Tensor, key: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `saccade::additive_scores` to query, key and v."""
    leaves = [x.detach().requires_grad_() for x in (query, key, v)]
    with torch.enable_grad():
        scores = by_kernel(*leaves)
    one, two, three = torch.autograd.grad(scores, leaves, grad)
    return one.contiguous(), two.contiguous(), three.contiguous()


@compiled_gradients.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    one, two, three = (x.new_empty(x.shape) for x in (query, key, v))
    return one, two, three


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


compiled_scores.register_autograd(
    lambda ctx, grad: compiled_gradients(grad, *ctx.saved_tensors), setup_context=_remember
)
