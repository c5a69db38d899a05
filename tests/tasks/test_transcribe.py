"""The recogniser of what is said: what it learns, when it heard it, what it measures and refuses."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from made import TRANSCRIBE, tones

from saccade.data.listed import ListFile
from saccade.data.recordings import features_of
from saccade.errors import DataError, MissingExtraError, OptionError
from saccade.runs import Run
from saccade.tasks.load import load
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.transcribe.transcriber import front_of
from saccade.tasks.write.writer import Found

soundfile = pytest.importorskip("soundfile", reason="needs soundfile: pip install 'saccade[audio]'")
COLUMNS = ("audio", "text")
KINDS = {
    "joint": {},
    "attention alone, gru, deltas": {"ctc": 0.0, "encoder": "gru", "decoder": "gru", "deltas": 1},
    "transformer": {"decoder": "transformer", "heads": 2, "attention": "none"},
    "no attention": {"attention": "none"},
    "ctc alone": {"ctc": 1.0, "decoder": "none"},
    "streaming": {"streaming": True, "attention": "mocha", "normalize": "training", "ctc": 0.0},
}


def saved(folder: Path, name: str, sound: np.ndarray, rate: int = 8000, **more: str) -> Path:
    soundfile.write(folder / name, sound, rate, **more)
    return folder / name


def listed(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def same(one, other, within=2e-4) -> None:
    assert (one.text, one.target, one.file, one.unit, one.extent) == (
        other.text,
        other.target,
        other.file,
        other.unit,
        other.extent,
    )
    assert one.score == pytest.approx(other.score, abs=5 * within)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None:
        np.testing.assert_allclose(one.weights, other.weights, atol=within)


@pytest.fixture
def heard(tmp_path) -> list[Path]:
    """Recordings of several lengths."""
    words = [["low"], ["mid", "high"], ["high", "low", "low", "mid", "mid"], ["mid", "low"]]
    return [saved(tmp_path, f"{n}.wav", tones(some, noise=99 + n)) for n, some in enumerate(words)]


@pytest.fixture(scope="module")
def features(tmp_path_factory, sounds) -> Path:
    """The recordings as .npy files of 16 features, with a list."""
    folder, front = tmp_path_factory.mktemp("features"), front_of(TranscribeOptions(**TRANSCRIBE, normalize="none"))
    lines = []
    for line in sounds.read_text().splitlines():
        name, text = line.split("\t")
        np.save(folder / f"{Path(name).stem}.npy", features_of(sounds.parent / name, front))
        lines.append(f"{Path(name).stem}.npy\t{text}")
    return listed(folder / "list.tsv", *lines)


def test_it_writes_down_what_it_never_heard(transcribe_run, sounds, heard):
    trained = load(transcribe_run)
    assert trained.evaluate(ListFile((sounds,), COLUMNS)).wer < 0.05
    assert trained(heard[1]).text == "mid high"
    answer = trained(heard[3])
    assert answer.text == "mid low"
    assert answer.target == ("mid", "low", "</s>")
    assert answer.line(scores=True) == f"mid low\t{answer.score:.4f}"


def test_what_was_heard_lies_along_the_sound(transcribe_run, tmp_path):
    answer = load(transcribe_run)(saved(tmp_path, "a.wav", tones(["low", "high"])))
    frames = answer.strip.shape[1]
    assert (answer.unit, answer.extent) == ("s", pytest.approx(frames * 0.01))
    assert answer.extent == pytest.approx(0.32, abs=0.02)
    assert answer.weights.shape == (len(answer.target), (frames + 1) // 2)
    # The highest band comes first: the low tone is loud at the bottom, in the first half.
    loudest = answer.strip.argmax(0)
    assert answer.strip.shape[0] == 16
    assert np.median(loudest[2 : frames // 3]) > np.median(loudest[frames // 2 + 4 : -8])


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_run_answers_as_the_one_that_was_trained_alone_and_in_company(tmp_path, train, sounds, heard, kind):
    trained = train(tmp_path / "run", TranscribeOptions(**{**TRANSCRIBE, **KINDS[kind]}), sounds)
    again = load(tmp_path / "run")
    for path, one, other in zip(heard, trained.answer(heard), again.answer(heard), strict=True):
        same(one, other, within=0)
        same(one, trained(path))
        assert (one.weights is None) == (kind in ("no attention", "ctc alone"))
        if one.weights is not None:
            assert one.weights.shape == (len(one.target), (one.strip.shape[1] + 1) // 2)
        assert one.strip.shape[0] == 16


@pytest.mark.parametrize("kind", ["joint", "transformer", "streaming"])
def test_resumed_it_ends_with_the_same_bits(resumed, sounds, kind):
    resumed(TranscribeOptions(**{**TRANSCRIBE, "masks": 2, "dropout": 0.2, **KINDS[kind]}), sounds)


def test_a_run_holds_what_it_should(tmp_path, train, sounds, features):
    for name, list_, kind in (("sound", sounds, "recordings"), ("ready", features, "features")):
        trained = train(tmp_path / name, TranscribeOptions(**TRANSCRIBE, normalize="training"), list_)
        scale = json.loads((tmp_path / name / "scale.json").read_text())
        assert (scale["kind"], len(scale["mean"]), trained.codec.kind) == (kind, 16, kind)
        data = Run(tmp_path / name).read_config()["data"]
        assert data["training_recordings"] + data["validation_recordings"] == 90
        assert set(data["longest"]) == {"input", "target"}
    plain = train(tmp_path / "plain", TranscribeOptions(**TRANSCRIBE), sounds)
    assert plain.codec.mean == (0.0,) * 16
    assert plain.codec.std == (1.0,) * 16


def test_ready_features_are_what_sound_would_be(tmp_path, train, sounds, features):
    """Of 16 numbers, whatever --mels says, and of the same numbers the same weights."""
    options = TranscribeOptions(**{**TRANSCRIBE, "mels": 99})
    ready = train(tmp_path / "ready", options, features, valid=(features,))
    heard = train(tmp_path / "heard", TranscribeOptions(**TRANSCRIBE), sounds, valid=(sounds,))
    one, other = ready(features.parent / "3.npy"), heard(sounds.parent / "3.wav")
    assert (one.text, one.target) == (other.text, other.target)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)
    assert (one.unit, one.extent) == ("frames", float(one.strip.shape[1]))
    assert ready.doubts(features.parent / "3.npy") == []


def test_files_of_two_kinds_and_widths_are_refused(tmp_path, train, sounds, features, transcribe_run):
    shutil.copytree(features.parent, tmp_path / "mixed")
    shutil.copy(sounds.parent / "3.wav", tmp_path / "mixed" / "three.wav")
    rows = features.read_text().splitlines()
    mixed = listed(tmp_path / "mixed" / "list.tsv", *rows, "three.wav\tlow")
    options = TranscribeOptions(**TRANSCRIBE)
    line = r"^expected either recordings or features \(\.npy\); got features as .*\.npy, recordings as .*three\.wav$"
    with pytest.raises(DataError, match=line):
        train(tmp_path / "run", options, mixed)
    np.save(tmp_path / "mixed" / "5.npy", np.zeros((9, 3), np.float32))
    wide = listed(tmp_path / "mixed" / "list.tsv", *rows)
    with pytest.raises(DataError, match=r"\.npy: expected (16|3) numbers a frame, as before; got (3|16)$"):
        train(tmp_path / "run", options, wide)
    with pytest.raises(DataError, match=r"5\.npy: expected 16 numbers a frame, as in training; got 3$"):
        train(tmp_path / "run", options, features, valid=(wide,))
    assert not (tmp_path / "run").exists()
    trained = train(tmp_path / "run", options, features)
    with pytest.raises(DataError, match=r"5\.npy: expected 16 numbers a frame, as in training; got 3$"):
        trained(tmp_path / "mixed" / "5.npy")
    with pytest.raises(DataError, match=r"3\.wav: expected features, as in training; got recordings$"):
        trained(sounds.parent / "3.wav")
    with pytest.raises(DataError, match=r"3\.npy: expected recordings, as in training; got features$"):
        load(transcribe_run)(features.parent / "3.npy")
    with pytest.raises(DataError, match=r"0\.npy: expected recordings, as in training; got features$"):
        train(tmp_path / "child", TranscribeOptions(), features, parent=transcribe_run)


def test_bad_recordings_are_left_out_counted_and_told(tmp_path, train, sounds):
    shutil.copytree(sounds.parent, tmp_path / "damaged")
    (tmp_path / "damaged" / "7.wav").write_bytes((sounds.parent / "7.wav").read_bytes()[:900])
    saved(tmp_path / "damaged", "8.wav", np.zeros(0))
    with open(tmp_path / "damaged" / "list.tsv", "a") as file:
        file.write("gone.wav\tlow\n")
    list_, said = tmp_path / "damaged" / "list.tsv", []
    options = TranscribeOptions(**TRANSCRIBE, skip_bad=True)
    trained = train(tmp_path / "run", options, list_, valid=(list_,), said=said)
    assert any(line.startswith("left out 2 training recordings that cannot be read, such as ") for line in said)
    left_out = Run(tmp_path / "run").read_config()["data"]["left_out"]
    assert left_out == {"missing": 1, "unreadable": 2, "too_long": 0}
    scores = trained.evaluate(ListFile((list_,), COLUMNS, skip_bad=True))
    assert (scores.recordings, scores.left_out) == (88, 3)
    with pytest.raises(DataError, match=r"got 1 of 91 that are not there: gone\.wav"):
        train(tmp_path / "other", TranscribeOptions(**TRANSCRIBE), list_)
    whole = listed(list_, *list_.read_text().splitlines()[:90])
    with pytest.raises(
        DataError, match=r"(7\.wav: expected a whole recording|8\.wav: expected a recording; got one wi)"
    ):
        train(tmp_path / "other", TranscribeOptions(**TRANSCRIBE), whole)


def test_figures_of_a_hand_made_case(tmp_path, transcribe_run, heard, monkeypatch):
    list_ = listed(tmp_path / "list.tsv", "0.wav\tlow", "1.wav\tmid high", "2.wav\thigh low low mid", "3.wav\tmid")
    said = ["low", "mid low", "high low mid", "mid mid"]
    trained = load(transcribe_run)
    monkeypatch.setattr(
        trained, "written", lambda arrays, *, beam, manner: [[Found(text, (), 0.0, None)] for text in said]
    )
    scores = trained.evaluate(ListFile((list_,), COLUMNS))
    assert (scores.substitutions, scores.deletions, scores.insertions, scores.words) == (1, 1, 1, 8)
    assert scores.wer == pytest.approx(3 / 8)
    assert scores.exact_match == pytest.approx(1 / 4)
    assert (scores.recordings, scores.left_out) == (4, 0)
    twice = listed(tmp_path / "twice.tsv", "0.wav\tlow", "0.wav\tlow")
    monkeypatch.setattr(trained, "written", lambda arrays, *, beam, manner: [[Found("low", (), 0.0, None)]])
    assert trained.evaluate(ListFile((twice,), COLUMNS)).exact_match == 1
    other = listed(tmp_path / "other.tsv", "0.wav\tlow", "0.wav\tmid")
    with pytest.raises(DataError, match=r"^expected one text of each recording; got 'low' and 'mid' of one$"):
        trained.evaluate(ListFile((other,), COLUMNS))


def test_a_record_is_json(transcribe_run, heard):
    trained = load(transcribe_run)
    best = trained.answers([heard[1]], beam=3, nbest=2)[0]
    record = json.loads(json.dumps(trained.record(heard[1], best)))
    assert record["file"] == str(heard[1])
    for found, answer in zip(record["answers"], best, strict=True):
        assert set(found) == {"text", "score", "target_tokens", "unit", "extent", "weights"}
        np.testing.assert_allclose(found["weights"], answer.weights, atol=1e-6)
    assert best[0].score >= best[1].score


SOUND = tones(["mid", "low"])
EVERY = {
    "8 kHz": (SOUND, 8000, {}, []),
    "44.1 kHz": (tones(["mid", "low"], 44100), 44100, {}, []),
    "stereo": (np.stack([SOUND, SOUND], 1), 8000, {}, []),
    "24 bit": (SOUND, 8000, {"subtype": "PCM_24"}, []),
    "flac": (SOUND, 8000, {"format": "FLAC"}, []),
    "4 kHz": (SOUND[::2], 4000, {}, ["recorded at 4000 Hz, below 8000: nothing above 2000 Hz is in it"]),
    "clipped": (np.clip(9 * SOUND, -1, 1), 8000, {}, ["clipped: "]),
    "silent": (np.zeros(4000), 8000, {}, ["silent: all samples are 0"]),
    "a single sample": (np.full(1, 0.5), 8000, {}, ["silent: all samples are 0.5"]),
}


@pytest.mark.parametrize("kind", EVERY)
def test_recordings_of_every_kind(transcribe_run, tmp_path, kind):
    sound, rate, more, doubts = EVERY[kind]
    path = saved(tmp_path, "a.wav", sound, rate, **more)
    trained = load(transcribe_run)
    found = trained.doubts(path)
    assert [line[: len(doubt)] for line, doubt in zip(found, doubts, strict=True)] == doubts
    answer = trained(path)
    if kind in ("8 kHz", "44.1 kHz", "stereo", "24 bit", "flac"):
        assert answer.text == "mid low"


@pytest.mark.parametrize("what", ["nothing", "half", "zero"])
def test_recordings_that_are_none(transcribe_run, tmp_path, what):
    path = saved(tmp_path, "a.wav", np.zeros(0) if what == "zero" else SOUND)
    if what != "zero":
        path.write_bytes(path.read_bytes()[: 0 if what == "nothing" else 1000])
    for ask in (load(transcribe_run), load(transcribe_run).doubts):
        with pytest.raises(DataError, match=r"^.*a\.wav: expected (a recording|a whole recording)"):
            ask(path)


@pytest.mark.parametrize(("library", "extra"), [("soundfile", "audio"), ("jiwer", "train"), ("rapidfuzz", "train")])
def test_a_library_that_is_missing_is_one_line(tmp_path, train, sounds, transcribe_run, monkeypatch, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    if library == "rapidfuzz":
        monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    trained = load(transcribe_run)
    asked = {
        "jiwer": [lambda: trained.evaluate(ListFile((sounds,), COLUMNS))],
        "soundfile": [lambda: trained(sounds.parent / "3.wav")],
        "rapidfuzz": [],
    }[library]
    if library != "jiwer":
        asked.append(lambda: train(tmp_path / "run", TranscribeOptions(**TRANSCRIBE), sounds))
    for ask in asked:
        with pytest.raises(MissingExtraError, match=rf"^this needs {library}.*: pip install 'saccade\[{extra}\]'$"):
            ask()
    assert library == "rapidfuzz" or not (tmp_path / "run").exists()


def test_fine_tuning(tmp_path, train, sounds, heard, transcribe_run):
    before = (transcribe_run / "weights.safetensors").read_bytes()
    child = train(tmp_path / "child", TranscribeOptions(learning_rate=1e-9, masks=1), sounds, parent=transcribe_run)
    assert (transcribe_run / "weights.safetensors").read_bytes() == before
    assert child(heard[1]).text == load(transcribe_run)(heard[1]).text
    assert Run(tmp_path / "child").read_config()["options"]["masks"] == 1
    with pytest.raises(OptionError, match=r"^--mels must stay 16, with which .* was made; got 40$"):
        train(tmp_path / "refused", TranscribeOptions(mels=40), sounds, parent=transcribe_run)
