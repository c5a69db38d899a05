"""What the laws of attention are run over, and which of them a mechanism is free from, and why."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from saccade.attention.additive import AdditiveAttention
from saccade.attention.base import Attention
from saccade.attention.build import build
from saccade.attention.catalogue import MECHANISMS, named, parse
from saccade.attention.contentheads import ContentHeadAttention
from saccade.attention.feedback import CoverageAttention, LocationSensitiveAttention
from saccade.attention.images import VisualAttention
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.multiplicative import GeneralAttention
from saccade.attention.positions import Alibi, BucketedBias, RelativeVectors, Rotary
from saccade.attention.results import Attended, dense
from saccade.attention.spatialchannel import SpatialChannelReading
from saccade.normalizers import Sparsemax

# Different primes, so that a swapped axis fails.
BATCH, QUERY, KEY, QUERY_DIM, KEY_DIM, VALUE_DIM, HIDDEN = 2, 3, 7, 11, 13, 5, 17
HEAD_DIM, FURTHEST = 6, 2
"""Width of a head, which rotary positions need even; and how far relative positions reach."""
HALF_WIDTH, SLOTS = 2, 6
"""Of a local window; and of `location` and `fixed-slot`, one fewer than the memory has."""

COMBINED = (
    "dot+sparsemax+local-p",
    "additive+entmax15+local-m",
    "concat+sigmoid+local-p",
    "cosine+reinforce+local-m",
    "gaussian-kernel+entmax",
    "location+straight-through",
    "additive-normed+gumbel",
)
VARIANTS = (
    "coverage with fertility",
    "cumulative location-sensitive",
    "monotonic, hard",
    "mocha, hard",
    "visual",
    "sca-cnn",
    "sca-cnn, places first",
)
SINGLE = tuple(name for name in MECHANISMS if name not in ("none", "softmax"))
PLACED = ("rotary heads", "rotary heads, neighbours", "alibi heads", "bucketed heads", "relative heads")
HEADS = ("multi-head", "grouped heads", "one shared head", "content heads", "one inner for all heads", *PLACED)
CASES = (*SINGLE, *COMBINED, *VARIANTS, *HEADS)
"""Every mechanism that looks at more than one slot; `none` reads a single summary, so the laws say nothing of it."""

FREE_FROM: dict[str, dict[str, str]] = {
    "weights sum to one": {
        "sigmoid": "every slot decides for itself",
        "local-m": "a window may lie beyond the sentence",
        "local-p": "the Gaussian takes from the slots beside the centre",
        "gaussian-mixture": "the bells are not normalised",
        "gaussian-mixture-v2b": "a bell reaches beyond the memory",
        "monotonic": "what passes the last slot is lost",
        "mocha": "what passes the last slot is lost",
        "location": "slots that W has no row for are masked, and the mask may leave those alone",
        "fixed-slot": "slots that W has no row for are masked, and the mask may leave those alone",
    },
    "permuting the memory permutes the weights": {
        "location": "scores belong to places",
        "fixed-slot": "scores belong to places",
        "local-m": "a window is a place",
        "local-p": "a window is a place",
        "location-sensitive": "the convolution runs over places",
        "cumulative location-sensitive": "the convolution runs over places",
        "gaussian-mixture": "the bells stand at places",
        "gaussian-mixture-v2b": "the bells stand at places",
        "monotonic": "the order of the slots is what it follows",
        "mocha": "the order of the slots is what it follows",
        **dict.fromkeys(PLACED, "distances to slots count"),
    },
    "masking equals deleting, for any mask": {
        # All of these obey it for trailing masks, which is a law of its own.
        "location": "scores belong to places",
        "fixed-slot": "scores belong to places",
        "local-m": "a window is a place",
        "local-p": "a window is a place",
        "location-sensitive": "the convolution runs over places",
        "cumulative location-sensitive": "the convolution runs over places",
        "gaussian-mixture": "the bells stand at places",
        "gaussian-mixture-v2b": "the bells stand at places",
        "mocha": "a chunk is the slots just before, masked or not",
        **dict.fromkeys(PLACED, "distances to slots count"),
    },
    "keys are looked at": {
        "location": "the query alone scores",
        "fixed-slot": "the query alone scores",
        "gaussian-mixture": "the query alone places the bells",
        "gaussian-mixture-v2b": "the query alone places the bells",
    },
    "the gradient is the derivative": {
        "straight-through": "forward and backward differ on purpose (Bengio et al. 2013)",
        "gumbel": "forward and backward differ on purpose (Jang et al. 2017)",
    },
    "a bias is added to the scores": {
        "gaussian-mixture": "it has no scores, and refuses a bias",
        "gaussian-mixture-v2b": "it has no scores, and refuses a bias",
    },
    "a query that may look nowhere gets a context of zeros": {
        "fixed-slot": "zeros, of query and context, pass through the output projection",
        **dict.fromkeys(HEADS, "zeros pass through the output projection"),
    },
    "exact in float32": {
        "argmax": "a rounding may choose another slot",
        "straight-through": "a rounding may choose another slot",
        "gumbel": "a rounding may choose another slot",
        "reinforce": "a rounding may choose another slot",
        "local-m": "a rounding of the scores is all that differs, but windows of one dtype are compared elsewhere",
        "local-p": "a rounding of the centre may move the window",
    },
}


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a name that a reason may stand under."""
    return (name, name.removesuffix(", hard"), *name.split("+"))


