"""Series out of files: numbers, names and times as they stand there, and every mistake named with row and column."""

import gzip
import re
from datetime import datetime, timedelta

import numpy as np
import pytest

from saccade.data import arrays
from saccade.data.series import read_sequences, read_table
from saccade.errors import DataError, OptionError

CSV = "load,day,oil\n1.5,2024-02-28,-2\n 3 ,2024-02-29,4e1\n5,2024-03-01,6\n"
VALUES = [[1.5, -2.0], [3.0, 40.0], [5.0, 6.0]]


def table(tmp_path, text, name="a.csv", **options):
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_table(tmp_path / name, **options)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.CSV", "a.txt"])
@pytest.mark.parametrize(
    "change", [str, lambda t: "\ufeff" + t.replace("\n", "\r\n"), lambda t: t.replace("\n", "\n\n")]
)
def test_a_table_is_what_its_file_says(tmp_path, name, change):
    found = table(tmp_path, change(CSV), name)
    assert found.values.dtype == np.float32
    assert found.values.tolist() == VALUES
    assert found.names == ("load", "oil")
    assert found.times == ("2024-02-28", "2024-02-29", "2024-03-01")
    assert found.doubts == ()


@pytest.mark.parametrize(
    ("header", "first", "time"),
    [
        ("a,b", "1,2", None),
        ("a,Date", "1,2", "Date"),
        ("time,ds", "1,2", "time"),
        ("a,when", "1,2024-01-02 03:00", "when"),
        ("a,when", "1,2024-01", "when"),
        ("a,when", "1,20240102", None),  # a number, whatever else it may mean
        (",b", "0,2", ""),
        ("when,date", "2024-01-01,3", "when"),
    ],
)
def test_the_column_of_times_is_found(tmp_path, header, first, time):
    found = table(tmp_path, f"{header}\n{first}\n")
    assert set(header.split(",")) - set(found.names) == ({time} if time is not None else set())
    assert (found.times is None) == (time is None)


def test_the_column_of_times_can_be_named(tmp_path):
    found = table(tmp_path, "date,step\n5,1\n4,2\n3,4\n", time="step")
    assert (found.names, found.times) == (("date",), ("1", "2", "4"))
    assert found.doubts == (f"{tmp_path / 'a.csv'}:4: steps of time are uneven: 1 of 2 is not 1, and this is 2",)
    message = f"--time must be a column of {tmp_path / 'a.csv'}: date, step; got 'day'"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        read_table(tmp_path / "a.csv", time="day")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(OptionError, match="--time names a column of a CSV file"):
        read_table(tmp_path / "a.npy", time="day")


def times_of(start: str, steps: list[timedelta]) -> str:
    moments = [datetime.fromisoformat(start)]
    for step in steps:
        moments.append(moments[-1] + step)
    return "date,x\n" + "".join(f"{moment},{i}\n" for i, moment in enumerate(moments))


HOUR = timedelta(hours=1)
EVEN = {
    "hours": times_of("2024-03-30 20:00", [HOUR] * 9),
    "months": "date,x\n2023-11,1\n2023-12,2\n2024-01,3\n2024-02,4\n2024-03,5\n",
    "month ends": "date,x\n2023-11-30,1\n2023-12-31,2\n2024-01-31,3\n2024-02-29,4\n2024-03-31,5\n",
    "quarters": "date,x\n2023-10-05,1\n2024-01-05,2\n2024-04-05,3\n2024-07-05,4\n",
    "zones": "date,x\n2024-01-01 10:00+02:00,1\n2024-01-01 09:00Z,2\n2024-01-01 11:00+01:00,3\n",
    "tenths": "t,time\n" + "".join(f"{i},{i / 10}\n" for i in range(50)),
    "one row": "date,x\n2024-01-01,3\n",
}


@pytest.mark.parametrize("name", EVEN)
def test_even_times_raise_no_doubts(tmp_path, name):
    assert table(tmp_path, EVEN[name]).doubts == ()


UNEVEN = {
    times_of("2024-01-01", [HOUR] * 4 + [2 * HOUR] + [HOUR] * 3 + [HOUR / 2]): ":7: steps of time are uneven: 2 of 9 "
    "are not 1:00:00, and this is 2:00:00",
    "date,x\n2023-11-30,1\n2023-12-30,2\n2024-01-31,3\n": ":4: steps of time are uneven: 1 of 2 is not 30 days, "
    "0:00:00, and this is 32 days, 0:00:00",
    "date,x\n01.02.2024,1\n02.02.2024,2\n": ":2: times are not in ISO 8601 form ('01.02.2024'): their order was not "
    "checked",
}


@pytest.mark.parametrize("text", UNEVEN)
def test_uneven_times_are_a_doubt(tmp_path, text):
    assert table(tmp_path, text).doubts == (f"{tmp_path / 'a.csv'}{UNEVEN[text]}",)


