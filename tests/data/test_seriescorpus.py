"""Standardised series: batches are windows and rows of the file, by the scale of the training part alone."""

import json

import numpy as np
import pytest

from saccade.data.seriescorpus import SeriesCodec, SeriesCorpus, SeriesFile, SeriesPart, Shape, checked, learn_codec
from saccade.data.seriescorpus import numbers as numbers_of
from saccade.errors import DataError, OptionError, RunError

ROWS, SHAPE = 41, Shape(7, 3)
RANDOM = np.random.default_rng(1)
TABLE = (RANDOM.normal(size=(ROWS, 3)) * [1, 20, 0.1] + [5, -40, 0]).astype(np.float32)
INPUTS = RANDOM.normal(3, 5, (13, 7, 2)).astype(np.float32)
ANSWERS = RANDOM.normal(-2, 9, (13, 5)).astype(np.float32)


def table(tmp_path, values=TABLE, columns=(), names="abc", file="t.csv") -> SeriesFile:
    path = tmp_path / file
    path.write_text("\n".join([",".join(names), *(",".join(map(repr, map(float, row))) for row in values)]) + "\n")
    return SeriesFile((path,), tuple(columns))


def sequences(tmp_path, inputs=INPUTS, answers=ANSWERS, **options) -> SeriesFile:
    np.savez(tmp_path / "s.npz", x=inputs, y=answers)
    return SeriesFile((tmp_path / "s.npz",), forecast=False, **options)


