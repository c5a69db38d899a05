"""Rows on disk, encoded pairs, the order they come in, and the part that is held out."""

import hashlib
import json
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.data import corpus as corpora
from saccade.data import heldout
from saccade.data import schedule as schedules
from saccade.data.corpus import Ragged, in_chunks, nested, read_rows, write_rows
from saccade.data.heldout import HeldOut
from saccade.data.paircorpus import PairCorpus, Vocabularies, collate, encode_pairs, reopen_pairs
from saccade.data.pairs import Pair, PairFile
from saccade.data.schedule import Schedule, TokenSchedule, in_order_of_length
from saccade.data.tokens import END, START, learn

PAIRS = [Pair(f"{n * 37 % 1000}", f"{n}" * (n % 7 + 1)) for n in range(251)]


ROWS = [(list(range(n * 3 % 11)), [-n] * (n % 2)) for n in range(13)]


def write(folder, name, columns, rows) -> Ragged:
    return write_rows(folder, name, columns, in_chunks(rows))


def test_rows_come_back_padded(tmp_path):
    write(tmp_path, "r", ("a", "b"), ROWS)
    for ragged in (write(tmp_path, "s", ("a", "b"), ROWS), read_rows(tmp_path, "r", ("a", "b"))):
        assert len(ragged) == 13
        for indices in ([0], [12, 3, 3, 0, 7], [0, 2], list(range(13))):
            for column in range(2):
                rows = [ROWS[i][column] for i in indices]
                longest = max(map(len, rows))
                found = ragged.padded(column, np.array(indices))
                assert found.tolist() == [row + [0] * (longest - len(row)) for row in rows]
                assert found.dtype == ragged.of(column, np.array(indices)).dtype == torch.long
                assert ragged.of(column, np.array(indices)).tolist() == list(map(len, rows))


def test_rows_may_all_be_empty_and_there_may_be_none(tmp_path):
    assert write(tmp_path, "r", ("a",), [([],), ([],)]).padded(0, np.array([1, 0])).shape == (2, 0)
    assert len(write(tmp_path, "s", ("a", "b"), [])) == len(read_rows(tmp_path, "s", ("a", "b"))) == 0


def traced(make) -> int:
    """Bytes that `make` has at most, beyond what was there."""
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_of_rows_nothing_is_in_memory_and_of_their_order_four_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(schedules, "_CHUNK", 1000)
    rows, ragged = [[1] * length for length in range(30, 40)], []

    def made(count: int) -> int:
        some = ((rows[i % 10],) for i in range(count))
        return traced(lambda: ragged.append(write(tmp_path, f"{count}", ("a",), some)))

    few, many = made(5_000), made(40_000)
    assert many - few < 35_000  # a byte for each row, at most
    (small, large) = (one.lengths[0] for one in ragged)
    for kind, sides in ((schedules.Schedule, 1), (schedules.TokenSchedule, 2)):

        def ordered(lengths, kind=kind, sides=sides) -> None:
            schedule = kind(*(lengths, 100) if sides == 1 else ([lengths] * 2, 4000), 0)
            assert len(schedule[schedule.per_epoch + 1]) > 0

        few, many = (traced(lambda lengths=lengths: ordered(lengths)) for lengths in (small, large))
        assert (many - few) / 35_000 < 4 + 4 * (sides - 1) + 4


def test_the_fingerprint_of_rows_sees_where_they_part(tmp_path):
    rows = [[([1], [2])], [([2], [1])], [([1, 2], [])], [([], [1, 2])], [([1], []), ([2], [])], []]
    found = {write(tmp_path, str(i), ("a", "b"), some).fingerprint for i, some in enumerate(rows)}
    assert len(found) == len(rows)


@pytest.mark.parametrize("read", [5, 1 << 16])
def test_the_fingerprint_is_that_of_every_row_after_the_other(tmp_path, monkeypatch, read):
    monkeypatch.setattr(corpora, "_READ", read)
    for count in (0, 1, 13, 2600):  # more than a chunk
        digest, rows = hashlib.sha256(), [ROWS[i % 13] for i in range(count)]
        for row in (row for example in rows for row in example):
            digest.update(np.array([len(row), *row], np.int32).tobytes())
        assert write(tmp_path, "r", ("a", "b"), rows).fingerprint == digest.hexdigest()
        assert read_rows(tmp_path, "r", ("a", "b")).fingerprint == digest.hexdigest()