NUMBER = ":3: expected a number in column 'x'; got "
MISTAKES = {
    "": ": expected CSV with a header; the file is empty",
    "x,y\n\n": ": expected rows of numbers under the header; the file has none",
    "date\n2024-01-01\n": ":1: expected a column of numbers; got 'date' alone, which is the time",
    "1,2\n3,4\n": ":1: expected a header, the names of the columns; got the number 1",
    "x,y,x\n1,2,3\n": ":1: expected columns of different names; got 'x' twice",
    "x,y,\n1,2,3\n": ":1: expected a name for every column; column 3 has none",
    "x;y\n1;2\n": ":1: expected columns with commas between; got 'x;y'",
    "x,y\n1,2\n3\n": ":3: expected 2 columns, as in the header; got 1",
    'x,y\n1,"2\n': ":2: expected CSV; got unexpected end of data",
    "x,y\n1,2\n,4\n": f"{NUMBER}a gap, ''",
    "x,y\n1,2\n NaN,4\n": f"{NUMBER}a gap, ' NaN'",
    "x,y\n1,2\nn/a,4\n": f"{NUMBER}a gap, 'n/a'",
    "x,y\n1,2\nhigh,4\n": f"{NUMBER}'high'",
    "x,y\n1,2\n1_0,4\n": f"{NUMBER}'1_0'",
    'x,y\n1,2\n"3,5",4\n': f"{NUMBER}'3,5'",
    "x,y\n1,2\n-inf,4\n": f"{NUMBER}-inf, which is infinite",
    "x,y\n1,2\n1e39,4\n": f"{NUMBER}1e39, too large for float32",
    "x,ds\n1,5\n3,5\n": ":3: expected times that grow in column 'ds'; got 5 after 5",
    "x,ds\n1,2024-01-02\n\n3,2024-01-01\n": ":4: expected times that grow in column 'ds'; got 2024-01-01 after "
    "2024-01-02",
    "x,ds\n1,2024-01-02\n3,soon\n": ":3: expected an ISO 8601 date in column 'ds', as in the first row; got 'soon'",
    "x,ds\n1,1\n3,\n": ":3: expected a number in column 'ds', as in the first row; got ''",
}


@pytest.mark.parametrize("text", MISTAKES)
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_mistakes_of_a_table_name_row_and_column(tmp_path, text, zipped):
    with pytest.raises(DataError) as error:
        table(tmp_path, text, f"a.csv{zipped}")
    assert str(error.value) == f"{tmp_path / 'a.csv'}{zipped}{MISTAKES[text]}"


def test_files_that_cannot_be_read(tmp_path):
    for name in ("no.csv", "no.npy"):
        with pytest.raises(DataError, match=f"{name}: expected a readable file; got No such file or directory$"):
            read_table(tmp_path / name)
    for paths in ([tmp_path / "no.npy"], [tmp_path / "no.npz"]):
        with pytest.raises(DataError, match=r"expected a readable file; got No such file or directory$"):
            read_sequences(paths, answered=False)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-9])
    with pytest.raises(DataError, match=r"a\.csv\.gz: expected a whole gzip file"):
        read_table(tmp_path / "a.csv.gz")


def test_variables_by_name(tmp_path):
    found = table(tmp_path, CSV)
    assert (found.places([]), found.places(["oil", "load"])) == ((0, 1), (1, 0))
    with pytest.raises(OptionError, match=r"^--columns must be of load, oil; got 'day'$"):
        found.places(["day"])
    with pytest.raises(OptionError, match=r"^--columns must name a variable once; got oil, oil$"):
        found.places(["oil", "oil"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_])
def test_arrays_of_every_kind_of_number(tmp_path, dtype):
    x, y = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype), np.arange(2 * 7).reshape(2, 7).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "both.npz", x=x, y=y, more=np.array(["a"]))
    np.savez_compressed(tmp_path / "small.npz", y=y, x=x)
    for paths in (["x.npy", "y.npy"], ["both.npz"], ["small.npz"]):
        found = read_sequences([tmp_path / path for path in paths])
        for mine, theirs in zip((found.inputs, found.targets), (x, y), strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_array_equal(mine, theirs)
    np.save(tmp_path / "t.npy", x[0])
    read = read_table(tmp_path / "t.npy")
    np.testing.assert_array_equal(read.values, x[0])
    assert (read.names, read.times) == (("0", "1", "2", "3", "4"), None)


def test_one_variable_and_one_number_need_no_axis(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 5)))
    np.save(tmp_path / "y.npy", np.ones(3))
    found = read_sequences([tmp_path / "x.npy", tmp_path / "y.npy"])
    assert (found.inputs.shape, found.targets.shape) == ((3, 5, 1), (3, 1))
    assert read_sequences([tmp_path / "x.npy"], answered=False).targets is None
    assert read_table(tmp_path / "y.npy").values.shape == (3, 1)


