"""Trained models as folders for others, and through the hub, of which only the network is made up."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import saccade
from saccade.cli import main
from saccade.errors import MissingExtraError, RunError
from saccade.runs import Run
from saccade.tasks import hub
from saccade.tasks.load import load

RUNS = {
    "run_folder": "123",
    "classify_run": "a dull film",
    "tag_run": ["Ann", "Lee", "sees", "Ulm"],
    "marked_run": None,
    "caption_run": None,
    "transcribe_run": None,
}


@pytest.mark.parametrize("name", RUNS)
def test_a_saved_folder_is_a_run_that_answers_the_same(name, tmp_path, request):
    trained, folder = load(request.getfixturevalue(name)), tmp_path / "for" / "others"
    trained.save_pretrained(folder)
    again = saccade.from_pretrained(folder)
    assert type(again) is type(trained)
    for mine, its in zip(trained.model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert mine[0] == its[0]
        assert torch.equal(mine[1], its[1])
    if RUNS[name] is not None:
        (mine,), (its,) = (one.answers([RUNS[name]]) for one in (trained, again))
        assert str(mine) == str(its)
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds <= {".json", ".safetensors", ".md"}
    card = (folder / "README.md").read_text("utf-8")
    assert f"saccade train {trained.origin.task.name}" in card
    assert f"| parameters | {sum(x.numel() for x in trained.model.parameters()):,} |" in card
    assert "## Scores on validation" in card
    assert "## Data" in card


def test_it_is_used_like_any_run(run_folder, tmp_path, capsys):
    load(run_folder).save_pretrained(tmp_path / "saved")
    answers = []
    for folder in run_folder, tmp_path / "saved":
        assert main(["predict", str(folder), "123", "007"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_changed_weights_are_saved_and_paths_of_this_machine_are_not(run_folder, digits, tmp_path):
    trained = load(run_folder)
    with torch.no_grad():
        trained.model.decoder.output.bias.zero_()
    trained.save_pretrained(tmp_path / "saved")
    assert not saccade.from_pretrained(tmp_path / "saved").model.decoder.output.bias.any()
    assert load(run_folder).model.decoder.output.bias.any()
    for path in (tmp_path / "saved").glob("*.[jm]*"):
        assert str(digits.parent) not in path.read_text("utf-8")
    assert Run(tmp_path / "saved").read_config()["data"]["train"] == [digits.name]


def test_what_cannot_be_saved_or_found(run_folder, tmp_path):
    trained = load(run_folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(RunError, match="mine: expected a new or empty folder; it holds something"):
        trained.save_pretrained(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]
    with pytest.raises(RunError, match="expected the model of one run to save; got several as one"):
        trained.joined([trained]).save_pretrained(tmp_path / "both")
    with pytest.raises(RunError, match="expected a WordTagger; got a Translator"):
        saccade.WordTagger.from_pretrained(run_folder)
    with pytest.raises(RunError, match="no/such/thing: expected a folder, or a repository of the hub; "):
        saccade.Translator.from_pretrained("no/such/thing")


def test_without_the_library_folders_work_and_repositories_say_what_is_missing(run_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    hub._on_hub.cache_clear()
    load(run_folder).save_pretrained(tmp_path / "saved")
    assert saccade.Translator.from_pretrained(tmp_path / "saved")("123").text
    with pytest.raises(MissingExtraError, match=r"pip install 'saccade\[hub\]'"):
        saccade.from_pretrained("someone/something")
    with pytest.raises(MissingExtraError, match=r"pip install 'saccade\[hub\]'"):
        load(run_folder).push_to_hub("someone/something")


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A hub that is a folder."""
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="needs the hub: pip install 'saccade[hub]'")
    hub._on_hub.cache_clear()
    seen = SimpleNamespace(folder=tmp_path / "hub", private=None, message=None, asked=[])

    class Api:
        def __init__(self, token=None):
            seen.token = token

        def create_repo(self, repo_id, private=None, exist_ok=False):
            assert exist_ok
            seen.private = private
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, repo_id, folder_path, commit_message, repo_type, **others):
            seen.message = commit_message
            for path in Path(folder_path).rglob("*"):
                (seen.folder / repo_id).mkdir(parents=True, exist_ok=True)
                (seen.folder / repo_id / path.name).write_bytes(path.read_bytes())
            return f"hub/{repo_id}"

    def fetched(repo_id, **how):
        seen.asked.append(how)
        return str(seen.folder / repo_id)

    def one_file(repo_id, filename, **how):
        return str(seen.folder / repo_id / filename)

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", one_file)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    yield seen
    hub._on_hub.cache_clear()


def test_to_the_hub_and_back(run_folder, there):
    trained = load(run_folder)
    where = trained.push_to_hub("someone/digits", private=True, token="secret", message="Digits backwards")
    assert (where, there.private, there.token) == ("hub/someone/digits", True, "secret")
    assert there.message == "Digits backwards"
    names = {path.name for path in (there.folder / "someone" / "digits").iterdir()}
    expected = {"README.md", "config.json", "weights.safetensors", "tokenizer-source.json", "tokenizer-target.json"}
    assert names == expected
    again = saccade.Translator.from_pretrained("someone/digits", revision="v1", token="secret")
    assert again("123").text == trained("123").text
    (asked,) = there.asked
    assert asked["allow_patterns"] == ["*.json", "*.safetensors"]
    assert (asked["revision"], asked["token"]) == ("v1", "secret")
    config = json.loads((there.folder / "someone" / "digits" / "config.json").read_text())
    assert config["task"] == "translate"
