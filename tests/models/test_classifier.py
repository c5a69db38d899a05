"""The classifier: padding has no influence, empty texts neither, each weight learns, whatever reads and pools."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from saccade.attention.losses import redundancy_penalty
from saccade.attention.poolings import PLAIN, POOLINGS
from saccade.models.classifier import Classified, Classifier, ClassifierConfig, loss

VOCAB, LABELS, WORDS, HOPS = 17, 5, 7, 3
LENGTHS = torch.tensor([7, 1, 4, 0])
SENTENCES = torch.tensor([[7, 2, 1], [3, 5, 0], [1, 0, 0], [0, 0, 0]])
ENCODERS = ["lstm", "gru", "transformer", "none"]
READERS = [
    *(f"{encoder}, {pooling}" for encoder in ENCODERS for pooling in (*POOLINGS, *PLAIN) if pooling != "last"),
    *("lstm, last", "gru, last", "lstm, context-vector, multi-head", "gru, none, additive"),
    *("lstm, structured-self-attention, general+sparsemax", "transformer, bag, scaled-dot"),
]
every_reader = pytest.mark.parametrize("name", READERS)
both_shapes = pytest.mark.parametrize("documents", [False, True])


def made(name: str, *, documents: bool, dropout: float = 0.0) -> Classifier:
    torch.manual_seed(3)
    encoder, pooling, *more = name.split(", ")
    sizes = {"embedding": 6, "hidden": 10, "layers": 1, "heads": 2, "hops": HOPS, "dropout": dropout}
    config = ClassifierConfig(VOCAB, LABELS, pooling, encoder, **sizes, documents=documents)
    return Classifier(replace(config, self_attention=more[0] if more else "none")).double().eval()


def batch(*, documents: bool) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    lengths = SENTENCES if documents else LENGTHS
    ids = torch.randint(1, VOCAB, (*lengths.shape, WORDS))
    return ids.masked_fill(torch.arange(WORDS) >= lengths[..., None], 0), lengths


def close(found: Tensor | None, expected: Tensor | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None:
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@every_reader
@both_shapes
def test_padding_has_no_influence(name, documents):
    model, (ids, lengths) = made(name, documents=documents), batch(documents=documents)
    whole = model(ids, lengths)
    for one, other in zip(model(ids.masked_fill(ids == 0, 9), lengths), whole, strict=True):
        close(one, other)
    for row, length in enumerate(lengths):
        words, sentences = int(length.max()), int((length > 0).sum())
        cut = (slice(None, sentences), slice(None, words)) if documents else (slice(None, words),)
        alone = model(ids[row][cut][None], length[cut[:-1]][None])
        close(alone.logits[0], whole.logits[row])
        if whole.words is not None:
            there = whole.words[row, :sentences] if documents else whole.words[row]
            close(alone.words[0], there[..., :words])
        if whole.sentences is not None:
            close(alone.sentences[0], whole.sentences[row, ..., :sentences])


@every_reader
@both_shapes
def test_weights_sum_to_one_over_what_is_there(name, documents):
    model, (ids, lengths) = made(name, documents=documents), batch(documents=documents)
    logits, words, sentences = model(ids, lengths)
    assert logits.shape == (4, LABELS)
    close(logits[3], model.output.bias)
    pooling = name.split(", ")[1]
    hops = (HOPS,) if pooling in ("multi-hop", "structured-self-attention") else ()
    if pooling in PLAIN:
        assert words is sentences is None
        return
    real = torch.arange(WORDS) < lengths[..., None]
    assert words.shape == (*lengths.shape, *hops, WORDS)
    close(words.sum(-1), (lengths > 0).double().view(*lengths.shape, *(1 for _ in hops)).expand(words.shape[:-1]))
    assert (words.movedim(-1, lengths.dim())[~real] == 0).all()
    assert (sentences is not None) == documents
    if documents:
        assert sentences.shape == (4, *hops, 3)
        close(sentences.sum(-1), torch.tensor([1.0, 1, 1, 0]).double()[(..., *(None for _ in hops))].expand(4, *hops))
    assert model(ids, lengths, need_weights=False)[1:] == (None, None)


@every_reader
@both_shapes
def test_every_weight_learns(name, documents):
    model, (ids, lengths) = made(name, documents=documents, dropout=0.1).train(), batch(documents=documents)
    loss(model(ids, lengths), torch.tensor([1, 0, 4, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ["lstm, context-vector", "gru, structured-self-attention", "none, none"])
def test_a_document_is_its_sentences_read_one_by_one(name):
    """The word level over real sentences alone, in groups, is the word level over each by itself."""
    model, (ids, lengths) = made(name, documents=True), batch(documents=True)
    read = model.read
    whole = read(ids, mask=torch.arange(WORDS) < lengths[..., None], embed=model.embed)
    for row, length in enumerate(lengths[:3].tolist()):
        vectors = []
        for column, words in enumerate(n for n in length if n):
            real = torch.ones(1, words, dtype=torch.bool)
            context, weights, _ = read.words(model.embed(ids[row : row + 1, column, :words]), mask=real)
            vectors.append(context)
            if weights is not None:
                close(whole.words[row, column, ..., :words], weights[0])
        there = torch.ones(1, len(vectors), dtype=torch.bool)
        close(read.sentences(torch.stack(vectors, 1), mask=there).context[0], whole.vector[row])


@both_shapes
def test_nothing_at_all_is_judged_by_the_bias(documents):
    model = made("lstm, context-vector", documents=documents)
    empty = torch.zeros(2, *(0 for _ in range(1 + documents)), dtype=torch.long)
    close(model(empty, empty.sum(-1)).logits, model.output.bias.expand(2, -1))


@both_shapes
def test_what_is_dropped_is_chance_in_training_alone(documents):
    model, inputs = made("lstm, bag", documents=documents, dropout=0.5), batch(documents=documents)
    close(model(*inputs).logits, model(*inputs).logits)
    model.train()
    chances = [part for part in model.modules() if isinstance(part, nn.Dropout) and part.p == 0.5]
    assert len(chances) == 2 + documents  # of the embeddings, of the sentences, of what is pooled
    for part in chances:
        for other in chances:
            other.p = 0.5 * (other is part)
        assert not model(*inputs).logits.equal(model(*inputs).logits)


@pytest.mark.parametrize("name", ["lstm, context-vector", "transformer, structured-self-attention", "none, none"])
@both_shapes
def test_it_compiles_whole_and_exports(name, documents):
    model, inputs = made(name, documents=documents).float(), batch(documents=documents)
    expected = model(*inputs)
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # without it PyTorch compiles no recurrent network
        compiled = torch.compile(model, fullgraph=True, backend="eager")(*inputs)
    exported = torch.export.export(model, inputs).module()(*inputs)
    for found in (compiled, exported):
        assert isinstance(found, Classified)
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other)


def spelled(ids: Tensor, longest: int = 11) -> tuple[Tensor, Tensor]:
    """Which form each token is, and the characters of seven forms."""
    torch.manual_seed(5)
    characters = torch.randint(1, 13, (8, longest)).masked_fill(torch.arange(longest) > torch.arange(8)[:, None] + 2, 0)
    characters[0] = 0
    return torch.randint(1, 8, ids.shape).masked_fill(ids == 0, 0), characters


def reading(kind: str, *, documents: bool, encoder: str = "gru", dropout: float = 0.0) -> Classifier:
    torch.manual_seed(3)
    sizes = {"embedding": 6, "hidden": 10, "layers": 1, "dropout": dropout}
    characters = {"characters": 13, "character_embedding": 5, "character_hidden": 4, "character_encoder": kind}
    config = ClassifierConfig(VOCAB, LABELS, "bag", encoder, documents=documents, **sizes, **characters)
    return Classifier(config).double().eval()


every_spelling = pytest.mark.parametrize("kind", ["cnn", "lstm"])


@every_spelling
@both_shapes
def test_padding_of_characters_has_no_influence(kind, documents):
    model, (ids, lengths) = reading(kind, documents=documents), batch(documents=documents)
    forms, characters = spelled(ids)
    whole = model(ids, lengths, forms, characters)
    wide = torch.cat([characters, torch.zeros(8, 5, dtype=torch.long)], 1)
    for one, other in zip(model(ids, lengths, forms.masked_fill(ids == 0, 3), wide), whole, strict=True):
        close(one, other)
    for row, length in enumerate(lengths):
        words, sentences = int(length.max()), int((length > 0).sum())
        cut = (slice(None, sentences), slice(None, words)) if documents else (slice(None, words),)
        there, which = torch.cat([forms.new_zeros(1), forms[row][cut].flatten()]).unique(return_inverse=True)
        alone = characters[there][:, : max(int((characters[there] > 0).sum(1).max()), 1)]
        found = model(ids[row][cut][None], length[cut[:-1]][None], which[1:].view(1, *ids[row][cut].shape), alone)
        close(found.logits[0], whole.logits[row])


@every_spelling
@both_shapes
def test_every_weight_of_the_characters_learns_and_counts(kind, documents):
    model, (ids, lengths) = reading(kind, documents=documents, encoder="none").train(), batch(documents=documents)
    forms, characters = spelled(ids)
    found = model(ids, lengths, forms, characters)
    loss(found, torch.tensor([1, 0, 4, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, parameter_name
    other = characters.clone()
    other[int(forms.max()), 0] = 12
    assert not model(ids, lengths, forms, other).logits.equal(found.logits)


@every_spelling
@both_shapes
def test_a_classifier_of_characters_compiles_whole_and_exports(kind, documents):
    model, inputs = reading(kind, documents=documents).float(), batch(documents=documents)
    inputs = (*inputs, *spelled(inputs[0]))
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(model, fullgraph=True, backend="eager")(*inputs)
    exported = torch.export.export(model, inputs).module()(*inputs)
    for found in (compiled, exported):
        torch.testing.assert_close(found.logits, model(*inputs).logits)


def test_the_loss_of_one_label_and_of_several():
    torch.manual_seed(5)
    logits, weights = torch.randn(3, LABELS), torch.rand(LABELS)
    found = Classified(logits, None, None)
    labels = torch.tensor([4, 0, 2])
    expected = -sum(weights[y] * logits[i].log_softmax(0)[y] for i, y in enumerate(labels)) / weights[labels].sum()
    torch.testing.assert_close(loss(found, labels, class_weights=weights), expected)
    soft = torch.full((3, LABELS), 0.1 / LABELS).scatter_add(1, labels[:, None], torch.full((3, 1), 0.9))
    torch.testing.assert_close(loss(found, labels, smoothing=0.1), cross_entropy(logits, soft))
    several = torch.tensor([[1.0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    chance = logits.sigmoid()
    each = weights * several * chance.log() + (1 - several) * (1 - chance).log()
    torch.testing.assert_close(loss(found, several, class_weights=weights), -each.sum() / 3)
    smooth = binary_cross_entropy_with_logits(logits, several * 0.9 + 0.05, reduction="sum") / 3
    torch.testing.assert_close(loss(found, several, smoothing=0.1), smooth)


@both_shapes
def test_the_penalty_counts_what_is_there(documents):
    model = made("lstm, structured-self-attention", documents=documents)
    found = model(*batch(documents=documents))
    real = [found.words[SENTENCES > 0], found.sentences[:3]] if documents else [found.words[LENGTHS > 0]]
    expected = sum(redundancy_penalty(part).mean() for part in real)
    labels = torch.tensor([1, 0, 4, 2])
    close(loss(found, labels, penalty=0.5) - loss(found, labels), 0.5 * expected)


def test_words_begin_near_nothing():
    """Otherwise those seen once keep a vector of chance, as long as what others have learned."""
    torch.manual_seed(6)
    config = ClassifierConfig(1009, LABELS, "bag", "none", embedding=7, hidden=7, layers=1, dropout=0.0)
    table = Classifier(config).embed[0].table.weight
    assert table.std().item() == pytest.approx(0.1, rel=0.05)
    assert (table[0] == 0).all()


WRONG = {
    "ids must be [batch, word] with lengths [batch]; got [4, 3, 7] and [4, 3]": lambda: made(
        "lstm, bag", documents=False
    )(*batch(documents=True)),
    "ids must be [batch, sentence, word] with lengths [batch, sentence]; got [4, 7] and [4]": lambda: made(
        "lstm, bag", documents=True
    )(*batch(documents=False)),
    "penalty needs the weights of a pooling of several views or readings": lambda: loss(
        made("lstm, bag", documents=True)(*batch(documents=True)), torch.arange(4), penalty=1.0
    ),
    "forms and characters must be given to a classifier that reads them, and to no other": lambda: made(
        "lstm, bag", documents=False
    )(*batch(documents=False), *spelled(batch(documents=False)[0])),
    "forms must be shaped like ids, [4, 7], and characters [form, character]; got [4, 3] and [8, 11]": lambda: reading(
        "cnn", documents=False
    )(*batch(documents=False), *spelled(torch.ones(4, 3, dtype=torch.long))),
    "pooling last needs the states of an lstm or gru alone; got encoder none, self_attention none": lambda: made(
        "none, last", documents=False
    ),
    "pooling last needs the states of an lstm or gru alone; got encoder gru, self_attention dot": lambda: made(
        "gru, last, dot", documents=False
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
