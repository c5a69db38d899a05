"""Pointing and copying."""

import pytest
import torch
from laws import BATCH, KEY, MASKS, QUERY, full, inputs, mechanism
from test_laws import scalars
from torch import Tensor
from twins import ZERO, dot, plus, softmax

from saccade.attention.pointer import PointerGenerator, copied_share, copy_log_probabilities

VOCAB, STATE, TOKEN, CONTEXT = 5, 11, 3, 13


def twin(logits: list, weights: list, slots: list, h: list, s: list, x: list, w: dict) -> list:
    """P(w) over the extended vocabulary of one step, See et al. 2017, eq. 8 and 9."""
    p_gen = torch.sigmoid(plus([dot(w["gate.weight"][0], h + s + x)], w["gate.bias"])[0])
    p_vocab = softmax(logits, [True] * len(logits))
    chances = []
    for word in range(len(logits) + len(slots)):
        written = p_gen * p_vocab[word] if word < len(logits) else ZERO
        copied = sum((a for a, x_j in zip(weights, slots, strict=True) if x_j == word), ZERO)
        chances.append(written + (1 - p_gen) * copied)
    return chances


def example() -> tuple[PointerGenerator, list[Tensor], Tensor]:
    torch.manual_seed(1)
    shapes = (BATCH, QUERY, VOCAB), (BATCH, QUERY, CONTEXT), (BATCH, QUERY, STATE), (BATCH, QUERY, TOKEN)
    read = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    weights = torch.rand(BATCH, QUERY, KEY, dtype=torch.float64)
    weights[:, :, 5:] = 0
    weights[1] /= weights[1].sum(-1, keepdim=True)  # those of the first need not sum to one
    # Words that repeat, words of the source alone (5 to 8), and weight that is zero.
    slots = torch.tensor([[2, 5, 2, 6, 5, 7, 0], [8, 1, 8, 0, 4, 4, 4]])
    return PointerGenerator(CONTEXT, STATE, TOKEN).double(), [*read, weights.requires_grad_()], slots


