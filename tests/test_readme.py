"""What the READMEs say is true: every command runs, every figure is the measured one, every file is there."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import saccade
from saccade.cli import parse

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh.md")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.M | re.S)


def commands(name: str) -> list[str]:
    lines = "".join(blocks(name, "sh")).splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines if line.strip()]


def test_both_languages_have_the_same_commands():
    assert commands("README.md") == commands("README.zh.md")
    code = [
        "\n".join(re.sub(r"\s*#.*", "", line) for line in "".join(blocks(n, "python")).splitlines()) for n in READMES
    ]
    assert code[0] == code[1]


def measured(benchmark: str) -> dict[str, Any]:
    return json.loads((ROOT / "benchmarks" / "results" / f"{benchmark}.json").read_text("utf-8"))


TABLES = (
    "additive",
    "heads",
    "look",
    "classification",
    "documents",
    "tagging",
    "forecasting",
    "copying",
    "multi30k",
    "joeynmt",
    "engines",
    "alignments",
    "spoken_digits",
    "spelled_words",
    "scattered_digits",
    "emoji_captions",
    "fraktur_lines",
)


@pytest.mark.parametrize("name", READMES)
@pytest.mark.parametrize("benchmark", TABLES)
def test_the_tables_are_the_measured_ones(name, benchmark, monkeypatch):
    """Every line with a figure; what stands over the columns is in the language of the page."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    text = (ROOT / name).read_text("utf-8")
    for table in re.split(r"\n\n+", importlib.import_module(benchmark).tables(measured(benchmark))):
        for line in table.splitlines()[2:]:
            assert line in text


@pytest.mark.parametrize("name", READMES)
def test_the_figures_are_the_measured_ones(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import times

    text, clock = (ROOT / name).read_text("utf-8"), measured("times")
    for line in times.tables(clock).splitlines():
        if re.search(r"\d", line) and "input" not in line:
            assert line.split("|", 2)[2] in text
    assert str(clock["test_inputs_with_another_answer_in_training"]) in text
    additive, page, local = measured("additive"), measured("page"), measured("mechanisms")["local"]
    worst = max(each["painted"]["worst_ms"] for each in page["hover"].values())
    for figure in (
        f"{additive['memory']['mebibytes']:.0f} MiB",
        f"{additive['first_call']['seconds']:.2f}",
        f"{page['bytes'] / 1e6:.1f} MB",
        f"{page['open_ms']['median'] / 1000:.2f} (s|秒)",
        f"{worst:.0f} (ms|毫秒)",
        f"{measured('processes')['largest_difference']:.1e}",
        *(f"{local[name]['ratio']:.1f}\\D{{0,4}}{name}" for name in ("local-m", "local-p")),
    ):
        assert re.search(rf"\b{figure}", text)
    company = measured("company")
    counts = [count for beam in ("beam 1", "beam 5") for way in company[beam].values() for count in way.values()]
    assert set(counts) == {company["sentences"]} == {1000}
    assert measured("streaming")["every_pair_once"]


@pytest.mark.parametrize("name", READMES)
def test_the_tree_is_the_house(name):
    tree = re.search(r"^```\n(saccade/.*?)^```", (ROOT / name).read_text("utf-8"), re.M | re.S)[1]
    told = set(re.findall(r"([\w/]+\.py|[\w]+/)", "\n".join(line[:26] for line in tree.splitlines())))
    rooms = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "saccade").iterdir()
        if path.suffix in ("", ".py")
    }
    for room in rooms - {"__init__.py", "__pycache__/"}:
        assert any(part.startswith(room) or room == part for part in told), f"{room} is not in the tree"
    for part in told - {"saccade/"}:
        places = [ROOT / part, ROOT / "saccade" / part, ROOT / "saccade" / "attention" / part]
        assert any(place.exists() for place in places), f"{part} is not there"


@pytest.mark.parametrize(
    "name", [*READMES, "CHANGELOG.md", "LOG.md", "docs/contract.md", "docs/catalogue.md", "docs/migrate.md"]
)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text("utf-8")):
        assert link.startswith("https://") or (ROOT / name).parent.joinpath(link).exists(), link


GIVEN = """
import saccade
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

text = "the cat sat on the mat"
words = Tokenizer(models.BPE())
words.pre_tokenizer = pre_tokenizers.ByteLevel()
words.train_from_iterator([text], trainers.BpeTrainer(special_tokens=["</s>"], show_progress=False))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>")
sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, eos_token_id=None)).eval()
"""


@pytest.mark.slow
def test_every_command_runs(tmp_path):
    """One after the other in an empty folder, as a reader would; then the Python of both languages."""
    for command in commands("README.md"):
        if command == "make test":  # that is where we are
            continue
        folder = ROOT if command.startswith("make ") else tmp_path
        if command.startswith("make ") and not (ROOT / ".venv" / "installed").exists():
            continue  # run from another environment: make would install one
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if command.startswith("saccade predict"):
            assert done.stdout.splitlines() == ["17:15", "21:30"]
        if command.startswith("echo"):
            assert done.stdout.startswith("21:37\t-")
            assert done.stdout.count("\n") == 3
    assert (tmp_path / "map.png").exists()
    for name in READMES:
        program, looking = blocks(name, "python")
        for some in (program, GIVEN + looking):
            done = subprocess.run(
                [sys.executable, "-c", some], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("17:15\n('1', '7', ':', '1', '5', '</s>') (6, ") or some is not program
        for page in ("heads.html", "map.html"):
            (tmp_path / page).unlink()


PAGES = sorted((ROOT / "docs" / "tasks").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_names_of_a_task_page_are_there(page):
    text = page.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "saccade"
        parse(arguments)
    for name in re.findall(r"\bsaccade\.(\w+)\(", text):
        assert hasattr(saccade, name)
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (page.parent / picture).is_file()


SCALE = [ROOT / "docs" / f"scale{end}" for end in (".md", ".zh.md")]


@pytest.mark.parametrize("page", SCALE, ids=lambda page: page.name)
def test_the_commands_files_and_figures_of_the_page_about_scale_are_there(page, monkeypatch):
    """Commands are those of `saccade`, as such or as what torchrun starts; files and links exist."""
    from torch.distributed.run import parse_args

    text = page.read_text("utf-8")
    lines = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    assert len(lines) >= 6
    for line in lines:
        program, *arguments = shlex.split(line)
        if program == "torchrun":
            started = parse_args(arguments)
            assert started.module
            program, arguments = started.training_script, started.training_script_args
        assert program == "saccade"
        parse(arguments)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    for file in re.findall(r"\b(?:benchmarks|tests)/[\w/]+\.py", text):
        assert (ROOT / file).is_file(), file
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import processes

    for line in processes.tables(measured("processes")).splitlines()[2:]:
        assert line.split("|", 2)[2] in text


def test_both_languages_of_the_page_about_scale_have_the_same_commands():
    english, chinese = (re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL) for page in SCALE)
    assert english == chinese


def test_every_task_page_is_in_both_languages():
    names = {page.name.removesuffix(".md").removesuffix(".zh") for page in PAGES}
    assert {page.name for page in PAGES} == {f"{name}{end}" for name in names for end in (".md", ".zh.md")}
