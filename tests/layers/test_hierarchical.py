"""Hierarchical attention: each sentence and each document is what it is alone, and nothing missing has influence."""

import re

import pytest
import torch
from torch import Tensor

from saccade.layers.hierarchical import Document, HierarchicalEncoder

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
            states = encode.word_encoder.layers[0](x[b : b + 1, i, :length])[0][0]
            hidden = torch.tanh(states @ encode.word_pool.hidden.weight.T + encode.word_pool.hidden.bias)
            weights = (hidden @ encode.word_pool.context).softmax(0)
            torch.testing.assert_close(found.words[b, i, :length], weights, rtol=0, atol=1e-12)
            vectors.append(weights @ states)
        states = encode.sentence_encoder.layers[0](torch.stack(vectors)[None])[0][0]
        hidden = torch.tanh(states @ encode.sentence_pool.hidden.weight.T + encode.sentence_pool.hidden.bias)
        weights = (hidden @ encode.sentence_pool.context).softmax(0)
        torch.testing.assert_close(found.sentences[b, : len(real)], weights, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.vector[b], weights @ states, rtol=0, atol=1e-12)
    assert (found.vector[2] == 0).all()
    assert (found.words[~MASK] == 0).all()
    assert (found.sentences[LENGTHS == 0] == 0).all()


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