def obeying(law: str) -> Any:
    """Parametrize a test over every mechanism that is not free from `law`."""
    free = FREE_FROM[law]
    names = [name for name in CASES if not any(part in free for part in parts_of(name))]
    return pytest.mark.parametrize("name", names)


every_mechanism = pytest.mark.parametrize("name", CASES)


@dataclass
class Case:
    """A mechanism, and the noise that it is given wherever it draws."""

    attend: Attention
    noise: Tensor | None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Attended:
        return self.attend(query, key, value, noise=self.noise_for(query), **options)

    def read(self, query: Tensor, memory: Any, state: Any = None, *, at: int = 0, **options: Any) -> Attended:
        """Read with the noise of the queries from `at` on."""
        # The queries are the last slots; the laws read them one after the other too.
        place = KEY - QUERY + at
        return self.attend.read(query, memory, state, noise=self.noise_for(query, at), place=place, **options)

    def noise_for(self, query: Tensor, at: int = 0) -> Tensor | None:
        if self.noise is None:
            return None
        count = query.shape[1] if query.dim() == 3 else 1
        return self.noise[: query.shape[0], at : at + count].to(query.dtype)


DRAWING = ("gumbel", "reinforce", "monotonic", "mocha")


def mechanism(name: str, dtype: torch.dtype = torch.float64) -> Case:
    """A mechanism of this name; the dot products need keys as wide as queries."""
    torch.manual_seed(1)
    if name in HEADS:
        several = heads(name).to(dtype)
        for part, parameter in several.named_parameters():
            if part.endswith("bias"):  # they begin as zeros, which say nothing
                torch.nn.init.normal_(parameter)
        return Case(several, None)
    widths = {"query_dim": QUERY_DIM, "key_dim": KEY_DIM, "hidden_dim": HIDDEN}
    if name == "visual":
        return Case(VisualAttention(**widths).to(dtype), None)
    if name.startswith("sca-cnn"):
        order = "spatial-channel" if name.endswith("places first") else "channel-spatial"
        return Case(SpatialChannelReading(**widths, order=order).to(dtype), None)
    if name == "coverage with fertility":
        return Case(CoverageAttention(**widths, fertility=2).to(dtype), None)
    if name == "cumulative location-sensitive":
        return Case(LocationSensitiveAttention(**widths, cumulative=True, kernel_size=3).to(dtype), None)
    plain = name.removesuffix(", hard")
    if parse(plain).mechanism in ("dot", "scaled-dot", "cosine", "gaussian-kernel"):
        widths["key_dim"] = QUERY_DIM
    attend = build(plain, **widths, slots=SLOTS, half_width=HALF_WIDTH)
    if isinstance(getattr(attend, "combine", None), torch.nn.Linear):
        # `build` takes the widths of a model whose keys are its values; here they differ.
        attend.combine = torch.nn.Linear(QUERY_DIM + VALUE_DIM, VALUE_DIM)
    if plain != name:  # so that some energies are above zero: an untrained one stops nowhere
        attend.g.data.fill_(6.0), attend.r.data.zero_()
    attend = attend.to(dtype).train(plain == name)
    draws = plain == name and any(part in DRAWING for part in parts_of(name))
    noise = torch.randn(BATCH, QUERY, KEY, dtype=torch.float64) if draws else None
    return Case(attend, noise)


