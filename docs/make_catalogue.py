"""Write docs/catalogue.md and its pictures from the code: python docs/make_catalogue.py.

Every shape on the page is that of a real call, and every picture shows the weights of the real module.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saccade.attention.additive import AdditiveAttention
from saccade.attention.build import build
from saccade.attention.catalogue import MECHANISMS, OTHERS, Entry, parse
from saccade.attention.contentheads import ContentHeadAttention
from saccade.attention.gates import ConvolutionalBlockAttention, EfficientChannelGate, SqueezeExcitation
from saccade.attention.images import NonLocalBlock, SpatialChannelAttention, VisualAttention
from saccade.attention.linear import LinearAttention
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.multiplicative import DotAttention
from saccade.attention.pooling import (
    BagPooling,
    ContextVectorPooling,
    GatedBagPooling,
    MultiHopPooling,
    StructuredSelfAttention,
)
from saccade.attention.positions import Alibi, BucketedBias, RelativeVectors, Rotary
from saccade.attention.results import Attended, dense
from saccade.attention.selfattention import SelfAttention
from saccade.layers.positions import LearnedPositions, SinusoidalPositions
from saccade.normalizers import Sparsemax

HERE = Path(__file__).parent
DIM, HIDDEN, HALF_WIDTH, STEPS, LONGER = 11, 16, 3, 25, 500
PATH, ALSO = (0, 2, 3, 4, 6, 8, 9), {3: 8}
"""The slot that each query asks for; the fourth asks for another one too."""

FAMILIES = {
    "score": "Content scores",
    "normalizer": "Normalisers",
    "window": "Windows",
    "stateful": "Mechanisms with a state",
    "pointer": "Pointing",
    "baseline": "To compare with",
    "heads": "Several heads, and a sequence that reads itself",
    "positions": "What heads know of places",
    "pooling": "Pooling",
    "images": "Images",
    "gates": "Gates",
}

HEAD = f"""# The catalogue

Generated from the code by `python docs/make_catalogue.py`; a test sees to it that it is fresh.

A name is what `saccade train translate --attention NAME` takes. `train caption` and `train transcribe` take them too, \
and beside them `visual`, joined with a normaliser where one is wanted, and `sca-cnn`. Content scores, normalisers and \
windows can be joined by a plus, one of each, in any order: `general+sparsemax+local-p`. Without a normaliser it is \
softmax, without a window the whole memory, without a score `general` where there is a window and `additive` \
elsewhere. What holds for all of them stands in [the contract](contract.md). Cost is that of one query over T slots: d \
is the width of a vector, n that of a hidden layer, D a half-width.

