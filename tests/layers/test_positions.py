"""Positions added to the input: waves are the scalar loops of the paper, padding shifts nothing, steps equal whole."""

import math
import re

import pytest
import torch
from torch import Tensor, nn

from saccade.layers.positions import LearnedPositions, SinusoidalPositions, SinusoidalPositions2d, sinusoids

BATCH, SLOT, DIM = 3, 7, 5
LENGTHS = (7, 4, 2)
KINDS = {"sinusoidal": lambda: SinusoidalPositions(DIM), "learned": lambda: LearnedPositions(DIM, 11)}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_side = pytest.mark.parametrize("side", ["left", "right"])


def made(kind: str) -> nn.Module:
    torch.manual_seed(1)
    return KINDS[kind]().double()


def sequence() -> Tensor:
    return torch.randn(BATCH, SLOT, DIM, dtype=torch.float64)


def real(side: str) -> Tensor:
    lengths, slot = torch.tensor(LENGTHS)[:, None], torch.arange(SLOT)
    return slot >= SLOT - lengths if side == "left" else slot < lengths


@pytest.mark.parametrize("dim", [1, 2, 5, 6])
def test_sinusoids_are_the_paper_s(dim):
    places = torch.tensor([[0, 1, 2], [9, 101, 4999]])
    found = sinusoids(places, dim, dtype=torch.float64)
    assert found.shape == (2, 3, dim)
    for row in range(2):
        for column in range(3):
            for j in range(dim):
                angle = int(places[row, column]) / 10_000 ** (2 * (j // 2) / dim)
                expected = math.sin(angle) if j % 2 == 0 else math.cos(angle)
                assert float(found[row, column, j]) == pytest.approx(expected, abs=1e-11)
    torch.testing.assert_close(sinusoids(places, dim), found.float(), rtol=0, atol=1e-3)  # the angle is 5000
    # What comes out low is float32 until then.
    torch.testing.assert_close(sinusoids(places, dim, dtype=torch.bfloat16), sinusoids(places, dim).bfloat16())


@every_kind
def test_each_slot_gets_the_vector_of_its_place(kind):
    add, x = made(kind), sequence()
    table = add.table.weight if kind == "learned" else sinusoids(torch.arange(11), DIM, dtype=torch.float64)
    start = torch.tensor([0, 4, 3])
    torch.testing.assert_close(add(x), x + table[:SLOT], rtol=0, atol=0)
    torch.testing.assert_close(add(x, start=3), x + table[3 : 3 + SLOT], rtol=0, atol=0)
    each = torch.stack([table[i : i + SLOT] for i in start])
    torch.testing.assert_close(add(x, start=start), x + each, rtol=0, atol=0)
    torch.testing.assert_close(add(x[:, 0], start=start), x[:, 0] + table[start], rtol=0, atol=0)


@every_kind
@every_side
def test_places_count_real_slots_alone(kind, side):
    add, x, mask = made(kind), sequence(), real(side)
    found = add(x, mask=mask)
    for row in range(BATCH):
        alone = add(x[row : row + 1, mask[row]])[0]
        torch.testing.assert_close(found[row, mask[row]], alone, rtol=0, atol=0)
        torch.testing.assert_close(found[row, ~mask[row]], x[row, ~mask[row]], rtol=0, atol=0)


@every_kind
@every_side
def test_step_by_step_equals_all_at_once(kind, side):
    add, x, mask = made(kind), sequence(), real(side)
    whole = add(x, mask=mask)
    for i in range(SLOT):
        start = mask[:, :i].sum(1)  # as in the mask of a cache
        step = add(x[:, i], start=start, mask=mask[:, i : i + 1])
        torch.testing.assert_close(step, whole[:, i], rtol=0, atol=0)
        rest = add(x[:, i:], start=start, mask=mask[:, i:])
        torch.testing.assert_close(rest, whole[:, i:], rtol=0, atol=0)


@every_side
def test_padding_teaches_no_vector(side):
    add, mask = made("learned"), real(side)
    add(sequence(), mask=mask).sum().backward()
    times = mask.sum(1)[:, None] > torch.arange(11)  # a row with n real slots has the places 0 to n - 1
    torch.testing.assert_close(add.table.weight.grad, times.sum(0)[:, None].double().expand(-1, DIM))


def test_places_at_the_end_of_the_table():
    """Padding beyond the table is nobody's place; a real slot there is a mistake."""
    add, x = LearnedPositions(DIM, 4).double(), sequence()
    mask = torch.arange(SLOT) < torch.tensor([[4], [4], [2]])
    torch.testing.assert_close(add(x, mask=mask)[:, :4][mask[:, :4]], add(x[:, :4])[mask[:, :4]])
    assert add(x[:, 0], start=torch.tensor([3, 0, 1])).shape == (BATCH, DIM)


@every_kind
def test_low_precision_in_low_precision_out(kind):
    add, x = made(kind), sequence()
    expected = add(x)
    found = add.bfloat16()(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=0.02, atol=0.02)


@every_kind
def test_compiles_whole_exports_and_reloads(kind, tmp_path):
    add, x, options = made(kind), sequence(), {"start": torch.tensor([0, 2, 3]), "mask": real("left")}
    expected = add(x, **options)
    torch.compiler.reset()
    compiled = torch.compile(add, fullgraph=True, backend="aot_eager")(x, **options)
    torch.export.save(torch.export.export(add, (x,), options), tmp_path / "add.pt2")
    reloaded = torch.export.load(tmp_path / "add.pt2").module()(x, **options)
    for found in (compiled, reloaded):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def add_to(*shape: int, kind: str = "learned", **options: object) -> Tensor:
    return KINDS[kind]()(torch.zeros(*shape), **options)


WRONG = {
    "dim must be at least 1; got 0": lambda: SinusoidalPositions(0),
    "slots must be at least 1; got 0": lambda: LearnedPositions(DIM, 0),
    "x must be [batch, slot, 5] or [batch, 5]; got [3, 7]": lambda: add_to(3, 7),
    "x must be [batch, slot, 5] or [batch, 5]; got [3, 2, 7, 5]": lambda: add_to(3, 2, 7, 5, kind="sinusoidal"),
    "start must be at least 0; got -1": lambda: add_to(3, 7, DIM, start=-1, kind="sinusoidal"),
    "start must be an int, or integers [batch] = [3]; got torch.int64 [2]": lambda: add_to(
        3, 7, DIM, start=torch.tensor([1, 2])
    ),
    "start must be an int, or integers [batch] = [3]; got torch.float32 [3]": lambda: add_to(
        3, 7, DIM, start=torch.zeros(3), kind="sinusoidal"
    ),
    "mask must be [batch, key] = [3, 7]; got [3, 5]": lambda: add_to(3, 7, DIM, mask=torch.ones(3, 5).bool()),
    "mask must be [batch, key] = [3, 1]; got [1, 1, 1]": lambda: add_to(3, DIM, mask=torch.ones(1, 1, 1).bool()),
    "mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)": lambda: add_to(
        3, 7, DIM, mask=torch.tensor([1, 2, 3])
    ),
    "places must be 0 to 10; got 12": lambda: add_to(2, 13, DIM),
    "places must be 0 to 10; got 11": lambda: add_to(2, DIM, start=torch.tensor([3, 11])),
    "places must be 0 to 10; got -2": lambda: add_to(2, DIM, start=torch.tensor([3, -2])),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()


def test_places_of_an_image_get_the_waves_of_row_and_column():
    add, x = SinusoidalPositions2d(6), torch.randn(2, 4, 5, 6, dtype=torch.float64)
    found = add(x)
    waves = sinusoids(torch.arange(5), 3, dtype=torch.float64)
    for row in range(4):
        for column in range(5):
            expected = x[:, row, column] + torch.cat([waves[row], waves[column]])
            torch.testing.assert_close(found[:, row, column], expected, rtol=0, atol=0)
    assert add(x.bfloat16()).dtype == torch.bfloat16


def test_padding_of_an_image_is_left_as_it_is():
    add, x = SinusoidalPositions2d(6), torch.randn(2, 4, 5, 6)
    mask = torch.zeros(2, 4, 5, dtype=torch.bool)
    mask[0] = mask[1, :3, :2] = True
    found = add(x, mask=mask)
    torch.testing.assert_close(found[0], add(x)[0])
    torch.testing.assert_close(found[1, :3, :2], add(x[1:, :3, :2])[0])
    assert torch.equal(found[1, 3:], x[1, 3:])
    assert torch.equal(found[1, :, 2:], x[1, :, 2:])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: SinusoidalPositions2d(5), "dim must be even, half for the row and half for the column; got 5"),
        (lambda: SinusoidalPositions2d(4)(torch.zeros(2, 3, 4)), "x must be [batch, row, column, 4]; got [2, 3, 4]"),
        (
            lambda: SinusoidalPositions2d(4)(torch.zeros(2, 3, 5, 4), mask=torch.ones(2, 5, 3).bool()),
            "mask must be boolean [batch, row, column] = [2, 3, 5]; got torch.bool [2, 5, 3]",
        ),
    ],
)
def test_what_is_no_image_is_refused(call, error):
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        call()
