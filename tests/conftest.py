"""What several tests share: NaN in unwritten memory, seeds, real data where it is, a small trained run of each task."""

import os
import random
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from made import CAPTION, COLOURS, LINES, TAG, TONES, TRANSCRIBE, draw_line, paint, tones

os.environ.setdefault("COLUMNS", "120")
os.environ["OMP_NUM_THREADS"] = "1"  # tests run one to a core, and so does what they start
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C is tested, in processes that inherit this


class Said(NamedTuple):
    """How a command ended, and the lines that it wrote to standard output and to standard error."""

    status: int
    lines: list[str]
    errors: list[str]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `saccade`."""
    from saccade.cli import main

    def run(*arguments: object) -> Said:
        try:
            status = main([*map(str, arguments)])
        except SystemExit as exit:
            status = int(exit.code or 0)
        captured = capsys.readouterr()
        return Said(status, captured.out.splitlines(), captured.err.splitlines())

    return run


@pytest.fixture(autouse=True)
def _honest_tensors():
    """torch.empty is filled with NaN, and every test draws the same numbers whatever ran before it."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data laid beside the project; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("SACCADE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs real data: {folder} is not there (set SACCADE_DATA)")
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 400 small pairs: three digits, and the same ones backwards with dashes."""
    path = tmp_path_factory.mktemp("data") / "digits.tsv"
    lines = (f"{n:03d}\t{'-'.join(reversed(f'{n:03d}'))}\n" for n in range(400))
    path.write_text("".join(lines), "utf-8")
    return path


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A run trained for a few seconds, enough to answer right most of the time; read it, do not change it."""
    from saccade.data.pairs import PairFile
    from saccade.tasks.base import Start
    from saccade.tasks.translate.options import TranslateOptions
    from saccade.training.fit import fit

    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = TranslateOptions(level="char", embedding=16, hidden=32, epochs=40, batch_size=16, learning_rate=0.01)
    fit(folder, options, Start(PairFile((digits,)), None), device="cpu", say=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 labelled texts: one word of each decides whether it is bad, good or odd."""
    rng, path = random.Random(1), tmp_path_factory.mktemp("data") / "films.tsv"
    deciding = {"bad": ("dull", "awful"), "good": ("fine", "superb"), "odd": ("weird", "strange")}
    lines = []
    for n in range(300):
        label = ("bad", "good", "odd")[n % 3]
        words = rng.choices(("a", "film", "of", "the", "and", "story", "was", "it"), k=rng.randint(2, 9))
        words.insert(rng.randint(0, len(words)), rng.choice(deciding[label]))
        lines.append(f"{label}\t{' '.join(words)}.\n")
    path.write_text("".join(lines), "utf-8")
    return path


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 240 sentences of tagged words, in which persons have two names and places one."""
    rng, path = random.Random(1), tmp_path_factory.mktemp("data") / "names.conll"
    parts = (
        ("Ann B-per", "Bo B-per", "Eve B-per"),
        ("Lee I-per", "Ray I-per"),
        ("Ulm B-loc", "Rome B-loc", "Oslo B-loc"),
    )
    sentences = []
    for _ in range(240):
        first, last, place = map(rng.choice, parts)
        verb = rng.choice(("sees", "likes", "leaves")) + " O"
        lines = [first, last, verb, place] if rng.random() < 0.5 else ["now O", first, last, verb, "old O", place]
        sentences.append("\n".join([*lines, ". O"]) + "\n\n")
    path.write_text("".join(sentences), "utf-8")
    return path


@pytest.fixture(scope="session")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 300 hours of two waves, in units of their own."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("data") / "waves.csv"
    hours = np.arange(300)
    load = 500 + 70 * np.sin(hours * np.pi / 6) + rng.normal(0, 2, 300)
    wind = 3 + np.cos(hours * np.pi / 4) + rng.normal(0, 0.03, 300)
    first = datetime(2024, 1, 1)
    rows = (f"{first + timedelta(hours=i)},{a:.3f},{b:.4f}\n" for i, (a, b) in enumerate(zip(load, wind, strict=True)))
    path.write_text("date,load,wind\n" + "".join(rows), "utf-8")
    return path


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Inputs and answers of 600 sequences: which number of eight is marked."""
    rng, folder = np.random.default_rng(1), tmp_path_factory.mktemp("data")
    values, place = rng.uniform(-1, 1, (600, 8)), rng.integers(0, 8, 600)
    x = np.stack([values, np.eye(8)[place]], -1)
    np.save(folder / "x.npy", x.astype(np.float32))
    np.save(folder / "y.npy", 50 + 10 * values[np.arange(600), place].astype(np.float32))
    return folder / "x.npy", folder / "y.npy"


def _fitted(folder: Path, options: Any, paths: tuple[Path, ...], columns: tuple[str, ...] = ()) -> Path:
    from saccade.tasks.base import Start
    from saccade.tasks.load import task_of
    from saccade.training.fit import fit

    task = task_of(options)
    start = Start(task.files(paths, columns or task.columns, options), None)
    fit(folder, options, start, device="cpu", say=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def classify_run(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    """A classifier of the films; read it, do not change it."""
    from saccade.tasks.classify.options import ClassifyOptions

    options = ClassifyOptions(embedding=16, hidden=16, epochs=8, batch_size=16, learning_rate=0.01, dropout=0.1)
    return _fitted(tmp_path_factory.mktemp("runs") / "films", options, (films,))


@pytest.fixture(scope="session")
def tag_run(tmp_path_factory: pytest.TempPathFactory, names: Path) -> Path:
    """A tagger of the names, with attention; read it, do not change it."""
    from saccade.tasks.tag.options import TagOptions

    options = TagOptions(
        attention="additive", cased=False, epochs=8, batch_size=16, learning_rate=0.01, dropout=0.1, **TAG
    )
    return _fitted(tmp_path_factory.mktemp("runs") / "names", options, (names,))


@pytest.fixture(scope="session")
def forecast_run(tmp_path_factory: pytest.TempPathFactory, waves: Path) -> Path:
    """A forecaster of the waves, three hours from twelve; read it, do not change it."""
    from saccade.tasks.regress.options import RegressOptions

    shape = {"horizon": 3, "window": 12, "hidden": 16, "patch": 1, "encoder": "lstm", "attention": "context-vector"}
    plain = {"instance_norm": False, "independent": False, "direct": False}
    options = RegressOptions(epochs=30, learning_rate=0.01, dropout=0.0, **shape, **plain)
    return _fitted(tmp_path_factory.mktemp("runs") / "waves", options, (waves,))


@pytest.fixture(scope="session")
def marked_run(tmp_path_factory: pytest.TempPathFactory, marked: tuple[Path, Path]) -> Path:
    """A regressor of the marked numbers, which looks at them; read it, do not change it."""
    from saccade.tasks.regress.options import RegressOptions

    shape = {"hidden": 16, "encoder": "none", "attention": "context-vector", "direct": False}
    options = RegressOptions(epochs=25, learning_rate=0.02, dropout=0.0, **shape)
    return _fitted(tmp_path_factory.mktemp("runs") / "marked", options, marked)


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 90 images of two squares with what they show: `red left blue right`; beside it the images."""
    from PIL import Image

    rng, folder = random.Random(1), tmp_path_factory.mktemp("painted")
    lines = []
    for n in range(90):
        left, right = rng.choice(list(COLOURS)), rng.choice(list(COLOURS))
        Image.fromarray(paint(left, right, 16 + n % 3, 24 - n % 5)).save(folder / f"{n}.png")
        lines.append(f"{n}.png\t{left} left {right} right\n")
    (folder / "list.tsv").write_text("".join(lines), "utf-8")
    return folder / "list.tsv"


@pytest.fixture(scope="session")
def lines_of_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 120 images of lines of text in four letters, one to five of them."""
    from PIL import Image

    rng, folder = random.Random(2), tmp_path_factory.mktemp("lines")
    lines = []
    for n in range(120):
        text = "".join(rng.choices("abcd", k=rng.randint(1, 5)))
        Image.fromarray(draw_line(text)).save(folder / f"{n}.png")
        lines.append(f"{n}.png\t{text}\n")
    (folder / "list.tsv").write_text("".join(lines), "utf-8")
    return folder / "list.tsv"


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 90 recordings of one to four tones, with the words for them."""
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile: pip install 'saccade[audio]'")
    rng, folder = random.Random(3), tmp_path_factory.mktemp("sounds")
    lines = []
    for n in range(90):
        words = rng.choices(list(TONES), k=rng.randint(1, 4))
        soundfile.write(folder / f"{n}.wav", tones(words, noise=n), 8000)
        lines.append(f"{n}.wav\t{' '.join(words)}\n")
    (folder / "list.tsv").write_text("".join(lines), "utf-8")
    return folder / "list.tsv"


@pytest.fixture(scope="session")
def caption_run(tmp_path_factory: pytest.TempPathFactory, painted: Path) -> Path:
    """A captioner of the painted images; read it, do not change it."""
    from saccade.tasks.caption.options import CaptionOptions

    options = CaptionOptions(**CAPTION, epochs=25, learning_rate=0.01, dropout=0.0)
    return _fitted(tmp_path_factory.mktemp("runs") / "painted", options, (painted,))


@pytest.fixture(scope="session")
def line_run(tmp_path_factory: pytest.TempPathFactory, lines_of_text: Path) -> Path:
    """A reader of lines of text; read it, do not change it."""
    from saccade.tasks.caption.options import CaptionOptions

    options = CaptionOptions(**{**CAPTION, **LINES}, epochs=20, learning_rate=0.01, dropout=0.0)
    return _fitted(tmp_path_factory.mktemp("runs") / "lines", options, (lines_of_text,))


@pytest.fixture(scope="session")
def transcribe_run(tmp_path_factory: pytest.TempPathFactory, sounds: Path) -> Path:
    """A recogniser of tones; read it, do not change it."""
    from saccade.tasks.transcribe.options import TranscribeOptions

    options = TranscribeOptions(**TRANSCRIBE, epochs=20, learning_rate=0.01, dropout=0.0)
    return _fitted(tmp_path_factory.mktemp("runs") / "sounds", options, (sounds,))


@pytest.fixture(scope="session")
def stream_run(tmp_path_factory: pytest.TempPathFactory, sounds: Path) -> Path:
    """A recogniser of tones that writes while it listens, hardly trained and made to stop often; do not change it."""
    from saccade.runs import Run
    from saccade.tasks.transcribe.options import TranscribeOptions

    streaming = {"streaming": True, "attention": "mocha", "normalize": "training"}
    options = TranscribeOptions(**TRANSCRIBE, **streaming, epochs=3, learning_rate=0.01, dropout=0.0)
    run = Run(_fitted(tmp_path_factory.mktemp("runs") / "stream", options, (sounds,)))
    weights = run.read_weights()
    run.write_weights({**weights, "decoder.attention.r": weights["decoder.attention.r"] + 1.5})
    return run.folder


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    """Keras on PyTorch, where it is installed."""
    os.environ["KERAS_BACKEND"] = "torch"
    module = pytest.importorskip("keras", reason="needs Keras: pip install 'saccade[dev]'")
    if module.backend.backend() != "torch":
        pytest.skip(f"Keras was loaded with another backend: {module.backend.backend()}")
    return module


def _small_encoder(folder: Path, kind: str, texts: list[str]) -> Path:
    """A folder with a random encoder of two layers, and a tokenizer trained on texts, as their makers leave them."""
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'saccade[pretrained]'")
    import tokenizers

    special = (
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        if kind == "roberta"
        else ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    )
    maker = tokenizers.ByteLevelBPETokenizer if kind == "roberta" else tokenizers.BertWordPieceTokenizer
    tokenizer = maker()
    size = 300 if kind == "roberta" else 60
    tokenizer.train_from_iterator(texts, vocab_size=size, min_frequency=1, special_tokens=special, show_progress=False)
    tokenizer.save_model(str(folder))
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 40}
    deep = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(7)
    if kind == "bert":
        transformers.BertForMaskedLM(transformers.BertConfig(**sizes, **deep)).save_pretrained(folder)
        transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    elif kind == "roberta":
        ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        transformers.RobertaModel(transformers.RobertaConfig(**sizes, **deep, **ids)).save_pretrained(folder)
        files = {"vocab": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}
        transformers.RobertaTokenizerFast(**files).save_pretrained(folder)
    return folder


SAID = "a fine superb film of the and story was it dull awful weird strange Ann Bo Eve Lee Ray Ulm Rome Oslo now old"


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random BERT, saved with its head; read it, do not change it."""
    return _small_encoder(tmp_path_factory.mktemp("models"), "bert", [SAID, "sees likes leaves . ,"])


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random RoBERTa, whose pieces are of bytes; read it, do not change it."""
    return _small_encoder(tmp_path_factory.mktemp("models"), "roberta", [SAID, "sees likes leaves . ,"])