**The pictures** show the weights of the real modules on one example: a row for each of {len(PATH)} queries, a column \
for each of {DIM} slots, the darker the more. The queries ask for slots {", ".join(map(str, PATH))}, counted from 0; \
the fourth asks for slot {ALSO[3]} as well. Each mechanism has learned for {STEPS} steps to read what was asked for, \
so that its weights are still soft where they can be; those that must find a place first, for {LONGER}. Normalisers \
are put on the scores that `additive` learned (`sigmoid` learned its own); noise is drawn with a fixed seed. The other \
kinds are shown untrained.
"""


def example() -> tuple[Tensor, Tensor]:
    """Queries and keys, a batch of one; the values are the keys, one direction for each slot."""
    slots = torch.eye(DIM, dtype=torch.float64)
    query = slots[list(PATH)]
    for row, slot in ALSO.items():
        query[row] += slots[slot]
    return query[None], slots[None]


def learned(name: str) -> tuple[nn.Module, Attended]:
    """A mechanism that has learned the example, and what it does with it."""
    torch.manual_seed(1)
    mechanism, normalizer, window = parse(name)
    own = normalizer if normalizer == "sigmoid" else None
    taught = "+".join(filter(None, (mechanism, own, window)))
    attend = build(taught, query_dim=DIM, key_dim=DIM, hidden_dim=HIDDEN, slots=DIM, half_width=HALF_WIDTH).double()
    query, key = example()
    noise = torch.zeros(1, len(PATH), DIM, dtype=torch.float64) if mechanism in ("monotonic", "mocha") else None
    longer = own is not None or window is not None or MECHANISMS[mechanism].family == "stateful"
    teach(attend, query, key, noise, LONGER if longer else STEPS)
    if normalizer not in ("softmax", own):
        widths = {"query_dim": DIM, "key_dim": DIM, "hidden_dim": HIDDEN}
        other = build(f"{taught}+{normalizer}", **widths).double()
        other.load_state_dict(attend.state_dict(), strict=False)
        attend, noise = other, torch.Generator().manual_seed(5) if other.normalizer.random else None
    elif noise is not None:
        attend, noise = attend.eval(), None
    with torch.no_grad():
        return attend, attend(query, key, key, noise=noise)


def teach(attend: nn.Module, query: Tensor, key: Tensor, noise: Tensor | None, steps: int) -> None:
    """Make the context what was asked for, by some steps of Adam."""
    weights = list(attend.parameters())
    if not weights:
        return
    optimizer = torch.optim.Adam(weights, lr=0.05 if steps == STEPS else 0.02)
    for _ in range(steps):
        context = attend(query, key, key, noise=noise).context
        loss = (context - query / query.sum(-1, keepdim=True)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


POSITIONS = {
    "rotary": lambda: Rotary(6),
    "alibi": Alibi,
    "bucketed-bias": lambda: BucketedBias(2, buckets=8, furthest=8),
    "relative-vectors": lambda: RelativeVectors(6, furthest=3),
}
POOLING = {
    "structured-self-attention": lambda: StructuredSelfAttention(DIM, HIDDEN, hops=3),
    "context-vector": lambda: ContextVectorPooling(DIM, HIDDEN),
    "multi-hop": lambda: MultiHopPooling(DIM, hops=3),
    "bag": lambda: BagPooling(DIM, HIDDEN),
    "gated-bag": lambda: GatedBagPooling(DIM, HIDDEN),
}
IMAGES = {
    "squeeze-excitation": lambda: SqueezeExcitation(DIM, reduction=2),
    "efficient-channel": lambda: EfficientChannelGate(DIM),
    "cbam": lambda: ConvolutionalBlockAttention(DIM, reduction=2, kernel_size=3),
    "non-local": lambda: NonLocalBlock(DIM),
}


def untrained(name: str) -> tuple[nn.Module, Any]:
    """A mechanism of another kind, and what it does with the example."""
    torch.manual_seed(3)
    query, key = example()
    padded, image = torch.nn.functional.pad(query, (0, 1)), 9 * torch.rand(1, DIM, 5, 3, dtype=torch.float64) ** 4
    if name in POOLING:
        attend = POOLING[name]().double()
        return attend, attend(9 * key)
    if name in IMAGES:
        attend = IMAGES[name]().double()
        return attend, attend(image)
    if name in POSITIONS:
        attend = MultiHeadAttention(DIM + 1, DIM + 1, heads=2, positions=POSITIONS[name]()).double()
        return attend, attend(9 * padded, 9 * padded, padded)
    match name:
        case "multi-head":
            attend = MultiHeadAttention(DIM + 1, DIM, heads=2).double()
            found = attend(3 * padded, 3 * key, key)
        case "content-heads":
            inner = [AdditiveAttention(6, 6, HIDDEN), DotAttention(6, normalizer=Sparsemax())]
            attend = ContentHeadAttention(DIM + 1, DIM, inner, heads=2).double()
            found = attend(3 * padded, 3 * key, key)
        case "self-attention":
            attend = SelfAttention(MultiHeadAttention(DIM + 1, DIM + 1, heads=2), after=0).double()
            found = attend(6 * padded)
        case "linear":
            attend = LinearAttention(DIM + 1, heads=2, causal=True).double()
            found = attend(9 * padded)
        case "sinusoidal" | "learned-positions":
            placed = SinusoidalPositions(DIM + 1) if name == "sinusoidal" else LearnedPositions(DIM + 1, DIM)
            attend = nn.Sequential(placed, SelfAttention(MultiHeadAttention(DIM + 1, DIM + 1, heads=2))).double()
            found = attend(3 * padded)
        case "visual":
            attend = VisualAttention(DIM, DIM, HIDDEN).double()
            found = attend(9 * query, 9 * key, key)
        case "sca-cnn":
            attend = SpatialChannelAttention(DIM, DIM, HIDDEN).double()
            found = attend(image, 9 * query[:, 0])
        case _:
            raise ValueError(f"{name} has no example")
    return attend, found


def picture(blocks: list[Tensor], title: str) -> str:
    """Matrices of weights `[rows, columns]` side by side as an SVG: opacity in ten steps of a tone that light and dark
    pages both show.
    """
    cell, gap = 16, 12
    parts, left = [], 1
    for block in blocks:
        rows, columns = block.shape
        top = max(float(block.max()), 1e-9)
        parts.append(
            f'<rect x="{left}" y="1" width="{columns * cell}" height="{rows * cell}" fill="none" '
            'stroke="#8a94a3" stroke-width="0.6"/>'
        )
        for r, row in enumerate(block.tolist()):
            for c, weight in enumerate(row):
                shade = round(10 * min(weight / max(top, 1.0 if top > 0.5 else top), 1.0))
                if shade:
                    parts.append(
                        f'<rect x="{left + c * cell}" y="{1 + r * cell}" width="{cell}" height="{cell}" '
                        f'fill="#3a7bd0" opacity="{shade / 10:g}"/>'
                    )
        left += columns * cell + gap
    width, height = left - gap + 1, max(block.shape[0] for block in blocks) * cell + 2
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<title>{title}</title>\n{body}\n</svg>\n"
    )


def blocks_of(found: Any) -> list[Tensor]:
    """The matrices to draw: one for each head, or one."""
    if hasattr(found, "output"):
        return [x[0, :, 0, 0][None].detach() if x.shape[1] > 1 else x[0, 0].detach() for x in found[1:]]
    weights = dense(found.weights)
    if weights is None:
        return []
    weights = weights.detach()
    return list(weights[0]) if weights.dim() == 4 else [weights if weights.dim() == 2 else weights[0]]


def shape(x: Any) -> str:
    """A shape, or the shapes of what a named tuple holds."""
    if isinstance(x, Tensor):
        return str(list(x.shape))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        fields = zip(x._fields, x, strict=True)
        return f"{type(x).__name__}({', '.join(f'{name} {shape(part)}' for name, part in fields)})"
    return str(x)


def section(name: str, entry: Entry, attend: nn.Module, found: Any) -> str:
    """One entry of the page."""
    module, kind = entry.where.split(":")
    holder = getattr(importlib.import_module(f"saccade.{module}"), kind)
    signature = str(inspect.signature(holder)).replace("saccade.normalizers.base.", "")
    signature = signature.replace("saccade.attention.windows.", "").removesuffix(" -> None")
    path = f"../saccade/{module.replace('.', '/')}.py"
    rows = [("paper", entry.paper), ("class", f"[`{kind}{signature}`]({path})".replace("|", "\\|"))]
    if hasattr(found, "output"):
        rows.append(("call", f"x {shape(torch.empty(1, DIM, 5, 3))}: {shape(found)}"))
    else:
        rows.append(("gives", f"context {shape(found.context)}, weights {shape(found.weights)}"))
        if found.state is not None:
            rows.append(("state", f"{entry.state}: `{shape(found.state)}`"))
    count = sum(parameter.numel() for parameter in attend.parameters())
    rows += [("parameters", f"{count} in this example"), ("cost", entry.complexity), ("kind", entry.kind)]
    image = f'<img src="catalogue/{name}.svg" alt="weights of {name}">\n\n' if blocks_of(found) else ""
    table = "".join(f"| {label} | {text} |\n" for label, text in rows)
    return (
        f"### {name}\n\n{entry.line[0].upper()}{entry.line[1:]}. {entry.use}\n\n"
        f"```\n{entry.formula}\n```\n\n{image}| | |\n|---|---|\n{table}"
    )


def pages() -> dict[str, str]:
    """Every file that this program writes, by its path inside docs/."""
    sections: dict[str, list[str]] = {family: [] for family in FAMILIES}
    files, index = {}, ["| name | what | paper | cost |", "|---|---|---|---|"]
    for name, entry in (MECHANISMS | OTHERS).items():
        if name in OTHERS:
            attend, found = untrained(name)
        elif name == "none":
            attend = build(name, query_dim=DIM, key_dim=DIM, hidden_dim=HIDDEN).double()
            found = attend(example()[0], *[example()[1].mean(1, keepdim=True)] * 2)
        else:
            attend, found = learned(name)
        sections[entry.family].append(section(name, entry, attend, found))
        index.append(f"| [{name}](#{name}) | {entry.line} | {entry.paper} | {entry.complexity} |")
        if blocks_of(found):
            files[f"catalogue/{name}.svg"] = picture(blocks_of(found), f"weights of {name}")
    body = "\n".join(f"## {FAMILIES[family]}\n\n" + "\n".join(some) for family, some in sections.items())
    files["catalogue.md"] = f"{HEAD}\n" + "\n".join(index) + f"\n\n{body}"
    return files


def main() -> None:
    """Write them, and remove pictures of what is no longer there."""
    files = pages()
    (HERE / "catalogue").mkdir(exist_ok=True)
    for old in (HERE / "catalogue").glob("*.svg"):
        if f"catalogue/{old.name}" not in files:
            old.unlink()
    for name, text in files.items():
        (HERE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