def heads(name: str) -> MultiHeadAttention:
    """Several heads; what tells them apart stands in the name."""
    widths: Any = {"heads": 2, "value_dim": VALUE_DIM, "head_dim": (HEAD_DIM, 3)}
    match name:
        case "grouped heads":
            widths["heads"] = (4, 2)
        case "one shared head":
            widths["heads"] = (3, 1)
        case "content heads":
            inner = [
                AdditiveAttention(HEAD_DIM, HEAD_DIM, 4),
                GeneralAttention(HEAD_DIM, HEAD_DIM, normalizer=Sparsemax()),
            ]
            return ContentHeadAttention(QUERY_DIM, KEY_DIM, inner, **widths)
        case "one inner for all heads":
            widths["heads"] = (4, 2)
            return ContentHeadAttention(QUERY_DIM, KEY_DIM, AdditiveAttention(HEAD_DIM, HEAD_DIM, 4), **widths)
    positions = {
        "rotary heads": lambda: Rotary(4),
        "rotary heads, neighbours": lambda: Rotary(HEAD_DIM, layout="neighbours"),
        "alibi heads": Alibi,
        "bucketed heads": lambda: BucketedBias(2, buckets=8, furthest=5),
        "relative heads": lambda: RelativeVectors(HEAD_DIM, furthest=FURTHEST, value_dim=3),
    }
    return MultiHeadAttention(QUERY_DIM, KEY_DIM, **widths, positions=positions[name]() if name in positions else None)


def value_dim(attend: Attention) -> int:
    """How wide a value is: for all but those whose channels are weighed by the keys' not as wide as a key."""
    return attend.key_dim if isinstance(attend, SpatialChannelReading) else VALUE_DIM


def inputs(case: Case, dtype: torch.dtype = torch.float64, batch: int = BATCH) -> tuple[Tensor, Tensor, Tensor]:
    """A query, a key and a value that ask for gradients."""
    torch.manual_seed(2)
    attend = case.attend
    shapes = (batch, QUERY, attend.query_dim), (batch, KEY, attend.key_dim), (batch, KEY, value_dim(attend))
    query, key, value = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return query, key, value


def masks_of_every_kind() -> dict[str, Tensor]:
    """Padding, holes, causal order, one mask per query, a row that may look nowhere."""
    torch.manual_seed(3)
    nowhere = torch.rand(BATCH, QUERY, KEY) < 0.5
    nowhere[:, 1] = False
    return {
        "padding": torch.arange(KEY) < torch.tensor([[KEY], [2]]),
        "empty sentence": torch.arange(KEY) < torch.tensor([[4], [0]]),
        "holes": torch.tensor([[1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 1, 0]]).bool(),
        "causal": torch.ones(1, QUERY, KEY, dtype=torch.bool).tril(2),
        "one for all queries": (torch.arange(KEY) < 5)[None, None],
        "a query that may look nowhere": nowhere,
    }


MASKS = masks_of_every_kind()
every_mask = pytest.mark.parametrize("kind", MASKS)


def same_with_gradients(
    ours: Tensor, theirs: Tensor, given: tuple[Tensor, ...], *, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """The same answer in float32 and the same gradients to what was given."""
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    toward = torch.randn_like(ours)
    gradients = [torch.autograd.grad((x * toward).sum(), given) for x in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def full(mask: Tensor) -> Tensor:
    """The mask with all three axes written out."""
    return (mask[:, None] if mask.dim() == 2 else mask).expand(BATCH, QUERY, KEY)


def looked(attended: Attended) -> Tensor:
    """The weights over every slot; those of several heads are averaged, which no law is the weaker for."""
    weights = dense(attended.weights)
    assert weights is not None
    return weights.mean(1) if weights.dim() == 4 else weights


SCORES, NORMALIZERS, WINDOWS = named("score"), named("normalizer"), named("window")
