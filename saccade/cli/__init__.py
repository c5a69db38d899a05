"""The command line: the only room that wires everything together."""

import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import tyro

from saccade.cli.options import Command
from saccade.errors import OptionError, SaccadeError
from saccade.tasks.translate.presets import PRESETS, as_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 for what went wrong, 2 for a wrong option, 130 for Ctrl-C.

    A user's mistake is one line on standard error, never a traceback.
    """
    try:
        command = parse(_whole(sys.argv[1:] if arguments is None else arguments))
        warnings.showwarning = _one_line  # type: ignore[assignment]
        _run(command)
        sys.stdout.flush()
        return 0
    except SaccadeError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our answers has had enough: no more output, and no complaint from Python at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}{_hint(error)}", 1)


def _whole(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments, if all of them are text: Python lets other bytes through as half characters."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise OptionError(f"expected arguments in UTF-8; got {argument!a}") from None
    return arguments


def parse(arguments: Sequence[str]) -> Any:
    """The command that the arguments name, with its options.

    Raises:
        SystemExit: with 0 after help, with 2 after one line about a wrong option.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                Command,
                prog="saccade",
                description="Train attention models on your own files, and see what they looked at.",
                args=_with_preset(_commands_of_two_words(arguments)),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as exit:
        if exit.code:
            _fail(one_line(said.getvalue()), 2)
        raise
    except SaccadeError as error:
        sys.exit(_fail(str(error), 2))


def _commands_of_two_words(arguments: Sequence[str]) -> list[str]:
    """`train translate` and `compare tag` as the one name that each is; `train` alone is a question."""
    first, rest = list(arguments[:1]), list(arguments[1:])
    if first not in (["train"], ["compare"]):
        return first + rest
    if not rest or rest[0] in ("-h", "--help"):
        return ["--help"]
    return [f"{first[0]} {rest[0]}", *rest[1:]]


def _with_preset(arguments: list[str]) -> list[str]:
    """A preset is the options that it stands for, before those that were typed; an unknown one is left to be refused.

    >>> _with_preset(["train translate", "--preset", "rnn", "--hidden", "9"])[:5]
    ['train translate', '--encoder', 'gru', '--decoder', 'gru']
    """
    if arguments[:1] not in (["train translate"], ["compare translate"]):
        return arguments
    command, *rest = arguments
    after = dict(zip(rest, [*rest[1:], ""], strict=True))
    name = after.get("--preset", next((x.partition("=")[2] for x in rest if x.startswith("--preset=")), ""))
    typed = [*rest, "--attention"] if command == "compare translate" else rest  # its attentions are its own
    return [command, *as_arguments(name, typed), *rest] if name in PRESETS else arguments


def one_line(box: str) -> str:
    r"""The message of one of tyro's boxes as one line, without advice and its frame (of `-` without Unicode).

    >>> one_line("╭─ Unrecognized options ─╮\n│ Unrecognized options: x │\n│ ──────── │\n│ Help: ... │\n╰──╯")
    'Unrecognized options: x'
    """
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()[1:]]
    parts = re.split(r"^[─-]{3,}$", "\n".join(lines), flags=re.MULTILINE)
    first, *others = filter(None, (" ".join(part.split()) for part in parts))
    said = [first] + [part for part in others if part.startswith("Available")]
    return re.sub(r"^Error parsing \S+: (?=--)", "", "; ".join(said))


def _run(command: Any) -> None:
    # Each command imports what it needs when it runs: predict and show never load the training libraries.
    from saccade.cli import comparing, options, training

    match command:
        case options.Demo():
            from saccade.cli.demo import demo

            demo(command)
        case options.Sample():
            from saccade.cli.sample import sample

            sample(command)
        case training.Train():
            from saccade.cli.train import train

            train(command)
        case comparing.Compare():
            from saccade.cli.compare import compare

            compare(command)
        case options.Evaluate():
            from saccade.cli.evaluate import evaluate

            evaluate(command)
        case options.Predict():
            from saccade.cli.predict import predict

            predict(command)
        case options.Export():
            from saccade.cli.export import export

            export(command)
        case options.Show():
            from saccade.cli.show import show

            show(command)
        case options.Align():
            from saccade.cli.align import align

            align(command)
        case options.Describe():
            from saccade.cli.describe import describe

            describe(command)
        case options.Look():
            from saccade.cli.look import look

            look(command)
        case options.Kernels():
            from saccade.cli.kernels import kernels

            kernels(command)
        case options.Mechanisms():
            from saccade.cli.mechanisms import mechanisms

            mechanisms(command)


def _hint(error: OSError) -> str:
    return " (nothing that was complete is lost; make room and go on)" if error.errno == errno.ENOSPC else ""


def _one_line(message: Warning | str, *_: Any) -> None:
    print(f"saccade: {message}", file=sys.stderr, flush=True)


def _fail(message: str, status: int) -> int:
    print(f"saccade: {message}", file=sys.stderr, flush=True)
    return status
