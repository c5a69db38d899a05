"""saccade train."""

from dataclasses import replace
from pathlib import Path

from saccade.cli.options import TrainTranslate
from saccade.data.pairs import Columns, PairFile
from saccade.errors import MissingExtraError, OptionError
from saccade.runs import CONFIG, Run


def columns(text: str) -> Columns:
    """The two names of `--columns a,b`.

    >>> columns("de,en")
    ('de', 'en')
    """
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2 or not all(names):
        raise OptionError(f"--columns must be two names, source,target; got {text!r}")
    return names[0], names[1]


def train(command: TrainTranslate) -> None:
    """Train into a run folder."""
    try:
        from saccade.training.fit import fit
        from saccade.training.prepare import Start, say
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "lightning", "train") from None
    command = _with_files_of_the_run(command)
    if not command.train:
        raise OptionError("--train must name the training pairs: one file, or two aligned ones")
    names = columns(command.columns)
    valid = PairFile(command.valid, names) if command.valid else None
    start = Start(PairFile(command.train, names), valid, command.from_, command.resume)
    try:
        fit(command.out, command.training, start, device=command.device)
    except KeyboardInterrupt:
        say(f"stopped; go on with: saccade train translate --out {command.out} --resume")
        raise
    scores = Run(command.out).read_config()["scores"]
    say(f"{command.out}: best validation loss {scores['loss']:.4f}, exact match {scores['exact_match']:.1%}")


def _with_files_of_the_run(command: TrainTranslate) -> TrainTranslate:
    """A resumed run knows its files: they need not be typed again."""
    if not command.resume or command.train or not (command.out / CONFIG).is_file():
        return command
    data = Run(command.out).read_config()["data"]
    train, valid = (tuple(Path(path) for path in data[side] or ()) for side in ("train", "valid"))
    return replace(command, columns=",".join(data["columns"]), train=train, valid=valid)
