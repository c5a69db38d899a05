"""Trained models that are given to others: as a folder, or through the Hugging Face Hub.

`ModelHubMixin` is the base class of what goes through the hub, and not of `Trained`: so its library is loaded when a
model goes there, and who has it not can still save and load folders.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import nn

from saccade.errors import MissingExtraError, RunError, first_line
from saccade.files import write_atomic
from saccade.runs import Run

README = "README.md"
_PIPELINES = {
    "translate": "translation",
    "classify": "text-classification",
    "tag": "token-classification",
    "regress": "time-series-forecasting",
    "caption": "image-to-text",
    "transcribe": "automatic-speech-recognition",
}
_GIVEN = {
    "translate": '"a text"',
    "classify": '"a text"',
    "tag": '["some", "words"]',
    "regress": "numbers",
    "caption": "image",
    "transcribe": "recording",
}


class Origin(NamedTuple):
    """What a run is made of beside its weights: its task, its configuration and its codec."""

    task: Any
    config: dict[str, Any]
    codec: Any


class Shared:
    """What every trained model can do to be given to others."""

    model: nn.Module
    origin: Origin | None = None
    """Of which run it is; None for what no run holds, such as several as one."""

    def save_pretrained(self, folder: Path | str) -> None:
        """Write a run folder with these weights and a model card: JSON and safetensors alone, without checkpoints.

        Paths of files on this machine are reduced to their names.

        Raises:
            RunError: the folder holds something; or this is no model of one run.
        """
        if self.origin is None:
            raise RunError("expected the model of one run to save; got several as one, or one that no run holds")
        run, (task, config, codec) = Run(folder), self.origin
        if run.folder.exists() and not (run.folder.is_dir() and not any(run.folder.iterdir())):
            raise RunError(f"{run}: expected a new or empty folder; it holds something")
        run.folder.mkdir(parents=True, exist_ok=True)
        config = _without_paths(config)
        run.write_weights(self.model.state_dict())
        task.write_codec(run, codec)
        write_atomic(run.path(README), card(config, sum(x.numel() for x in self.model.parameters())))
        run.write_config(config)  # last: a folder with a configuration has all that came before

    def push_to_hub(
        self, repo: str, *, private: bool | None = None, token: str | None = None, message: str = "A run of saccade"
    ) -> str:
        """Write what `save_pretrained` writes to a repository of the hub, which is made where there is none.

        Args:
            repo: as in "name/repository".

        Returns:
            where it is.

        Raises:
            MissingExtraError: huggingface_hub is not installed.
        """
        return str(_on_hub()(self).push_to_hub(repo, private=private, token=token, commit_message=message))

    @classmethod
    def from_pretrained(
        cls, name: Path | str, *, revision: str | None = None, token: str | None = None, device: str = "cpu"
    ) -> Self:
        """The trained model in a folder, or in a repository of the hub, of which JSON and safetensors are fetched.

        Args:
            name: a folder, or the name of a repository.
            revision: a branch, tag or commit of it.

        Raises:
            RunError: neither, a broken file, or a model of another class.
            MissingExtraError: a repository, and huggingface_hub is not installed.
        """
        trained = _load(name, device) if Path(name).is_dir() else _fetched(str(name), revision, token, device)
        if not isinstance(trained, cls):
            raise RunError(f"{name}: expected a {cls.__name__}; got a {type(trained).__name__}")
        return trained


def _load(folder: Path | str, device: str) -> Any:
    # load.py knows every task, and so this file.
    return import_module("saccade.tasks.load").load(folder, device=device)


def _fetched(name: str, revision: str | None, token: str | None, device: str) -> Any:
    kind = _on_hub()
    try:
        return kind.from_pretrained(name, revision=revision, token=token, device=device).trained
    except RunError:
        raise
    except (OSError, ValueError) as error:  # what its library raises for names, networks and repositories
        raise RunError(f"{name}: expected a folder, or a repository of the hub; {first_line(error)}") from None


@cache
def _on_hub() -> Any:
    """The class of what goes through the hub.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import ModelHubMixin, snapshot_download
    except ModuleNotFoundError:
        raise MissingExtraError("huggingface_hub", "hub") from None

    class OnHub(ModelHubMixin, library_name="saccade"):
        """A trained model on its way."""

        def __init__(self, trained: Shared):
            self.trained = trained

        def _save_pretrained(self, save_directory: Path) -> None:
            self.trained.save_pretrained(save_directory)

        @classmethod
        def _from_pretrained(  # type: ignore[override]  # no other arguments
            cls,
            *,
            model_id: str,
            revision: str | None,
            cache_dir: str | Path | None,
            force_download: bool,
            local_files_only: bool,
            token: str | bool | None,
            device: str,
        ) -> Self:
            folder = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=["*.json", "*.safetensors"],
            )
            return cls(_load(folder, device))

    return OnHub


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration in which files of this machine have but their names."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(one) for one in value]
        return Path(value).name if isinstance(value, str) and value else value

    data = {**config["data"], **{name: named(config["data"].get(name)) for name in ("train", "valid")}}
    options = {
        name: named(value) if isinstance(value, str) and Path(value).is_absolute() else value
        for name, value in config["options"].items()
    }
    return {**config, "data": data, "options": options, "from": named(config.get("from"))}


def card(config: dict[str, Any], parameters: int) -> str:
    """A model card: what the model does, how large it is, what it learned from, and how well it did."""
    task, options = config["task"], config["options"]
    shape = ("encoder", "decoder", "attention", "level", "hidden", "layers", "heads", "positions")
    counts = {name: value for name, value in config["data"].items() if isinstance(value, int) and value}
    parts = {
        "Size": {"parameters": f"{parameters:,}", **{name: options[name] for name in shape if name in options}},
        "Data": {name.replace("_", " "): f"{value:,}" for name, value in counts.items()},
        "Scores on validation": {name: f"{value:.6g}" for name, value in (config.get("scores") or {}).items()},
    }
    tables = "".join(f"\n## {title}\n\n{_table(rows)}" for title, rows in parts.items() if rows)
    return _CARD.format(task=task, pipeline=_PIPELINES[task], given=_GIVEN[task], tables=tables)


def _table(rows: dict[str, Any]) -> str:
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items())


_CARD = """---
library_name: saccade
pipeline_tag: {pipeline}
tags:
- saccade
- attention
- {task}
---

# A run of `saccade train {task}`

```python
import saccade

model = saccade.from_pretrained("...")  # the name of this repository, or a folder
answer = model({given})
```
{tables}
It is JSON and safetensors; loading it unpickles nothing.
"""