def test_the_pointer_generator_equals_the_loops():
    write, (logits, context, state, token, weights), slots = example()
    learned = [logits, context, state, token, weights, *write.parameters()]
    ours = write(logits, weights, slots, context, state, token)
    w = {name: scalars(p) for name, p in write.named_parameters()}
    steps = zip(*(scalars(x.flatten(0, 1)) for x in (logits, weights, context, state, token)), strict=True)
    chances = [twin(one, a, slots[n // QUERY].tolist(), h, s, x, w) for n, (one, a, h, s, x) in enumerate(steps)]
    loops = torch.stack([torch.stack(row) for row in chances]).view(BATCH, QUERY, -1)
    torch.testing.assert_close(ours.exp(), loops, rtol=0, atol=1e-10)
    possible = torch.zeros(BATCH, VOCAB + KEY, dtype=torch.bool).scatter(1, slots, True)
    possible[:, :VOCAB] = True
    assert (ours.isfinite() == possible[:, None]).all()
    assert (ours[~ours.isfinite()] == -float("inf")).all()
    toward = torch.randn_like(loops)
    gradients = [torch.autograd.grad((x * toward).sum(), learned) for x in (ours.exp(), loops)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


def test_its_probabilities_sum_to_one_where_the_weights_do():
    write, (logits, context, state, token, weights), slots = example()
    total = write(logits, weights, slots, context, state, token).exp().sum(-1)
    torch.testing.assert_close(total[1], torch.ones(QUERY, dtype=torch.float64))
    written = write(logits, weights * 0, slots, context, state, token).exp().sum(-1)
    p_gen = write.gate(torch.cat([context, state, token], -1)).sigmoid()[..., 0]
    torch.testing.assert_close(written, p_gen, rtol=0, atol=1e-10)


def test_gradcheck():
    _, (logits, *_, weights), slots = example()
    gate, weights = torch.randn(BATCH, QUERY, dtype=torch.float64), weights.detach() + 0.1

    def finite(logits: Tensor, weights: Tensor, gate: Tensor) -> Tensor:
        found = copy_log_probabilities(logits.log_softmax(-1), weights, gate, slots, VOCAB + KEY)
        return found[found.isfinite()]

    assert torch.autograd.gradcheck(finite, (logits, weights.requires_grad_(), gate.requires_grad_()))


def test_one_step_equals_its_row_of_all():
    write, (logits, context, state, token, weights), slots = example()
    every = write(logits, weights, slots, context, state, token)
    for i in range(QUERY):
        step = write(*(x[:, i] for x in (logits, weights)), slots, *(x[:, i] for x in (context, state, token)))
        torch.testing.assert_close(step, every[:, i], rtol=0, atol=1e-14)


@pytest.mark.parametrize("key", [0, KEY])
def test_a_source_of_padding_or_of_nothing_is_only_written(key):
    vocabulary = torch.randn(BATCH, QUERY, VOCAB, requires_grad=True)
    weights, gate = torch.zeros(BATCH, QUERY, key, requires_grad=True), torch.randn(BATCH, QUERY, requires_grad=True)
    found = copy_log_probabilities(
        vocabulary.log_softmax(-1), weights, gate, torch.zeros(BATCH, key, dtype=torch.long), VOCAB + key
    )
    written = vocabulary.log_softmax(-1) + torch.nn.functional.logsigmoid(gate)[..., None]
    torch.testing.assert_close(found[..., :VOCAB], written)
    assert (found[..., VOCAB:] == -float("inf")).all()
    found[..., 1].sum().backward()
    assert all(x.grad.isfinite().all() for x in (vocabulary, weights, gate))


def test_a_word_that_hard_weights_miss_has_a_loss_and_a_gradient():
    weights = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    found = copy_log_probabilities(torch.zeros(1, 1), weights, torch.zeros(1), torch.tensor([[1, 2, 2]]), 4)
    loss = torch.nn.functional.cross_entropy(found, torch.tensor([2]))
    loss.backward()
    assert 25 < loss < 30
    assert weights.grad.isfinite().all()
    assert (weights.grad[0, 1:] < 0).all()


@pytest.mark.parametrize("gate", [-200.0, 0.0, 200.0])
def test_gradients_stay_finite_however_sure_the_gate_is(gate):
    _, (logits, *_, weights), slots = example()
    vocabulary, sure = logits.float().log_softmax(-1), torch.full((BATCH, QUERY), gate, requires_grad=True)
    copied = copy_log_probabilities(vocabulary, weights.float(), sure, slots, VOCAB + KEY)
    loss = torch.nn.functional.cross_entropy(copied.flatten(0, 1), torch.tensor([2, 5, 7, 8, 1, 4]))
    loss.backward()
    assert loss.isfinite()
    for tensor in (logits, weights, sure):
        assert tensor.grad.isfinite().all()


def test_it_is_computed_in_float32_under_autocast():
    write, (logits, context, state, token, weights), slots = example()
    read = [x.detach().float() for x in (logits, weights, context, state, token)]
    with torch.autocast("cpu", torch.bfloat16):
        found = write.float()(read[0], read[1], slots, *read[2:])
    assert found.dtype == torch.float32
    total = found.exp().sum(-1)[1]
    torch.testing.assert_close(total, torch.ones(QUERY), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", MASKS)
def test_a_pointer_gives_the_logarithm_of_its_weights(kind):
    case, (query, key, value) = mechanism("pointer"), inputs(mechanism("pointer"))
    memory = case.attend.remember(key, value, mask=MASKS[kind])
    chances = case.attend.log_probabilities(query, memory)
    torch.testing.assert_close(chances.exp(), case.attend.read(query, memory).weights, rtol=0, atol=1e-12)
    assert (chances[~full(MASKS[kind])] == -float("inf")).all()
    if MASKS[kind].dim() == 2:
        torch.testing.assert_close(case.attend.log_probabilities(query[:, 1], memory), chances[:, 1])
    chances[full(MASKS[kind])].sum().backward()
    assert query.grad.isfinite().all()


def test_the_copied_share_is_the_second_term_over_the_whole():
    write, (logits, context, state, token, weights), slots = example()
    with torch.no_grad():
        log_p, gate = write(logits, weights, slots, context, state, token), write.logit(context, state, token)
    words = torch.randint(VOCAB, (BATCH, QUERY))
    words[:, 0] = slots[:, 0]  # one that can be copied
    weights = weights.detach()
    found = copied_share(log_p, weights, gate, slots, words)
    for b in range(BATCH):
        for q in range(QUERY):
            mass = sum(float(weights[b, q, k]) for k in range(KEY) if slots[b, k] == words[b, q])
            share = (1 - float(gate[b, q].sigmoid())) * mass / float(log_p[b, q, words[b, q]].exp())
            assert float(found[b, q]) == pytest.approx(share, abs=1e-9)
    assert (found[:, 0] > 0).all()
    never = copied_share(log_p, weights, gate, torch.full_like(slots, VOCAB + KEY - 1), words)
    assert (never == 0).all()
