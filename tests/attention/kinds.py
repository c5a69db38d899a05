"""What the laws of the other kinds are run over: pooling, gates, image attention, linear attention."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import kinds_twins as twins
import torch
from laws import BATCH, KEY, KEY_DIM
from torch import Tensor, nn

from saccade.attention.gates import (
    ChannelGate,
    ConvolutionalBlockAttention,
    EfficientChannelGate,
    SpatialGate,
    SqueezeExcitation,
)
from saccade.attention.images import NonLocalBlock, SpatialChannelAttention
from saccade.attention.linear import LinearAttention
from saccade.attention.pooling import (
    BagPooling,
    ContextVectorPooling,
    GatedBagPooling,
    MultiHopPooling,
    StructuredSelfAttention,
)

HEIGHT, WIDTH, QUERY_DIM, EVEN = 7, 5, 11, 14


@dataclass
class Kind:
    """How a mechanism is made, what it is given, and its loops."""

    make: Callable[[], nn.Module]
    loops: Callable[..., tuple]
    inputs: str

    def module(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        torch.manual_seed(1)
        module = self.make().to(dtype)
        for name, parameter in module.named_parameters():
            if name.startswith("output."):  # a non-local block begins as nothing
                nn.init.normal_(parameter, std=0.5)
        return module

    def given(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        torch.manual_seed(2)
        shapes: dict[str, tuple] = {
            "sequence": ((BATCH, KEY, KEY_DIM),),
            "even sequence": ((BATCH, KEY, EVEN),),
            "image": ((BATCH, KEY_DIM, HEIGHT, WIDTH),),
            "image and query": ((BATCH, KEY_DIM, HEIGHT, WIDTH), (BATCH, QUERY_DIM)),
        }
        return tuple(torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes[self.inputs])


POOLING = {
    "structured": Kind(lambda: StructuredSelfAttention(KEY_DIM, 11, 3), twins.structured, "sequence"),
    "context vector": Kind(lambda: ContextVectorPooling(KEY_DIM, 11), twins.context_vector, "sequence"),
    "bag": Kind(lambda: BagPooling(KEY_DIM, 11), twins.bag, "sequence"),
    "gated bag": Kind(lambda: GatedBagPooling(KEY_DIM, 11), twins.bag, "sequence"),
    "multi-hop": Kind(lambda: MultiHopPooling(KEY_DIM, 3), twins.multi_hop, "sequence"),
}
GATES = {
    "squeeze-excitation": Kind(lambda: SqueezeExcitation(KEY_DIM, 4), twins.squeeze_excitation, "image"),
    "efficient channel": Kind(lambda: EfficientChannelGate(KEY_DIM, 5), twins.efficient_channel, "image"),
    "channel gate": Kind(lambda: ChannelGate(KEY_DIM, 4), twins.channel_gate, "image"),
    "spatial gate, wider than the image": Kind(lambda: SpatialGate(7, normed=False), twins.spatial_gate, "image"),
    "spatial gate": Kind(lambda: SpatialGate(3, normed=False), twins.spatial_gate, "image"),
}
BOTH = {
    "cbam": Kind(lambda: ConvolutionalBlockAttention(KEY_DIM, 4, kernel_size=3, normed=False), twins.cbam, "image"),
    **{
        f"sca, {order}": Kind(
            partial(SpatialChannelAttention, QUERY_DIM, KEY_DIM, 3, order=order),  # type: ignore[arg-type]
            partial(twins.sca, order=order),
            "image and query",
        )
        for order in ("channel-spatial", "spatial-channel")
    },
}
NON_LOCAL = {
    f"non-local, {pairs}": Kind(
        partial(NonLocalBlock, KEY_DIM, 3, pairs=pairs),  # type: ignore[arg-type]
        partial(twins.non_local, pairs=pairs),
        "image",
    )
    for pairs in ("gaussian", "embedded", "dot", "concatenation")
}
LINEAR = {
    f"linear{', causal' * causal}": Kind(
        partial(LinearAttention, EVEN, heads=2, causal=causal), partial(twins.linear, causal=causal), "even sequence"
    )
    for causal in (False, True)
}
KINDS = POOLING | GATES | BOTH | NON_LOCAL | LINEAR
MASKED = POOLING | LINEAR


def parts(found: Any) -> tuple[Tensor, ...]:
    """What is compared: contexts and weights, or images and gates without their axes of one."""
    fields = found[:2] if hasattr(found, "state") else found
    narrow = {"gate", "channel", "place"} & set(found._fields)
    return tuple(
        x.squeeze(1).squeeze(-1).squeeze(-1) if n in narrow else x for n, x in zip(found._fields, fields, strict=False)
    )