@pytest.mark.parametrize("file", ["r.a", "r.b", "r.a.lengths", "r.b.begins"])
def test_files_that_were_not_written_to_their_end_are_noticed(tmp_path, file):
    before = write(tmp_path, "r", ("a", "b"), ROWS).fingerprint
    whole = (tmp_path / file).read_bytes()
    for data in (whole[:-4], whole[:-8], b"", whole + whole[:8], whole[:-4] + b"\1\2\0\0"):
        (tmp_path / file).write_bytes(data)
        try:
            found = read_rows(tmp_path, "r", ("a", "b")).fingerprint
        except ValueError:
            continue
        assert found != before
    (tmp_path / file).unlink()
    with pytest.raises(OSError, match=file):
        read_rows(tmp_path, "r", ("a", "b"))


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=5))
def test_nested_rows_are_cut_where_they_part(lengths):
    stretches = max(map(len, lengths))
    padded = torch.tensor([[*row, *[0] * (stretches - len(row))] for row in lengths], dtype=torch.long)
    time = int(padded.sum(1).max()) if stretches else 0
    flat = torch.arange(1, len(lengths) * time + 1).view(len(lengths), time)
    found = nested(flat, padded)
    longest = max((length for row in lengths for length in row), default=0)
    assert found.shape == (len(lengths), stretches, longest)
    for row, parts in enumerate(padded.tolist()):
        begin = 0
        for place, length in enumerate(parts):
            expected = flat[row, begin : begin + length].tolist()
            assert found[row, place].tolist() == expected + [0] * (longest - length)
            begin += length


def test_measuring_sees_every_example_once_like_lengths_together():
    lengths = np.array([3, 1, 2, 1, 5, 3, 2])
    found = in_order_of_length(lengths, 3)
    assert [len(some) for some in found] == [3, 3, 1]
    assert sorted(np.concatenate(found)) == list(range(7))
    assert lengths[np.concatenate(found)].tolist() == sorted(lengths)
    assert in_order_of_length(np.empty(0, np.int64), 3) == []


def vocabularies() -> Vocabularies:
    return Vocabularies(learn((p.source for p in PAIRS), "char"), learn((p.target for p in PAIRS), "char"))


def corpus(folder, pairs=PAIRS, name="c", max_length=99) -> PairCorpus:
    return encode_pairs(folder, name, pairs, vocabularies(), max_length)


def test_a_batch_holds_what_was_encoded(tmp_path):
    known, encoded = vocabularies(), corpus(tmp_path)
    assert len(encoded) == 251
    indices = np.array([3, 250, 0, 17])
    batch = encoded.batch(indices)
    for row, index in enumerate(indices):
        source, target = known.source.encode(PAIRS[index].source).ids, known.target.encode(PAIRS[index].target).ids
        length = int(batch.lengths[row])
        assert batch.source[row, :length].tolist() == source
        assert (batch.source[row, length:] == 0).all()
        assert batch.target[row].tolist() == target + [0] * (batch.target.shape[1] - len(target))
        assert batch.before[row, : len(target)].tolist() == [START, *target[:-1]]
    rows = [[known[side].encode(PAIRS[i][side]).ids for i in indices] for side in range(2)]
    for one, other in zip(collate(*rows), batch, strict=True):
        assert one is other is None or (one == other).all()


def test_long_and_unknown_are_counted(tmp_path):
    encoded = corpus(tmp_path, [*PAIRS[:9], Pair("1" * 40, "2"), Pair("x1", "y2")], max_length=40)
    assert (len(encoded), encoded.too_long, encoded.unknown) == (10, 1, 2)
    assert encoded.sizes.max() <= 40
    assert len(corpus(tmp_path, [Pair("1" * 40, "2")], "d", 40)) == 0


def test_the_fingerprint_sees_every_change(tmp_path):
    def fingerprint(pairs, name):
        return corpus(tmp_path, pairs, name).fingerprint

    same = fingerprint(PAIRS, "a")
    assert fingerprint(list(PAIRS), "b") == same
    assert fingerprint([*PAIRS[:-1], Pair("1", "2")], "c") != same
    assert fingerprint([PAIRS[1], PAIRS[0], *PAIRS[2:]], "d") != same
    assert fingerprint([Pair("12", "3")], "e") != fingerprint([Pair("1", "23")], "f")


