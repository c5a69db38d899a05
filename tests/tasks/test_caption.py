"""The captioner of images and the reader of lines: what they learn, look at, measure and refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from made import CAPTION, LINES, draw_line, paint
from PIL import Image

from saccade.data.listed import ListFile
from saccade.errors import DataError, OptionError, RunError
from saccade.runs import Run
from saccade.tasks.caption.captioner import ImageCaption, LineText
from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.caption.task import Caption
from saccade.tasks.load import load
from saccade.tasks.write.writer import Found

COLUMNS = ("image", "caption")
KINDS = {
    "regions": {},
    "sca-cnn, cbam": {"attention": "sca-cnn", "gates": "cbam"},
    "hard": {"attention": "visual+reinforce"},
    "transformer": {"decoder": "transformer", "heads": 2},
    "no attention": {"attention": "none"},
    "grey, location-sensitive": {"attention": "location-sensitive", "grey": True},
    "lines": LINES,
    "lines, ctc alone": {**LINES, "ctc": 1.0, "decoder": "none"},
}


def saved(folder: Path, name: str, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def listed(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """Images of many sizes, two of them of squares."""
    return [
        saved(tmp_path, "a.png", paint("red", "blue")),
        saved(tmp_path, "b.png", paint("green", "red", 12, 24)),
        saved(tmp_path, "tall.png", np.full((90, 11, 3), 99, np.uint8)),
        saved(tmp_path, "wide.png", draw_line("abcdabca")),
        saved(tmp_path, "dot.png", np.zeros((1, 1, 3), np.uint8)),
    ]


def same(one, other, within=2e-4) -> None:
    assert (one.text, one.target, one.file) == (other.text, other.target, other.file)
    assert one.score == pytest.approx(other.score, abs=5 * within)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None:
        np.testing.assert_allclose(one.weights, other.weights, atol=within)


def test_it_says_what_images_show_that_it_never_saw(caption_run, tmp_path):
    trained = load(caption_run)
    for left, right in (("red", "blue"), ("green", "red"), ("blue", "blue")):
        answer = trained(saved(tmp_path, "new.png", paint(left, right, 16, 22)))
        assert isinstance(answer, ImageCaption)
        assert answer.text == f"{left} left {right} right"
        assert answer.target == (left, "left", right, "right", "</s>")
        assert answer.line(scores=True) == f"{answer.text}\t{answer.score:.4f}"


def test_it_reads_lines_that_it_never_saw(line_run, lines_of_text, tmp_path):
    trained = load(line_run)
    assert trained.evaluate(ListFile((lines_of_text,), COLUMNS)).cer < 0.05
    answer = trained(saved(tmp_path, "new.png", draw_line("dabca")))
    assert isinstance(answer, LineText)
    assert answer.text == "dabca"
    assert (answer.unit, answer.extent) == ("px", float(answer.strip.shape[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_run_answers_as_the_one_that_was_trained_alone_and_in_company(
    tmp_path, train, painted, lines_of_text, images, kind
):
    file = lines_of_text if "lines" in kind else painted
    trained = train(tmp_path / "run", CaptionOptions(**{**CAPTION, **KINDS[kind]}), file)
    together, again = trained.answer(images), load(tmp_path / "run")
    for path, one, other in zip(images, together, again.answer(images), strict=True):
        same(one, other, within=0)
        same(one, trained(path))
        if "none" in KINDS[kind].values():
            assert one.weights is None
        elif "lines" in kind:
            slots = int(trained.model.grid(torch.tensor([one.strip.shape[:2]]))[0, 1])
            assert one.weights.shape == (len(one.target), slots)
        else:
            grid = trained.model.grid(torch.tensor([one.pixels.shape[:2]]))[0].tolist()
            assert one.weights.shape == (len(one.target), *grid)
            assert (one.weights.sum((1, 2)) <= 1 + 1e-5).all()


@pytest.mark.parametrize("kind", ["regions", "hard", "transformer", "lines"])
def test_resumed_it_ends_with_the_same_bits(resumed, painted, lines_of_text, kind):
    file = lines_of_text if "lines" in kind else painted
    resumed(CaptionOptions(**{**CAPTION, "dropout": 0.2, **KINDS[kind]}), file)


def test_what_is_validated_by_is_what_is_measured(tmp_path, train, painted):
    trained = train(tmp_path / "run", CaptionOptions(**CAPTION), painted, valid=(painted,))
    scores, lines = trained.evaluate(ListFile((painted,), COLUMNS)), Run(tmp_path / "run").read_metrics()
    kept = Run(tmp_path / "run").read_config()["scores"]
    assert kept == min(lines, key=lambda line: (line["error_rate"], line["loss"]))
    assert kept["exact_match"] == pytest.approx(scores.exact_match)


def test_a_run_holds_what_it_should(caption_run, painted):
    files = {"config.json", "tokenizer.json", "scale.json", "weights.safetensors", "metrics.jsonl"}
    assert {path.name for path in caption_run.iterdir()} == files | {"checkpoints", "tensorboard"}
    config = Run(caption_run).read_config()
    assert config["task"] == "caption"
    data = config["data"]
    assert data["training_images"] + data["validation_images"] == 90
    assert data["columns"] == ["image", "caption"]
    assert data["left_out"] == {"missing": 0, "unreadable": 0, "too_long": 0}
    assert data["longest"] == {"input": 16 * 24, "target": 5}
    scale = json.loads((caption_run / "scale.json").read_text())
    assert scale["kind"] == "images"
    assert len(scale["mean"]) == 3
    assert all(0 < value < 255 for value in (*scale["mean"], *scale["std"]))
    torch.load(caption_run / "checkpoints" / "last.ckpt", weights_only=True)


def test_fine_tuning(tmp_path, train, painted, caption_run, transcribe_run, images):
    before = (caption_run / "weights.safetensors").read_bytes()
    new = listed(tmp_path / "new.tsv", *[f"a.png\tred left blue right {n % 2 * 'zebra'}" for n in range(24)])
    said: list[str] = []
    child = train(tmp_path / "child", CaptionOptions(learning_rate=1e-9), new, parent=caption_run, said=said)
    assert any("tokens were never seen by" in line and "read as unknown" in line for line in said)
    assert (caption_run / "weights.safetensors").read_bytes() == before
    config = Run(tmp_path / "child").read_config()
    assert (config["from"], config["options"]["hidden"]) == (str(caption_run), 16)
    # What norms remember of their batches moves on, whatever the learning rate.
    same(child(images[0]), load(caption_run)(images[0]), within=0.1)
    refused = [
        ({"hidden": 64}, caption_run, OptionError, r"--hidden must stay 16, with which .* was made; got 64"),
        ({"read": "columns"}, caption_run, OptionError, r"--read must stay regions, .*; got columns"),
        ({}, transcribe_run, RunError, r"expected a run of the task caption; got transcribe"),
    ]
    for options, parent, kind, line in refused:
        with pytest.raises(kind, match=line):
            train(tmp_path / "refused", CaptionOptions(**options), painted, parent=parent)
        assert not (tmp_path / "refused").exists()


@pytest.fixture
def damaged(tmp_path, painted) -> Path:
    """A list of good images, one that is broken and two that are not there."""
    shutil.copytree(painted.parent, tmp_path / "damaged")
    (tmp_path / "damaged" / "7.png").write_bytes(b"no image")
    with open(tmp_path / "damaged" / "list.tsv", "a") as file:
        file.write("gone.png\tred left\nlost.png\tblue left\n")
    return tmp_path / "damaged" / "list.tsv"


def test_files_that_are_not_there_or_broken_stop_a_training(tmp_path, train, damaged):
    with pytest.raises(DataError, match=r"got 2 of 92 that are not there: gone\.png \(.*:91\), lost\.png \(.*:92\)$"):
        train(tmp_path / "run", CaptionOptions(**CAPTION), damaged)
    whole = listed(damaged, *damaged.read_text().splitlines()[:90])
    with pytest.raises(DataError, match=r"7\.png: expected an image; got another kind of file$"):
        train(tmp_path / "run", CaptionOptions(**CAPTION), whole)
    assert not (tmp_path / "run").exists()


def test_bad_files_are_left_out_counted_and_told(tmp_path, train, damaged):
    said: list[str] = []
    options = CaptionOptions(**CAPTION, skip_bad=True)
    trained = train(tmp_path / "run", options, damaged, valid=(damaged,), said=said)
    assert said.count(f"{damaged}: left out 2 files that are not there (--skip-bad)") == 2
    (line,) = (line for line in said if "training images that cannot be read" in line)
    assert line.startswith("left out 1 training images that cannot be read, such as ")
    assert "7.png: expected an image" in line
    left_out = Run(tmp_path / "run").read_config()["data"]["left_out"]
    assert left_out == {"missing": 2, "unreadable": 1, "too_long": 0}
    examples = ListFile((damaged,), COLUMNS, skip_bad=True)
    scores = trained.evaluate(examples)
    assert (scores.images, scores.left_out) == (89, 3)
    with pytest.raises(DataError, match=r"got 2 of 92 that are not there"):
        trained.evaluate(ListFile((damaged,), COLUMNS))
    with pytest.raises(DataError, match=r"got 2 of 92 that are not there"):  # answers are a line a file
        list(Caption().inputs((damaged,), COLUMNS, options))


def test_nothing_that_can_be_read(tmp_path, train, caption_run):
    (tmp_path / "a.png").write_bytes(b"")
    bad = listed(tmp_path / "bad.tsv", "a.png\tx", "a.png\ty")
    with pytest.raises(DataError, match=r"^expected some images that can be read; got none, such as .*a\.png"):
        train(tmp_path / "run", CaptionOptions(**CAPTION, skip_bad=True), bad)
    with pytest.raises(DataError, match=r"bad\.tsv: expected some files that can be read; got none of 1$"):
        load(caption_run).evaluate(ListFile((bad,), COLUMNS, skip_bad=True))


def test_long_texts_are_left_out(tmp_path, train, painted, images):
    said: list[str] = []
    long = listed(tmp_path / "long.tsv", *["a.png\tred left"] * 20, *["b.png\tred left blue right"] * 3)
    train(tmp_path / "run", CaptionOptions(**CAPTION, max_length=4), long, valid=(long,), said=said)
    assert "left out 3 training texts longer than 4 tokens (--max-length)" in said
    with pytest.raises(OptionError, match=r"^expected some training images that can be used; got none$"):
        train(tmp_path / "none", CaptionOptions(**CAPTION, max_length=2), long)


def test_several_captions_of_an_image(tmp_path, train, images, monkeypatch):
    texts = ["red left blue right", "blue right red left"]
    file = tmp_path / "some.jsonl"
    records = [{"image": path.name, "caption": texts if path.name == "a.png" else "x"} for path in images[:2]] * 10
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    trained = train(tmp_path / "run", CaptionOptions(**CAPTION), file, valid=(file,))
    assert Run(tmp_path / "run").read_config()["data"]["training_images"] == 30
    said = {"a.png": texts[1], "b.png": "y"}
    monkeypatch.setattr(
        trained,
        "written",
        lambda arrays, *, beam, manner: [[Found(said[name], (), 0.0, None)] for name in ("a.png", "b.png")],
    )
    scores = trained.evaluate(ListFile((file,), COLUMNS))
    assert (scores.exact_match, scores.images, scores.cer, scores.wer) == (0.5, 2, None, None)


def test_figures_of_a_hand_made_case(tmp_path, caption_run, images, monkeypatch):
    file = listed(tmp_path / "list.tsv", "a.png\tred left blue right", "b.png\tgreen left", "tall.png\tblue right")
    said = ["red left red right", "green left", "blue"]  # in the order of the names
    trained = load(caption_run)
    monkeypatch.setattr(
        trained, "written", lambda arrays, *, beam, manner: [[Found(text, (), 0.0, None)] for text in said]
    )
    scores = trained.evaluate(ListFile((file,), COLUMNS))
    assert scores.exact_match == pytest.approx(1 / 3)
    assert scores.wer == pytest.approx(2 / 8)
    assert scores.cer == pytest.approx((4 + 0 + 6) / (19 + 10 + 10))
    assert scores.bleu1 == pytest.approx(100 * 6 / 7 * np.exp(1 - 8 / 7), rel=1e-6)
    assert (scores.images, scores.left_out) == (3, 0)


def test_columns_and_a_folder(tmp_path, train, painted):
    rows = [line.split("\t") for line in painted.read_text().splitlines()]
    file = listed(tmp_path / "list.tsv", "who\tfile\tsays", *(f"me\t{name}\t{text}" for name, text in rows))
    options = CaptionOptions(**CAPTION, folder=str(painted.parent))
    trained = train(tmp_path / "run", options, file, columns=("file", "says"))
    plain = train(tmp_path / "plain", CaptionOptions(**CAPTION), painted)
    same(trained(painted.parent / "3.png"), plain(painted.parent / "3.png"), within=0)


def test_a_record_is_json(caption_run, line_run, images):
    for folder in (caption_run, line_run):
        trained = load(folder)
        for path in images[:2]:
            best = trained.answers([path], beam=3, nbest=2)[0]
            record = json.loads(json.dumps(trained.record(path, best)))
            assert record["file"] == str(path)
            for found, answer in zip(record["answers"], best, strict=True):
                assert set(found) == {"text", "score", "target_tokens", "weights"}
                np.testing.assert_allclose(found["weights"], answer.weights, atol=1e-6)
                assert len(found["weights"]) == len(found["target_tokens"])
            assert best[0].score >= best[1].score


def test_searching_and_what_cannot_be_searched(tmp_path, train, lines_of_text, caption_run):
    trained = load(caption_run)
    for beam, nbest in ((0, 1), (1, 0)):
        with pytest.raises(OptionError, match=r"^--beam and --nbest must be at least 1"):
            trained.answers([], beam=beam, nbest=nbest)
    alone = train(tmp_path / "run", CaptionOptions(**{**CAPTION, **KINDS["lines, ctc alone"]}), lines_of_text)
    line = r"^--beam and --nbest need a decoder, which this run has not; got 2"
    with pytest.raises(OptionError, match=line):
        alone.answers([lines_of_text.parent / "0.png"], beam=2)
    with pytest.raises(OptionError, match=r"^--beam needs a decoder, which this run has not; got 2$"):
        alone.evaluate(ListFile((lines_of_text,), COLUMNS), beam=2)


def test_doubts(caption_run, line_run, images, tmp_path):
    trained = load(caption_run)
    assert trained.doubts(images[0]) == []
    assert trained.doubts(images[4]) == ["tiny: 1 x 1 pixels, enlarged 16 times"]
    strip = saved(tmp_path, "strip.png", np.zeros((10, 6000, 3), np.uint8))
    assert trained.doubts(strip) == ["elongated: of 6000 x 10 pixels 24 x 1 are read"]
    assert trained(strip).weights.shape[1:] == (1, 6)
    (line,) = load(line_run).doubts(strip)
    assert line == "large: 225.0 times as many pixels as the largest of the training"
    assert load(line_run).doubts(images[1]) == []


def test_an_input_is_the_path_of_a_file(caption_run, images):
    trained = load(caption_run)
    assert trained.parse(f" {images[0]} \n") == images[0]
    with pytest.raises(DataError, match=r"^expected the path of a file; got 'no\.png', which is not there$"):
        trained.parse("no.png")
    assert trained(str(images[0])).text == trained(images[0]).text


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_images_of_every_kind(caption_run, tmp_path, mode):
    image = Image.fromarray(paint("red", "blue"))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        path = tmp_path / "a.png"
    else:
        image, path = image.convert(mode), tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    answer = load(caption_run)(path)
    assert answer.pixels.shape == (16, 24, 3)
    if mode in ("P", "RGBA", "CMYK"):
        assert answer.text == "red left blue right"


@pytest.mark.parametrize("name", ["tokenizer.json", "scale.json"])
@pytest.mark.parametrize("text", ["", "3", "\x00"])
def test_broken_files_are_named(tmp_path, caption_run, name, text):
    shutil.copytree(caption_run, tmp_path / "run")
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(RunError, match=rf"{name}: expected .+; got .+"):
        load(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    del config["data"]["longest"]
    shutil.copy(caption_run / name, tmp_path / "run" / name)
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config\.json: expected data\.longest with input and target; got none"):
        load(tmp_path / "run")
