"""Vectors of words: some are read as unknown in training, never afterwards, and padding is always zero."""

import re

import pytest
import torch

from saccade.layers.embedding import TokenEmbedding

SIZE, DIM = 11, 3


def test_words_are_dropped_in_training_alone():
    embed, tokens = TokenEmbedding(SIZE, DIM, unknown=2, drop=0.3), torch.full((101, 103), 5)
    tokens[:, :7] = 0
    unknown, own = embed.table.weight[2], embed.table.weight[5]
    found = embed.train()(tokens)
    dropped, kept = (found == unknown).all(-1), (found == own).all(-1)
    assert (dropped | kept)[:, 7:].all()
    assert (found[:, :7] == 0).all()
    assert dropped[:, 7:].float().mean() == pytest.approx(0.3, abs=0.03)
    assert not torch.equal(embed(tokens), found)  # drawn anew
    assert (embed.eval()(tokens)[:, 7:] == own).all()
    assert (TokenEmbedding(SIZE, DIM, unknown=2).train()(tokens)[:, 7:, 0].unique()).numel() == 1


def test_unknown_words_learn_from_dropped_ones():
    embed = TokenEmbedding(SIZE, DIM, unknown=2, drop=0.5).train()
    embed(torch.full((53,), 5)).sum().backward()
    counts = embed.table.weight.grad[:, 0]
    assert counts[2] > 0
    assert counts[2] + counts[5] == 53
    embed.zero_grad()
    embed(torch.zeros(53, dtype=torch.long)).sum().backward()
    assert (embed.table.weight.grad == 0).all()


def test_vectors_are_taken_where_they_were_found():
    embed, values = TokenEmbedding(SIZE, DIM, unknown=2), torch.randn(SIZE, DIM, dtype=torch.float64)
    before, found = embed.table.weight.clone(), torch.arange(SIZE) % 3 == 0
    values[~found] = torch.nan
    embed.load(values, found)
    after = embed.table.weight
    assert after.requires_grad
    assert torch.equal(after[~found], before[~found])
    assert torch.equal(after[found][1:], values.float()[found][1:])
    assert (after[0] == 0).all()


def test_compiles_whole():
    embed, tokens = TokenEmbedding(SIZE, DIM, unknown=2, drop=0.5).eval(), torch.randint(SIZE, (5, 7))
    torch.compiler.reset()
    compiled = torch.compile(embed, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(tokens), embed(tokens))
    assert compiled.train()(tokens).shape == (5, 7, DIM)


EMBED = TokenEmbedding(SIZE, DIM, unknown=2)
WRONG = {
    "unknown must be a token of 1 to 10; got 11": lambda: TokenEmbedding(SIZE, DIM, unknown=11),
    "unknown must be a token of 1 to 10; got 0": lambda: TokenEmbedding(SIZE, DIM, unknown=0),
    "drop must be at least 0 and below 1; got 1.0": lambda: TokenEmbedding(SIZE, DIM, unknown=2, drop=1.0),
    "dim must be at least 1; got 0": lambda: TokenEmbedding(SIZE, 0, unknown=2),
    "values must be [size, dim] = [11, 3]; got [3, 11]": lambda: EMBED.load(torch.zeros(3, 11), torch.ones(3).bool()),
    "found must be boolean [size] = [11]; got torch.float32 [11]": lambda: EMBED.load(
        torch.zeros(SIZE, DIM), torch.ones(SIZE)
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
