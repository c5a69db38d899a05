"""Hierarchical attention: each sentence and each document is what it is alone, and nothing missing has influence."""

import re

import pytest
import torch
from torch import Tensor

from saccade.layers.hierarchical import Document, HierarchicalEncoder, Hierarchy, alike

BATCH, SENTENCES, WORDS, DIM = 3, 5, 7, 2
LENGTHS = torch.tensor([[7, 3, 1, 4, 2], [2, 5, 0, 0, 0], [0, 0, 0, 0, 0]])
MASK = torch.arange(WORDS) < LENGTHS[..., None]


def made(dtype: torch.dtype = torch.float64, cell: str = "gru") -> HierarchicalEncoder:
    torch.manual_seed(1)
    return HierarchicalEncoder(DIM, word_dim=6, sentence_dim=4, cell=cell).to(dtype)


def text(dtype: torch.dtype = torch.float64) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(BATCH, SENTENCES, WORDS, DIM, dtype=dtype)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_is_its_parts_one_sentence_after_the_other(cell):
    """Without padding, sentence by sentence: PyTorch's own network, then the formula of the paper."""
    encode, x = made(cell=cell), text()
    found = encode(x, mask=MASK)
    for b in range(BATCH - 1):
        vectors, real = [], [int(n) for n in LENGTHS[b] if n]
        for i, length in enumerate(real):
            states = encode.words.encoder.layers[0](x[b : b + 1, i, :length])[0][0]
            hidden = torch.tanh(states @ encode.words.pool.hidden.weight.T + encode.words.pool.hidden.bias)
            weights = (hidden @ encode.words.pool.context).softmax(0)
            torch.testing.assert_close(found.words[b, i, :length], weights, rtol=0, atol=1e-12)
            vectors.append(weights @ states)
        states = encode.sentences.encoder.layers[0](torch.stack(vectors)[None])[0][0]
        hidden = torch.tanh(states @ encode.sentences.pool.hidden.weight.T + encode.sentences.pool.hidden.bias)
        weights = (hidden @ encode.sentences.pool.context).softmax(0)
        torch.testing.assert_close(found.sentences[b, : len(real)], weights, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.vector[b], weights @ states, rtol=0, atol=1e-12)
    assert (found.vector[2] == 0).all()
    assert (found.words[~MASK] == 0).all()
    assert (found.sentences[LENGTHS == 0] == 0).all()


@pytest.mark.parametrize("pooling", ["none", "last", "bag", "structured-self-attention"])
def test_any_pooling_and_none(pooling):
    torch.manual_seed(1)
    encode = HierarchicalEncoder(DIM, word_dim=6, sentence_dim=4, pooling=pooling, hops=3).double()
    hops = (3,) if pooling == "structured-self-attention" else ()
    document = encode(text(), mask=MASK)
    assert document.vector.shape == (BATCH, 4 * (3 if hops else 1))
    assert (document.vector[2] == 0).all()
    if pooling in ("none", "last"):
        assert document[1:] == (None, None)
    else:
        assert document.words.shape == (BATCH, SENTENCES, *hops, WORDS)
        assert document.sentences.shape == (BATCH, *hops, SENTENCES)


class Seen(torch.nn.Module):
    """An embedding that counts what it is asked for."""

    tokens = 0

    def forward(self, ids: Tensor) -> Tensor:
        self.tokens += ids.numel()
        return torch.stack([ids, ids**2], -1).double()


def test_what_is_missing_makes_no_work():
    encode, seen = made(), Seen()
    ids = torch.arange(BATCH * SENTENCES * WORDS).view(BATCH, SENTENCES, WORDS) / 100
    found = Hierarchy(encode.words, encode.sentences)(ids, mask=MASK, embed=seen)
    for one, other in zip(found, encode(torch.stack([ids, ids**2], -1).double(), mask=MASK), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert LENGTHS.sum() <= seen.tokens < 2 * LENGTHS.sum()


def test_groups_hold_what_is_there_and_little_else():
    torch.manual_seed(3)
    lengths = torch.randint(0, 180, (977,))
    groups = alike(lengths)
    assert torch.cat(groups).sort().values.equal(lengths.nonzero().flatten())
    for rows in groups:
        of_group = lengths[rows]
        assert of_group.equal(of_group.sort().values)
        assert of_group[-1] < 2 * of_group[0]
    assert len(groups) == 8
    assert alike(torch.zeros(3, dtype=torch.long)) == []


def test_nothing_leaks_from_what_is_missing():
    encode, found = made(), []
    for poison in (0.0, float("nan")):
        x = text()
        x[~MASK] = poison
        x.requires_grad_()
        encode.zero_grad()
        document = encode(x, mask=MASK)
        (document.vector.square().sum() + document.words.square().sum() + document.sentences.square().sum()).backward()
        found.append([*document, x.grad, *(p.grad.clone() for p in encode.parameters())])
    for clean, dirty in zip(*found, strict=True):
        assert dirty.isfinite().all()
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)


def test_compiles_whole_exports_and_reloads(tmp_path):
    encode, x = made(torch.float32), text(torch.float32)
    expected = encode(x, mask=MASK)
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # without it PyTorch compiles no recurrent network
        compiled = torch.compile(encode, fullgraph=True, backend="aot_eager")(x, mask=MASK)
    torch.export.save(torch.export.export(encode, (x,), {"mask": MASK}), tmp_path / "encode.pt2")
    reloaded = torch.export.load(tmp_path / "encode.pt2").module()(x, mask=MASK)
    for found in (compiled, reloaded):
        assert isinstance(found, Document)
        for mine, other in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, other)


def test_low_precision_and_autocast():
    exact, x = made()(text(), mask=MASK), text(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        cast = made(torch.float32)(x, mask=MASK)
    for one, other in zip(cast, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0.1, atol=0.1)


HOLES = MASK.clone()
HOLES[0, 0, 3] = False
WRONG = {
    "x must be [batch, sentence, word, 2]; got [3, 7, 2]": lambda: made()(torch.zeros(3, 7, 2)),
    "mask must be boolean [batch, sentence, word] = [3, 5, 7]; got torch.bool [3, 5]": lambda: made()(
        text(), mask=MASK.any(-1)
    ),
    "mask must leave out words at the end alone, as a recurrent network reads them in order": lambda: made()(
        text(), mask=HOLES
    ),
    "mask must leave out sentences at the end alone, as a recurrent network reads them in order": lambda: made()(
        text(), mask=MASK[:, [0, 2, 1, 3, 4]]
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
