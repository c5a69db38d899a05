"""Characters of words: each word is what it is alone, and padding has no influence."""

import re

import pytest
import torch
from torch import Tensor

from saccade.layers.characters import CharacterEncoder

BATCH, WORDS, CHARACTERS, EMBEDDING, DIM = 2, 3, 5, 7, 4
LENGTHS = torch.tensor([[5, 1, 3], [2, 0, 0]])
REAL = torch.arange(CHARACTERS) < LENGTHS[..., None]
kinds = pytest.mark.parametrize("kind", ["cnn", "lstm"])


def made(kind: str, dtype: torch.dtype = torch.float64) -> CharacterEncoder:
    torch.manual_seed(1)
    return CharacterEncoder(11, EMBEDDING, DIM, kind=kind).to(dtype)


def text() -> Tensor:
    torch.manual_seed(2)
    return torch.randint(1, 11, (BATCH, WORDS, CHARACTERS)).masked_fill(~REAL, 0)


def test_the_convolution_is_a_loop_over_windows():
    encode, x = made("cnn"), text()
    found = encode(x)
    weight, bias, table = encode.encoder.weight, encode.encoder.bias, encode.embedding.weight
    for b, w in REAL.any(-1).nonzero().tolist():
        word = [0, *x[b, w, : LENGTHS[b, w]].tolist(), 0]
        windows = zip(word, word[1:], word[2:], strict=False)
        values = [sum(weight[:, :, i] @ table[c] for i, c in enumerate(window)) + bias for window in windows]
        torch.testing.assert_close(found[b, w], torch.stack(values).amax(0), rtol=0, atol=1e-12)


def test_the_network_ends_at_the_ends_of_each_word():
    encode, x = made("lstm"), text()
    found = encode(x)
    for b, w in REAL.any(-1).nonzero().tolist():
        word = encode.embedding(x[b, w, : LENGTHS[b, w]])
        _, (last, _) = encode.encoder.layers[0](word[None])
        torch.testing.assert_close(found[b, w], last[:, 0].flatten(), rtol=0, atol=1e-12)


@kinds
def test_padding_has_no_influence(kind):
    encode, x = made(kind), text()
    found = encode(x)
    assert found.shape == (BATCH, WORDS, DIM)
    assert (found[LENGTHS == 0] == 0).all()
    assert (found[LENGTHS > 0] != 0).all()
    wider = torch.nn.functional.pad(x, (0, 3, 0, 2))
    torch.testing.assert_close(encode(wider)[:, :WORDS], found, rtol=0, atol=1e-12)
    assert (encode(wider)[:, WORDS:] == 0).all()
    for b, w in (LENGTHS > 0).nonzero().tolist():
        alone = encode(x[b, w, : LENGTHS[b, w]][None, None])
        torch.testing.assert_close(alone[0, 0], found[b, w], rtol=0, atol=1e-12)
    assert encode(torch.zeros_like(x)).tolist() == torch.zeros_like(found).tolist()
    encode(x).square().sum().backward()
    for parameter in encode.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0
    assert (encode.embedding.weight.grad[0] == 0).all()


@kinds
def test_a_word_that_occurs_several_times_is_itself_each_time(kind):
    encode, x, results = made(kind), text(), []
    other = x.flip(0).roll(1, 1)
    for batch in ([x, other, x], [x], [other], [x]):
        encode.zero_grad()
        found = encode(torch.cat(batch))
        found.sin().sum().backward()
        results.append([found, *(parameter.grad.clone() for parameter in encode.parameters())])
    for together, *alone in zip(*results, strict=True):
        joined = torch.cat(alone) if together.shape[1:] == (WORDS, DIM) else sum(alone)
        torch.testing.assert_close(together, joined, rtol=0, atol=1e-12)


@kinds
def test_a_batch_without_words_has_a_gradient(kind):
    encode = made(kind)
    encode(torch.zeros(BATCH, WORDS, CHARACTERS, dtype=torch.long)).sum().backward()
    assert all(parameter.grad is None or (parameter.grad == 0).all() for parameter in encode.parameters())


@kinds
def test_compiles_whole_exports_and_reloads(kind, tmp_path):
    encode, x = made(kind, torch.float32), text()
    expected = encode(x)
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # without it PyTorch compiles no recurrent network
        compiled = torch.compile(encode, fullgraph=True, backend="aot_eager")(x)
    torch.export.save(torch.export.export(encode, (x,)), tmp_path / "encode.pt2")
    for found in (compiled, torch.export.load(tmp_path / "encode.pt2").module()(x)):
        torch.testing.assert_close(found, expected)


@kinds
def test_low_precision_and_autocast(kind):
    exact, x = made(kind)(text()), text()
    with torch.autocast("cpu", torch.bfloat16):
        cast = made(kind, torch.float32)(x)
    torch.testing.assert_close(cast.double(), exact, rtol=0.1, atol=0.1)
    assert made(kind, torch.bfloat16)(x).dtype == torch.bfloat16


WRONG = {
    "x must be integers [batch, word, character]; got torch.int64 [3, 5]": lambda: made("cnn")(text()[0]),
    "x must be integers [batch, word, character]; got torch.float32 [2, 3, 5]": lambda: made("cnn")(text().float()),
    "x must have 0 behind the last character of a word alone": lambda: made("cnn")(text().flip(-1)),
    "kind must be cnn or lstm; got 'gru'": lambda: made("gru"),
    "embedding must be at least 1; got 0": lambda: CharacterEncoder(11, 0, DIM),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
