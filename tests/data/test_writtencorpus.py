"""Arrays of many sizes and their texts on disk: batches are the examples, and the fingerprint sees every change."""

import weakref

import numpy as np
import pytest
import torch

from saccade.data.ragged import RaggedArrays
from saccade.data.tokens import END, PAD, START, UNKNOWN, learn
from saccade.data.writtencorpus import WrittenCorpus, collate

RANDOM = np.random.default_rng(2)
IMAGES = [RANDOM.integers(1, 256, (h, w, 3), np.uint8) for h, w in ((2, 7), (5, 3), (1, 1), (5, 7), (4, 2))]
SOUNDS = [RANDOM.normal(size=(time, 11)).astype(np.float32) for time in (7, 1, 13, 5, 2)]
TEXTS = ["a dog", "a", "a god dog", "do a dog go", "go"]
VOCABULARY = learn(TEXTS, "word")


def corpus(folder, arrays=IMAGES, texts=TEXTS, max_length=99) -> WrittenCorpus:
    return WrittenCorpus(folder, "some", zip(arrays, ([text] for text in texts), strict=True), VOCABULARY, max_length)


@pytest.mark.parametrize("arrays", [IMAGES, SOUNDS], ids=["images", "sounds"])
@pytest.mark.parametrize("indices", [[0, 1, 2, 3, 4], [4, 2], [2], [3, 3, 0]])
def test_padded_arrays_are_the_arrays_and_zeros(tmp_path, arrays, indices):
    ragged = RaggedArrays(tmp_path, "some", iter(arrays))
    assert len(ragged) == 5
    assert ragged.shapes.dtype == np.int64
    assert ragged.shapes.tolist() == [list(one.shape[:-1]) for one in arrays]
    chosen = [arrays[i] for i in indices]
    for padded, sizes in (ragged.padded(np.array(indices)), collate(chosen)):
        assert padded.dtype == torch.from_numpy(arrays[0]).dtype
        assert sizes.dtype == torch.int64
        assert sizes.tolist() == [list(one.shape[:-1]) for one in chosen]
        assert padded.shape == (len(indices), *sizes.max(0).values.tolist(), arrays[0].shape[-1])
        for row, one in zip(padded.numpy(), chosen, strict=True):
            inside = tuple(map(slice, one.shape))
            np.testing.assert_array_equal(row[inside], one)
            row[inside] = 0
            assert not row.any()


def test_arrays_of_one_kind(tmp_path):
    for other in (IMAGES[1].astype(np.float32), IMAGES[1][..., :1], IMAGES[1][0]):
        with pytest.raises(ValueError, match=r"arrays must have one dtype, .* uint8, 3, 3 as the first; got dtype"):
            RaggedArrays(tmp_path, "some", [IMAGES[0], other])


def test_views_are_written_as_they_read(tmp_path):
    turned = [one.transpose(1, 0, 2)[::-1] for one in IMAGES]
    padded, _ = RaggedArrays(tmp_path, "some", turned).padded([3])
    np.testing.assert_array_equal(padded[0], turned[3])


def test_nothing(tmp_path):
    ragged = RaggedArrays(tmp_path, "some", [])
    assert (len(ragged), ragged.shapes.shape) == (0, (0, 1))
    assert len(corpus(tmp_path, [], [])) == 0


def test_batches_are_the_examples(tmp_path):
    whole = corpus(tmp_path)
    assert len(whole) == 5
    assert whole.sizes.tolist() == [14, 15, 1, 35, 8]
    assert whole.target_sizes.tolist() == [3, 2, 4, 5, 2]
    batch = whole.batch(np.array([2, 1]))
    padded, sizes = collate([IMAGES[2], IMAGES[1]])
    assert torch.equal(batch.input, padded)
    assert torch.equal(batch.sizes, sizes)
    a, dog, god = (VOCABULARY.encode(word).ids[0] for word in ("a", "dog", "god"))
    assert batch.target.tolist() == [[a, god, dog, END], [a, END, PAD, PAD]]
    assert batch.before.tolist() == [[START, a, god, dog], [START, a, END, PAD]]
    assert batch.target.dtype == batch.before.dtype == torch.int64


def test_texts_that_are_too_long_are_left_out_and_counted(tmp_path):
    some = corpus(tmp_path, SOUNDS, max_length=3)
    assert (len(some), some.too_long, some.unknown) == (3, 2, 0)
    assert some.sizes.tolist() == [7, 1, 2]
    for place, index in enumerate((0, 1, 4)):
        batch = some.batch(np.array([place]))
        np.testing.assert_array_equal(batch.input[0], SOUNDS[index])
        assert VOCABULARY.decode(batch.target[0].tolist()) == TEXTS[index]


def test_an_array_with_several_texts_is_several_examples_and_written_once(tmp_path):
    several = [(IMAGES[0], ["a dog", "a god dog go", "go"]), (IMAGES[1], ["a god dog go"]), (IMAGES[2], ["a"])]
    some = WrittenCorpus(tmp_path, "some", several, VOCABULARY, 3)
    assert (len(some), some.too_long) == (3, 2)
    assert (tmp_path / "some.input").stat().st_size == IMAGES[0].size + IMAGES[2].size
    assert some.sizes.tolist() == [14, 14, 1]
    batch = some.batch(np.array([2, 1, 0]))
    padded, sizes = collate([IMAGES[2], IMAGES[0], IMAGES[0]])
    assert torch.equal(batch.input, padded)
    assert torch.equal(batch.sizes, sizes)
    assert [VOCABULARY.decode(row.tolist()) for row in batch.target] == ["a", "go", "a dog"]
    apart = [(one, [text]) for one, texts in several for text in texts]
    assert WrittenCorpus(tmp_path, "apart", apart, VOCABULARY, 3).fingerprint != some.fingerprint


def test_what_the_vocabulary_does_not_know_is_counted(tmp_path):
    some = corpus(tmp_path, texts=["a cat", "cat", "cat cat cat cat cat", "a", "go"], max_length=5)
    assert (some.too_long, some.unknown) == (1, 2)
    assert some.batch(np.array([1])).target.tolist() == [[UNKNOWN, END]]


def test_the_fingerprint_sees_every_change(tmp_path):
    brighter = [IMAGES[0] + 1, *IMAGES[1:]]
    across = [IMAGES[0].reshape(7, 2, 3), *IMAGES[1:]]
    same = corpus(tmp_path / ".").fingerprint
    assert corpus(tmp_path).fingerprint == same
    others = [
        corpus(tmp_path, brighter),
        corpus(tmp_path, across),
        corpus(tmp_path, texts=["a god", *TEXTS[1:]]),
        corpus(tmp_path, IMAGES[::-1], TEXTS[::-1]),
        corpus(tmp_path, IMAGES[:4], TEXTS[:4]),
        corpus(tmp_path, max_length=4),
    ]
    assert len({same, *(one.fingerprint for one in others)}) == 7


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    alive: list[weakref.ref] = []
    most = 0

    def examples():
        nonlocal most
        for number in range(1000):
            one = np.full((3, 2, 1), number % 256, np.uint8)
            alive.append(weakref.ref(one))
            alive[:] = [ref for ref in alive if ref() is not None]
            most = max(most, len(alive))
            yield one, ["a dog"]

    some = WrittenCorpus(tmp_path, "some", examples(), VOCABULARY, 9)
    assert len(some) == 1000
    assert most <= 66
    assert (tmp_path / "some.input").stat().st_size == 6000
    batch = some.batch(np.array([999, 0, 77]))
    assert batch.input[:, 0, 0, 0].tolist() == [999 % 256, 0, 77]
