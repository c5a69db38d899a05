"""The tasks by name, and the trained model in a run folder, whatever its task."""

from importlib import import_module
from pathlib import Path
from typing import Any

from saccade.errors import RunError
from saccade.runs import Run
from saccade.tasks.base import Task, Trained
from saccade.tasks.course import Course

# name -> where; imported when asked for
TASKS = {
    "translate": "saccade.tasks.translate.task:Translate",
    "classify": "saccade.tasks.classify.task:Classify",
    "tag": "saccade.tasks.tag.task:Tag",
    "regress": "saccade.tasks.regress.task:Regress",
    "caption": "saccade.tasks.caption.task:Caption",
    "transcribe": "saccade.tasks.transcribe.task:Transcribe",
}


def task_named(name: str) -> Task[Any, Any, Any, Any]:
    """A task by its name.

    >>> task_named("translate").noun
    'pairs'
    """
    module, kind = TASKS[name].split(":")
    task: Task[Any, Any, Any, Any] = getattr(import_module(module), kind)()
    return task


def task_of(options: Course) -> Task[Any, Any, Any, Any]:
    """The task that options are for: they stand in the same folder.

    >>> from saccade.tasks.translate.options import TranslateOptions
    >>> task_of(TranslateOptions()).name
    'translate'
    """
    return task_named(type(options).__module__.split(".")[-2])


def task_in(folder: Path | str) -> Task[Any, Any, Any, Any]:
    """The task of a run.

    Raises:
        RunError: no run there, or one of a task that this version does not know.
    """
    run = Run(folder)
    name = run.read_config().get("task")
    if name not in TASKS:
        raise RunError(f"{run}: expected a run of {', '.join(TASKS)}; got {name}")
    return task_named(name)


def load(folder: Path | str, *, device: str = "cpu") -> Any:
    """The trained model in a run folder: a Translator, a Classifier ... Reads JSON and safetensors only.

    Raises:
        RunError: no run there, or a broken file, which is named.
    """
    return task_in(folder).load(folder, device=device)


def from_pretrained(
    name: Path | str, *, revision: str | None = None, token: str | None = None, device: str = "cpu"
) -> Any:
    """The trained model in a folder or in a repository of the Hugging Face Hub, whatever its task.

    Args:
        name: a folder, or the name of a repository.
        revision: a branch, tag or commit of it.

    Raises:
        RunError: neither, or a broken file.
        MissingExtraError: a repository, and huggingface_hub is not installed.
    """
    found: Trained[Any] = Trained.from_pretrained(name, revision=revision, token=token, device=device)
    return found