def test_windows_are_stretches_of_the_table_by_the_scale_of_the_training(tmp_path):
    file, training, validation = table(tmp_path, columns="cb"), range(29), range(29, ROWS)
    codec = learn_codec(SeriesPart(file, training), forecast=True, window=7)
    mean, std = TABLE[:29].mean(0, dtype=np.float64), TABLE[:29].std(0, dtype=np.float64)
    standard = (TABLE - mean) / std
    assert (codec.names, codec.targets, codec.steps) == (("a", "b", "c"), (2, 1), 7)
    for rows, shape, first in ((training, SHAPE, 0), (training, Shape(7, 3, 2), 0), (validation, SHAPE, 22)):
        corpus = SeriesCorpus(SeriesPart(file, rows), codec, shape)
        starts = range(first, rows.stop - 9, shape.stride)
        assert len(corpus) == len(starts) == len(corpus.sizes)
        batch = corpus.batch(np.arange(len(corpus)))
        for i, start in enumerate(starts):
            np.testing.assert_allclose(batch.past[i], standard[start : start + 7], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(batch.answer[i], standard[start + 7 : start + 10, [2, 1]], rtol=1e-5, atol=1e-6)


def test_sequences_are_rows_by_the_scale_of_the_training(tmp_path):
    file, training = sequences(tmp_path), np.array([0, 2, 3, 7, 12])
    codec = learn_codec(SeriesPart(file, training), forecast=False, window=99)
    assert (codec.names, codec.targets, codec.steps) == (("x1", "x2"), (), 7)
    inputs = (INPUTS - INPUTS[training].mean((0, 1))) / INPUTS[training].std((0, 1))
    answers = (ANSWERS - ANSWERS[training].mean(0)) / ANSWERS[training].std(0)
    rest = np.array([1, 4, 5])
    batch = SeriesCorpus(SeriesPart(file, rest), codec, None).batch(np.array([2, 0]))
    np.testing.assert_allclose(batch.past, inputs[[5, 1]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch.answer, answers[[5, 1]], rtol=1e-4, atol=1e-5)


def test_what_comes_after_the_training_part_does_not_change_the_scale(tmp_path):
    other = TABLE.copy()
    other[29:] *= 1000
    codecs = [
        learn_codec(SeriesPart(table(tmp_path, values, file=name), range(29)), forecast=True, window=7)
        for name, values in (("a.csv", TABLE), ("b.csv", other))
    ]
    assert codecs[0].to_json() == codecs[1].to_json()
    other = INPUTS.copy()
    other[5:] *= 1000
    codecs = [
        learn_codec(SeriesPart(sequences(tmp_path, values), np.arange(5)), forecast=False, window=7)
        for values in (INPUTS, other)
    ]
    assert codecs[0].to_json() == codecs[1].to_json()


def test_the_fingerprint_sees_every_change(tmp_path):
    codec = learn_codec(SeriesPart(table(tmp_path), range(29)), forecast=True, window=7)

    def fingerprint(values=TABLE, rows=range(29), shape=SHAPE, codec=codec):
        return SeriesCorpus(SeriesPart(table(tmp_path, values), rows), codec, shape).fingerprint

    other = TABLE.copy()
    other[3, 1] += 1e-3
    fewer = SeriesCodec(codec.names, (0,), 7, codec.inputs, codec.outputs.of([0]))
    found = [fingerprint(), fingerprint(other), fingerprint(rows=range(28)), fingerprint(shape=Shape(7, 2))]
    found += [fingerprint(shape=Shape(7, 3, 2)), fingerprint(shape=Shape(6, 3)), fingerprint(codec=fewer)]
    assert len(set(found)) == 7
    assert fingerprint() == found[0]
    part = SeriesPart(sequences(tmp_path), np.arange(13))
    codec = learn_codec(part, forecast=False, window=0)

    def fingerprint_of(inputs=INPUTS, answers=ANSWERS, rows=13):
        return SeriesCorpus(SeriesPart(sequences(tmp_path, inputs, answers), np.arange(rows)), codec, None).fingerprint

    swapped = [part[::-1].copy() for part in (INPUTS, ANSWERS)]
    found = [fingerprint_of(), fingerprint_of(INPUTS + 1), fingerprint_of(answers=ANSWERS + 1)]
    found += [fingerprint_of(*swapped), fingerprint_of(rows=12)]
    assert len(set(found)) == 5


def test_a_codec_is_what_was_written(tmp_path):
    codec = learn_codec(SeriesPart(table(tmp_path, columns="cb"), range(29)), forecast=True, window=7)
    path = tmp_path / "scale.json"
    path.write_text(codec.to_json())
    again = SeriesCodec.load(path)
    assert again.to_json() == codec.to_json()
    assert (again.names, again.targets, again.steps) == (codec.names, codec.targets, codec.steps)
    for text in ("", "{}", json.dumps({**json.loads(codec.to_json()), "inputs": 3}), "[1]"):
        path.write_text(text)
        with pytest.raises(RunError, match=r"scale\.json: expected the scale of a series; got "):
            SeriesCodec.load(path)


def test_other_variables_and_other_shapes_are_refused(tmp_path):
    codec = learn_codec(SeriesPart(table(tmp_path, columns="c"), range(29)), forecast=True, window=7)
    with pytest.raises(DataError, match=r"u\.csv: expected the variables of the training, a, b, c; got a, c, b$"):
        numbers_of(table(tmp_path, names="acb", file="u.csv"), codec)
    with pytest.raises(OptionError, match=r"^--columns must stay c, as in training; got b$"):
        numbers_of(table(tmp_path, columns="b"), codec)
    for part, shape, came in (
        (range(ROWS), Shape(39, 3), "39 \\+ 3 steps for 41"),
        (range(40, 41), SHAPE, "3 steps for"),
    ):
        with pytest.raises(OptionError, match=rf"t\.csv: --.* must fit .*: got {came}"):
            SeriesCorpus(SeriesPart(table(tmp_path, columns="c"), part), codec, shape)
    codec = learn_codec(SeriesPart(sequences(tmp_path), np.arange(13)), forecast=False, window=7)
    file = sequences(tmp_path, INPUTS[:, :6])
    with pytest.raises(
        DataError, match=r"s\.npz: expected sequences of \[time, variable\] = \[7, 2\], .* got \[6, 2\]$"
    ):
        checked(file, file.sequences().inputs, codec)
    with pytest.raises(DataError, match=r"s\.npz: expected 5 numbers for each sequence; got 4$"):
        SeriesCorpus(SeriesPart(sequences(tmp_path, answers=ANSWERS[:, :4]), np.arange(13)), codec, None)


def test_files_of_the_wrong_kind(tmp_path):
    csv = table(tmp_path)
    with pytest.raises(DataError, match=r"t\.csv: expected sequences, .* a table is forecast with --horizon$"):
        SeriesFile(csv.paths, forecast=False).sequences()
    with pytest.raises(DataError, match=r"s\.npz: expected a table, \.csv or \.npy; got another kind of file$"):
        SeriesFile(sequences(tmp_path).paths).table()
    with pytest.raises(DataError, match=r"^expected one file with a table; got 2 files$"):
        SeriesFile(csv.paths * 2).table()
    for option in ({"columns": ("a",)}, {"time": "t"}):
        with pytest.raises(OptionError, match=rf"^--{next(iter(option))} is for tables"):
            sequences(tmp_path, **option).sequences()