def same(one: PairCorpus, other: PairCorpus | None) -> bool:
    assert other is not None
    counts = [(some.fingerprint, some.too_long, some.unknown, len(some)) for some in (one, other)]
    indices = np.arange(len(one))
    batches = [[part for part in some.batch(indices) if part is not None] for some in (one, other)]
    return counts[0] == counts[1] and all(torch.equal(*parts) for parts in zip(*batches, strict=True))


@pytest.mark.parametrize("copy", [False, True])
def test_encoded_pairs_are_reopened_as_they_were(tmp_path, copy):
    known = vocabularies()
    pairs = [*PAIRS, Pair("1" * 40, "2"), Pair("x1", "y2")]
    encoded = encode_pairs(tmp_path, "c", pairs, known, 30, copy=copy)
    assert (encoded.too_long, encoded.unknown) == (1, 2)
    assert same(encoded, reopen_pairs(tmp_path, "c", known, 30, copy=copy))
    assert reopen_pairs(tmp_path, "d", known, 30, copy=copy) is None
    assert reopen_pairs(tmp_path, "c", known, 31, copy=copy) is None
    other = Vocabularies(known.source, learn(["0123456789x"], "char"))
    assert reopen_pairs(tmp_path, "c", other, 30, copy=copy) is None
    for broken in ("", "[]", "{}", json.dumps({"made_with": 1})):
        (tmp_path / "c.json").write_text(broken)
        assert reopen_pairs(tmp_path, "c", known, 30, copy=copy) is None


@pytest.mark.parametrize(("size", "batch_size"), [(251, 7), (5, 32), (1, 1), (1000, 10)])
def test_every_epoch_is_a_permutation_decided_by_seed_and_step(size, batch_size):
    lengths = np.random.default_rng(1).integers(1, 50, size)
    schedule, again = (Schedule(lengths, batch_size, seed=3) for _ in range(2))
    steps = schedule.per_epoch * 3
    forward = [schedule[step].tolist() for step in range(steps)]
    backward = [again[step].tolist() for step in reversed(range(steps))][::-1]
    assert forward == backward
    for epoch in range(3):
        batches = forward[epoch * schedule.per_epoch : (epoch + 1) * schedule.per_epoch]
        assert sorted(index for batch in batches for index in batch) == list(range(size))
    if size > 100:
        assert forward != [Schedule(lengths, batch_size, seed=4)[step].tolist() for step in range(steps)]
        assert forward[: schedule.per_epoch] != forward[schedule.per_epoch : 2 * schedule.per_epoch]


def epoch_of(schedule, number: int) -> list[list[int]]:
    first = number * schedule.per_epoch
    return [schedule[step].tolist() for step in range(first, first + schedule.per_epoch)]


@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=120),
    st.integers(1, 400),
    st.integers(0, 3),
)
def test_batches_of_tokens_hold_no_more_unless_one_pair_does(pairs, most, seed):
    sides = np.array(pairs).T
    schedule, again = (TokenSchedule(sides, most, seed) for _ in range(2))
    for number in range(3):
        batches = epoch_of(schedule, number)
        assert sorted(index for batch in batches for index in batch) == list(range(len(pairs)))
        assert all(len(some) == 1 or len(some) * sides[:, some].max() <= most for some in batches)
    # Asked for in the middle of an epoch, as by a run that goes on, it gives what would have come.
    middle = schedule.per_epoch + schedule.per_epoch // 2
    assert [again[step].tolist() for step in range(middle, middle + 3)] == [
        schedule[step].tolist() for step in range(middle, middle + 3)
    ]


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_the_order_is_the_same_however_many_are_looked_at_together(monkeypatch, chunk):
    sides = np.random.default_rng(2).integers(1, 60, (2, 331))
    whole = TokenSchedule(sides, 300, seed=1)
    expected = [epoch_of(whole, number) for number in range(2)]
    monkeypatch.setattr(schedules, "_CHUNK", chunk)
    parts = TokenSchedule(sides, 300, seed=1)
    assert [epoch_of(parts, number) for number in range(2)] == expected