def test_float32_stays_on_the_disk(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 5, 2), np.float32))
    assert isinstance(read_sequences([tmp_path / "x.npy"], answered=False).inputs, np.memmap)


def test_what_is_not_finite_is_found_in_every_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_CHUNK", 20)
    for wrong in (float("nan"), float("inf"), 1e39):
        x = np.ones((11, 3, 5))
        x[7, 2, 4] = wrong
        np.save(tmp_path / "x.npy", x)
        said = f": expected finite numbers; got {wrong} at sequence 7, time 2, variable 4 (counted from 0)"
        with pytest.raises(DataError, match=re.escape(said)):
            read_sequences([tmp_path / "x.npy"], answered=False)


def saved(tmp_path, name, array):
    np.save(tmp_path / name, array, allow_pickle=True)
    return tmp_path / name


def zipped(tmp_path, **some):
    np.savez(tmp_path / "a.npz", **some)
    return tmp_path / "a.npz"


def raw(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


X, Y, OBJECTS = np.zeros((3, 5, 2)), np.zeros((3, 7)), np.array([{}, 1], dtype=object)
WRONG_ARRAYS = {
    "x.npy: expected an array of numbers; got objects": lambda t: [saved(t, "x.npy", OBJECTS), saved(t, "y.npy", Y)],
    "a.npz: expected an array of numbers; got objects": lambda t: [zipped(t, x=OBJECTS, y=Y)],
    "x.npy: expected an array of numbers; got one of <U1": lambda t: [
        saved(t, "x.npy", np.array([["a"]])),
        saved(t, "y.npy", Y),
    ],
    "x.npy: expected an array of numbers; got one of complex128": lambda t: [saved(t, "x.npy", X + 1j), t / "y.npy"],
    "x.npy: expected an array of numbers; got the magic string is not correct": lambda t: [
        raw(t, "x.npy", b"hello, I am text"),
        t / "y.npy",
    ],
    "x.npy: expected an array of numbers; got EOF": lambda t: [raw(t, "x.npy", b""), t / "y.npy"],
    "x.npy: expected an array of numbers; got mmap length is greater": lambda t: [
        raw(t, "x.npy", saved(t, "z.npy", X).read_bytes()[:-8]),
        t / "y.npy",
    ],
    "a.npz: expected a .npz file; got another kind of file": lambda t: [raw(t, "a.npz", b"hello, I am text")],
    "a.npz: expected an array of numbers; got Bad CRC-32 for file 'x.npy'": lambda t: [
        raw(t, "a.npz", zipped(t, x=X + 3, y=Y).read_bytes().replace(b"\x08@", b"\x18@", 1))
    ],
    "a.npz: expected arrays x, y; got inputs, targets": lambda t: [zipped(t, inputs=X, targets=Y)],
    "a.npz: expected arrays x and y; got x alone": lambda t: [zipped(t, x=X)],
    "a.npz: expected arrays x and y; got y alone": lambda t: [zipped(t, y=Y)],
    "a.npz:x: expected numbers of [sequence, time, variable]; got an array of [3]": lambda t: [
        zipped(t, x=np.zeros(3), y=Y)
    ],
    "a.npz:y: expected numbers of [sequence, output]; got an array of [3, 7, 1]": lambda t: [
        zipped(t, x=X, y=Y[..., None])
    ],
    "x.npy: expected numbers of [sequence, time, variable]; got an array of [0, 5, 2]": lambda t: [
        saved(t, "x.npy", X[:0]),
        saved(t, "y.npy", Y[:0]),
    ],
    "y.npy: expected targets of 3 sequences; got 2": lambda t: [saved(t, "x.npy", X), saved(t, "y.npy", Y[:2])],
    "expected two .npy files, of inputs and targets, or one .npz of x and y; got none": lambda t: [],
    "expected two .npy files, of inputs and targets, or one .npz of x and y; got a.csv": lambda t: [t / "a.csv"],
    "expected two .npy files, of inputs and targets, or one .npz of x and y; got x.npy": lambda t: [t / "x.npy"],
}


@pytest.mark.parametrize("message", WRONG_ARRAYS)
def test_mistakes_of_arrays(tmp_path, message):
    with pytest.raises(DataError) as error:
        read_sequences(WRONG_ARRAYS[message](tmp_path))
    assert str(error.value).replace(f"{tmp_path}/", "").startswith(message)
    assert "\n" not in str(error.value)
    assert "pickle" not in str(error.value)


def test_a_real_table(shared_data):
    found = read_table(shared_data / "etth1" / "ETTh1.csv")
    assert found.values.shape == (17420, 7)
    assert found.names == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    assert (found.times[0], found.times[-1], found.doubts) == ("2016-07-01 00:00:00", "2018-06-26 19:00:00", ())
    assert found.values[1, 6] == np.float32(27.78700065612793)
