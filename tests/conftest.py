"""What several tests share: NaN in unwritten memory, seeds, the real data where it is, a small trained run."""

import os
from pathlib import Path
from types import ModuleType

import pytest
import torch

os.environ.setdefault("COLUMNS", "120")
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton


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
    from saccade.tasks.translate.options import TranslateOptions
    from saccade.training.fit import fit
    from saccade.tasks.base import Start

    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = TranslateOptions(level="char", embedding=16, hidden=32, epochs=40, batch_size=16, learning_rate=0.01)
    fit(folder, options, Start(PairFile((digits,)), None), device="cpu", say=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    """Keras on PyTorch, where it is installed."""
    os.environ["KERAS_BACKEND"] = "torch"
    module = pytest.importorskip("keras", reason="needs Keras: pip install 'saccade[dev]'")
    if module.backend.backend() != "torch":
        pytest.skip(f"Keras was loaded with another backend: {module.backend.backend()}")
    return module