def test_batches_of_tokens_are_full_and_others_in_each_epoch():
    random = np.random.default_rng(1)
    source = np.clip(random.lognormal(2.5, 0.6, 20_000).astype(np.int64), 1, 200)
    sides = np.stack([source, np.clip(source + random.integers(-3, 4, len(source)), 1, 220)])
    schedule = TokenSchedule(sides, 2048, seed=0)
    batches = epoch_of(schedule, 0)
    padded = sum(len(some) * side[some].max() for some in batches for side in sides)
    assert padded / sides.sum() < 1.2
    assert padded / (2 * 2048 * len(batches)) > 0.85
    together = [{frozenset(some) for some in epoch_of(schedule, number)} for number in range(2)]
    assert len(together[0] & together[1]) < 0.05 * len(batches)
    firsts = [max(sides[0, some].max() for some in batches[begin : begin + 20]) for begin in range(0, 100, 20)]
    assert min(firsts) > 20, "short and long come mixed"
    assert epoch_of(TokenSchedule(sides, 2048, seed=1), 0) != batches


def test_a_line_of_ten_thousand_words_is_left_out_and_counted(tmp_path):
    pairs = [*PAIRS[:9], Pair("word " * 10_000, "1"), Pair("1", "12 " * 10_000)]
    encoded = corpus(tmp_path, pairs, max_length=1000)
    assert (len(encoded), encoded.too_long) == (9, 2)


def test_batches_hold_little_padding():
    lengths = np.random.default_rng(1).integers(1, 50, 5000)

    def share(batches) -> float:
        return sum(lengths[b].max() * len(b) for b in batches) / lengths.sum() - 1

    schedule = Schedule(lengths, 32, seed=0)
    random = np.array_split(np.random.default_rng(2).permutation(5000), 157)
    assert share([schedule[step] for step in range(schedule.per_epoch)]) < 0.1 < share(random)


def held(tmp_path, pairs, seed=0) -> HeldOut:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    return HeldOut(PairFile((path,)), seed, lambda pair: pair.source)


def test_the_held_out_part_shares_no_input_with_the_rest(tmp_path):
    pairs = [(f"s{n % 600}", f"t{n}") for n in range(1000)]
    part = held(tmp_path, pairs)
    training, out = list(part.training), list(part.held_out)
    assert sorted(training + out) == sorted(Pair(*pair) for pair in pairs)
    assert not {pair.source for pair in training} & {pair.source for pair in out}
    assert 50 <= len(out) == part.count <= 52
    assert list(held(tmp_path, pairs).held_out) == out
    assert list(held(tmp_path, pairs, seed=1).held_out) != out


@pytest.mark.parametrize(("size", "most"), [(60, 2000), (999, 20), (3000, 50)])
def test_what_is_held_out_are_the_smallest_hashes_however_many_are_looked_at_together(monkeypatch, size, most):
    examples = [str(n * 7 % (size // 2)) for n in range(size)]
    monkeypatch.setattr(heldout, "_MOST", most)
    expected = None
    for chunk in (1 << 16, 13, 1):
        monkeypatch.setattr(heldout, "_CHUNK", chunk)
        part = HeldOut(examples, 3, str)
        found = (part.count, list(part.held_out))
        expected = found if expected is None else expected
        assert found == expected
        hashes = sorted(map(part._hash, examples))
        assert part.count == sum(one <= hashes[min(max(size // 20, 1), most) - 1] for one in hashes)


def test_it_is_at_most_two_thousand(tmp_path):
    assert held(tmp_path, [(str(n), "x") for n in range(50_000)]).count == 2000


@pytest.mark.parametrize("pairs", [[("a", "b")], [("a", "b"), ("a", "c")]])
def test_too_few_inputs_to_part_are_used_for_both(tmp_path, pairs):
    part = held(tmp_path, pairs)
    assert part.shared
    assert list(part.training) == list(part.held_out) == [Pair(*pair) for pair in pairs]


def test_two_inputs_are_one_and_one(tmp_path):
    part = held(tmp_path, [("a", "b"), ("c", "d")])
    assert not part.shared
    assert len(list(part.training)) == len(list(part.held_out)) == 1


def test_the_end_token_is_in_every_row(tmp_path):
    batch = corpus(tmp_path).batch(np.arange(5))
    assert ((batch.source == END).sum(1) == 1).all()
    assert ((batch.target == END).sum(1) == 1).all()


def test_the_share_that_is_held_out_can_be_told():
    examples = [str(n) for n in range(200)]
    for share in (5, 10, 20):
        part = HeldOut(examples, 0, str, share=share)
        assert part.count == len(list(part.held_out)) == 200 // share
