"""The tagger: padding has no influence, its loss and its probabilities are those of its tags, every part trains."""

import itertools
import re

import pytest
import torch
from torch import Tensor

from saccade.attention.poolings import SELF_ATTENTIONS
from saccade.data.spans import span_constraints
from saccade.models.tagger import Chosen, Emitted, Tagger, TaggerConfig

BATCH, TIME, CHARACTERS, WORDS, LETTERS, TAGS = 3, 5, 4, 17, 11, 3
LENGTHS = torch.tensor([5, 2, 3])
MASK = torch.arange(TIME) < LENGTHS[:, None]
BIO = span_constraints(["B-x", "I-x", "O"])
KINDS = {
    "softmax": {"output": "softmax"},
    "crf": {},
    "gru of two layers": {"encoder": "gru", "layers": 2},
    "transformer": {"encoder": "transformer", "layers": 2},
    "transformer, additive": {"encoder": "transformer", "attention": "additive"},
    "no characters": {"characters": 0},
    "characters, lstm": {"character_encoder": "lstm"},
    **{name: {"attention": name} for name in SELF_ATTENTIONS if name != "none"},
    "general+sparsemax": {"attention": "general+sparsemax"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
some_kinds = pytest.mark.parametrize("kind", ["softmax", "crf", "transformer", "characters, lstm", "multi-head"])


def made(kind: str, dropout: float = 0.0, constrained: bool = False) -> Tagger:
    torch.manual_seed(1)
    sizes = {"embedding": 5, "character_embedding": 3, "character_hidden": 4, "hidden": 6, "heads": 2}
    options = {"characters": LETTERS, **sizes, "dropout": dropout, "word_dropout": dropout, **KINDS[kind]}
    tagger = Tagger(TaggerConfig(WORDS, TAGS, **options), constraints=BIO if constrained else None).double().eval()
    with torch.no_grad():
        for parameter in tagger.parameters():
            parameter += 0.3 * torch.randn_like(parameter)  # a random field begins with zeros
        tagger.embedding.table.weight[0] = 0.0
    return tagger


def text() -> tuple[Tensor, Tensor, Tensor]:
    """Words, characters of two to four, tags that keep to BIO."""
    torch.manual_seed(2)
    words, lengths = torch.randint(1, WORDS, (BATCH, TIME)), torch.randint(2, CHARACTERS + 1, (BATCH, TIME, 1))
    characters = torch.randint(1, LETTERS, (BATCH, TIME, CHARACTERS)).masked_fill(
        torch.arange(CHARACTERS) >= lengths, 0
    )
    tags = torch.tensor([[0, 1, 1, 2, 0], [2, 0, 0, 0, 0], [0, 2, 2, 0, 0]])
    return words.masked_fill(~MASK, 0), characters.masked_fill(~MASK[..., None], 0), tags


def read(tagger: Tagger, words: Tensor, lengths: Tensor, characters: Tensor) -> Emitted:
    return tagger(words, lengths, characters if tagger.config.characters else None)


@every_kind
def test_padding_has_no_influence(kind):
    tagger, (words, characters, tags) = made(kind), text()
    emitted = read(tagger, words, LENGTHS, characters)
    loss, (best, probability) = tagger.loss(emitted, tags, LENGTHS), tagger.best(emitted, LENGTHS)
    for part in (emitted.logits, best, probability):
        assert (part[~MASK] == 0).all()
    other = read(tagger, words.masked_fill(~MASK, 7), LENGTHS, characters.masked_fill(~MASK[..., None], 5))
    torch.testing.assert_close(other, emitted, rtol=0, atol=0)
    torch.testing.assert_close(tagger.loss(other, tags.masked_fill(~MASK, 2), LENGTHS), loss, rtol=0, atol=0)
    junk = emitted._replace(logits=emitted.logits + torch.rand(TAGS) * ~MASK[..., None])
    torch.testing.assert_close(tagger.loss(junk, tags, LENGTHS), loss, rtol=0, atol=0)
    torch.testing.assert_close(tagger.best(junk, LENGTHS), (best, probability), rtol=0, atol=0)
    for b, length in enumerate(LENGTHS.tolist()):
        one = slice(b, b + 1), slice(0, length)
        alone = read(tagger, words[one], LENGTHS[b : b + 1], characters[one])
        torch.testing.assert_close(alone.logits[0], emitted.logits[b, :length], rtol=0, atol=1e-12)
        torch.testing.assert_close(tagger.loss(alone, tags[one], LENGTHS[b : b + 1])[0], loss[b], rtol=0, atol=1e-11)
        found = tagger.best(alone, LENGTHS[b : b + 1])
        assert found.tags[0].tolist() == best[b, :length].tolist()
        torch.testing.assert_close(found.probability[0], probability[b, :length], rtol=0, atol=1e-12)
        if emitted.weights is not None:
            torch.testing.assert_close(alone.weights[0], emitted.weights[b, ..., :length, :length], rtol=0, atol=1e-12)
            assert (emitted.weights[b, ..., length:] == 0).all()
            assert (emitted.weights[b, ..., length:, :] == 0).all()


@every_kind
def test_weights_are_those_of_the_attention(kind):
    tagger, (words, characters, _) = made(kind), text()
    emitted = read(tagger, words, LENGTHS, characters)
    headed = tagger.config.attention == "multi-head" or kind == "transformer"
    if tagger.config.attention == "none" and kind != "transformer":
        assert emitted.weights is None
    else:
        assert emitted.weights.shape == ((BATCH, 2, TIME, TIME) if headed else (BATCH, TIME, TIME))
        if "sigmoid" not in kind:
            expected = MASK.double()[:, None] if headed else MASK.double()
            torch.testing.assert_close(emitted.weights.sum(-1), expected.expand(emitted.weights.shape[:-1]))
    inputs = (words, LENGTHS, characters) if tagger.config.characters else (words, LENGTHS)
    logits, weights = tagger(*inputs, need_weights=False)
    assert weights is None
    torch.testing.assert_close(logits, emitted.logits, rtol=0, atol=1e-12)


def test_a_transformer_knows_places_and_shows_its_last_layer():
    tagger, (words, characters, _) = made("transformer"), text()
    lengths, found = torch.full((BATCH,), TIME), []
    tagger.encoder.stack.layers[-1].register_forward_hook(lambda layer, inputs, output: found.append(output.weights))
    one = read(tagger, words, lengths, characters)
    torch.testing.assert_close(one.weights, found[0], rtol=0, atol=0)
    other = read(tagger, words.flip(1), lengths, characters.flip(1))
    assert (other.logits.flip(1) - one.logits).abs().amax((1, 2)).min() > 1e-3


@pytest.mark.parametrize("kind", ["softmax", "crf"])
def test_the_loss_is_that_of_a_probability_of_all_sequences(kind):
    tagger, (words, characters, tags) = made(kind, constrained=kind == "crf"), text()
    emitted = read(tagger, words, LENGTHS, characters)
    best, probability = tagger.best(emitted, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        every = torch.tensor([*itertools.product(range(TAGS), repeat=length)])
        one = Emitted(emitted.logits[b : b + 1, :length].expand(len(every), -1, -1), None)
        chances = (-tagger.loss(one, every, torch.full((len(every),), length))).exp()
        torch.testing.assert_close(chances.sum(), torch.ones((), dtype=torch.float64))
        assert every[chances.argmax()].tolist() == best[b, :length].tolist()
        own = torch.stack([chances[every[:, t] == best[b, t]].sum() for t in range(length)])
        torch.testing.assert_close(probability[b, :length], own)
        chosen = (every == tags[b, :length]).all(1)
        torch.testing.assert_close(chances[chosen].log().neg()[0], tagger.loss(emitted, tags, LENGTHS)[b])


def test_tags_that_may_not_follow_each_other_never_do():
    tagger, (words, characters, _) = made("crf", constrained=True), text()
    emitted = read(tagger, words, LENGTHS, characters)
    emitted = emitted._replace(logits=emitted.logits + torch.tensor([0.0, 50.0, 0.0]) * MASK[..., None])  # I-x, always
    best, _ = tagger.best(emitted, LENGTHS)
    assert best[0].tolist() == [0, 1, 1, 1, 1]
    assert made("crf").best(emitted, LENGTHS).tags[0].tolist() == [1, 1, 1, 1, 1]


def test_words_begin_near_nothing_and_are_dropped_as_configured():
    embedding = Tagger(TaggerConfig(1009, TAGS, word_dropout=0.4, unknown=2)).embedding
    assert (embedding.drop, embedding.unknown) == (0.4, 2)
    assert float(embedding.table.weight.detach().std()) == pytest.approx(0.1, rel=0.05)


@every_kind
def test_every_weight_learns(kind):
    tagger, (words, characters, tags) = made(kind, dropout=0.1).train(), text()
    tagger.loss(read(tagger, words, LENGTHS, characters), tags, LENGTHS).sum().backward()
    for name, parameter in tagger.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("key.bias"), name  # a bias of keys changes no weight


@pytest.mark.parametrize("kind", ["softmax", "crf", "transformer, additive", "multi-head"])
def test_a_sentence_without_words(kind):
    tagger, (words, characters, tags) = made(kind), text()
    lengths = torch.tensor([5, 0, 3])
    emitted = read(tagger, words, lengths, characters)
    loss, (best, probability) = tagger.loss(emitted, tags, lengths), tagger.best(emitted, lengths)
    assert (loss[1], best[1].sum(), probability[1].sum()) == (0, 0, 0)
    loss.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in tagger.parameters())
    torch.testing.assert_close(emitted.logits[[0, 2]], read(tagger, words, LENGTHS, characters).logits[[0, 2]])


@pytest.mark.parametrize("kind", ["softmax", "multi-head"])
def test_compiles_whole_exports_and_reloads(kind, tmp_path):
    tagger, (words, characters, tags) = made(kind).float(), text()

    class Everything(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tagger = tagger

        def forward(self, words: Tensor, lengths: Tensor, characters: Tensor) -> tuple[Emitted, Tensor, Chosen]:
            emitted = self.tagger(words, lengths, characters)
            return emitted, self.tagger.loss(emitted, tags, lengths), self.tagger.best(emitted, lengths)

    program, inputs = Everything(), (words, LENGTHS, characters)
    expected = program(*inputs)
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # without it PyTorch compiles no recurrent network
        compiled = torch.compile(program, fullgraph=True, backend="aot_eager")(*inputs)
    torch.export.save(torch.export.export(program, inputs), tmp_path / "tagger.pt2")
    for found in (compiled, torch.export.load(tmp_path / "tagger.pt2").module()(*inputs)):
        assert isinstance(found[0], Emitted)
        assert isinstance(found[2], Chosen)
        torch.testing.assert_close(found, expected)


@some_kinds
def test_low_precision_under_autocast(kind):
    tagger, (words, characters, tags) = made(kind), text()
    exact = tagger.loss(read(tagger, words, LENGTHS, characters), tags, LENGTHS)
    tagger = tagger.float()
    with torch.autocast("cpu", torch.bfloat16):
        emitted = read(tagger, words, LENGTHS, characters)
        loss, best = tagger.loss(emitted, tags, LENGTHS), tagger.best(emitted, LENGTHS)
    assert loss.dtype == best.probability.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=0.1, atol=0.1)


def test_it_learns_what_only_characters_and_neighbours_tell():
    """Words are all unknown; the tag is whether the word before has one of two characters."""
    torch.manual_seed(3)
    sizes = {"embedding": 2, "character_embedding": 8, "character_hidden": 8, "hidden": 16, "dropout": 0.0}
    tagger, lengths = Tagger(TaggerConfig(4, 2, 5, **sizes)), torch.arange(32) % 7 + 1
    optimizer = torch.optim.Adam(tagger.parameters(), 0.03)
    for _ in range(40):
        letters = torch.randint(1, 5, (32, 7))
        tags = torch.nn.functional.pad((letters[:, :-1] > 2).long(), (1, 0))
        emitted = tagger(torch.ones_like(letters), lengths, letters[..., None])
        optimizer.zero_grad()
        tagger.loss(emitted, tags, lengths).sum().backward()
        optimizer.step()
    real = torch.arange(7) < lengths[:, None]
    assert (tagger.best(emitted, lengths).tags == tags)[real].all()


WRONG = {
    "characters must be given to a tagger that reads them, and to no other; got none": lambda: made("crf")(
        text()[0], LENGTHS
    ),
    "characters must be given to a tagger that reads them, and to no other; got [3, 5, 4]": lambda: made(
        "no characters"
    )(text()[0], LENGTHS, text()[1]),
    "characters must be [batch, time, character] = [3, 5, characters]; got [3, 4, 4]": lambda: made("crf")(
        text()[0], LENGTHS, text()[1][:, :4]
    ),
    "words must be [batch, time], as 3 lengths; got [2, 5]": lambda: made("no characters")(text()[0][:2], LENGTHS),
    "lengths must be at most size = 4; got 5": lambda: made("no characters")(text()[0][:, :4], LENGTHS),
    "constraints are those of a crf; got output 'softmax'": lambda: made("softmax", constrained=True),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()


def test_self_attention_takes_no_window():
    with pytest.raises(ValueError, match=r"^self_attention must be of none, multi-head, "):
        Tagger(TaggerConfig(WORDS, TAGS, attention="local-p"))
