"""Real files, where they are."""

from itertools import islice

from saccade.data.pairs import PairFile
from saccade.data.tokens import UNKNOWN, learn


def test_the_clock_times_of_the_tutorials(shared_data):
    pairs = list(PairFile((shared_data / "time" / "time.tsv",)))
    assert len(pairs) == 10_000
    assert len({pair.source for pair in pairs}) == 9_981
    vocabulary = learn((pair.source for pair in pairs), "char")
    assert all(vocabulary.decode(vocabulary.encode(pair.source).ids) == pair.source for pair in pairs[:500])


def test_aligned_gzipped_translations(shared_data):
    folder = shared_data / "multi30k"
    pairs = PairFile((folder / "val.de.gz", folder / "val.en.gz"))
    assert sum(1 for _ in pairs) == 1014
    for level in ("word", "bpe"):
        vocabulary = learn((pair.source for pair in pairs), level, 2000)
        test = [pair.source for pair in islice(PairFile((folder / "test_2016_flickr.de.gz",) * 2), 300)]
        unknown = sum(ids.count(UNKNOWN) for ids in vocabulary.encode_many(test))
        assert (unknown == 0) == (level == "bpe")
        if level == "bpe":
            assert [vocabulary.decode(ids) for ids in vocabulary.encode_many(test)] == test
