"""The house stands: imports run downward, heavy libraries stay where they belong, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import saccade

PACKAGE = Path(saccade.__file__).parent
ROOMS = "errors files masks dropout alignments normalizers kernels attention migrate layers models decoding data"
ROOMS += " metrics runs tasks export training lens cli __main__"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
HEAVY = {"lightning": {"training"}, "tensorboard": {"training"}, "sacrebleu": {"metrics"}, "tokenizers": {"data"}}
HEAVY |= {
    "sklearn": {"metrics"},
    "seqeval": {"metrics"},
    "rouge_score": {"metrics"},
    "jiwer": {"metrics"},
    "rapidfuzz": {"metrics"},
    "numba": {"kernels"},
    "triton": {"kernels"},
}
HEAVY |= {
    "PIL": {"data"},
    "soundfile": {"data"},
    "datasets": {"data"},
    "pyarrow": {"data"},
    "huggingface_hub": {"data", "tasks"},
    "timm": {"layers"},
    "transformers": {"layers"},
    "matplotlib": {"lens"},
    "tyro": {"cli"},
    "torchinfo": {"cli"},
    "rich": {"lens", "training", "cli"},
    "ctranslate2": {"export"},
    "onnx": {"export"},
    "onnxscript": {"export"},
    "onnxruntime": {"export"},
}
# Calls of others are passed on with whatever they were given.
PASSES_ON = {"saccade.lens.capture.swaps"}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it: `from a import b` counts as a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
    return found


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_run_downward(path):
    room = room_of(module_of(path))
    for module in imports(path):
        if module.startswith("saccade."):
            assert ROOMS.split().index(room_of(module)) <= ROOMS.split().index(room), (
                f"{module_of(path)} imports {module}, above it"
            )


def test_there_are_no_circles():
    edges = {module: imports(path) & MODULES.keys() - {module} for module, path in MODULES.items()}
    # `saccade.cli` is imported lazily by nothing; its own commands are imported when they run.
    edges["saccade.cli"] = {"saccade.cli.options", "saccade.errors"}
    edges["saccade.cli.__main__"] = {"saccade.cli"}
    while free := [module for module, below in edges.items() if not below & edges.keys()]:
        for module in free:
            del edges[module]
    assert not edges, f"a circle among {sorted(edges)}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_kernels_have_one_door(path):
    if room_of(module_of(path)) != "kernels":
        assert not [module for module in imports(path) if module.startswith("saccade.kernels.")]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_heavy_libraries_stay_in_their_rooms(path):
    for module in imports(path):
        top = module.split(".")[0]
        room = room_of(module_of(path))
        assert room in HEAVY.get(top, {room}), f"{path} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_and_functions_are_small(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    assert path.stem not in ("utils", "common", "helpers", "misc")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
        if isinstance(node, ast.arguments):
            assert node.kwarg is None or module_of(path) in PASSES_ON, f"{path}: no **kwargs"


LOADED = "import sys; {}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"


def loaded_after(statement: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED.format(statement)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_saccade_loads_nothing():
    assert not loaded_after("import saccade") & {"torch", "numpy", "lightning", "matplotlib", "tokenizers", "tyro"}


def test_help_needs_no_torch():
    modules = [
        "errors",
        "files",
        "attention.catalogue",
        "layers",
        "tasks.course",
        "tasks.translate.options",
        "tasks.classify.options",
        "tasks.tag.options",
        "tasks.regress.options",
        "cli",
        "cli.options",
        "cli.sample",
        "data.times",
        "data.dates",
    ]
    assert "torch" not in loaded_after("import " + ", ".join(f"saccade.{module}" for module in modules))
    program = "import contextlib, io, saccade.cli\n"
    program += "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
    program += "    saccade.cli.main(['--help'])"
    assert "torch" not in loaded_after(f"exec({program!r})")


def test_predict_and_show_need_no_training_library():
    training = {"lightning", "pytorch_lightning", "sacrebleu", "tensorboard", "torchmetrics"}
    assert (
        not loaded_after("import saccade.cli.predict, saccade.cli.show, saccade.cli.look, saccade.cli.sample")
        & training
    )


def test_engines_and_the_hub_are_loaded_by_who_asks_for_them():
    others = {"ctranslate2", "onnx", "onnxscript", "onnxruntime", "huggingface_hub"}
    modules = "saccade.cli.predict, saccade.cli.export, saccade.tasks.load, saccade.tasks.translate.task"
    assert not loaded_after(f"import {modules}") & others


def test_the_front_door_names_what_is_there():
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    typed = {a.name for n in tree.body if isinstance(n, ast.If) for m in n.body for a in m.names}
    assert typed == set(saccade.__all__) == {*saccade._WHERE, *saccade._MODULES}
    assert saccade.__all__ == sorted(saccade.__all__)
    for name in saccade.__all__:
        assert getattr(saccade, name) is not None
        assert name in dir(saccade)
    with pytest.raises(AttributeError, match="module 'saccade' has no attribute 'Attention2'"):
        saccade.Attention2  # noqa: B018
