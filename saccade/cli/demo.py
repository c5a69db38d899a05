"""saccade demo."""

import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from saccade.cli.options import Demo
from saccade.cli.sample import MADE
from saccade.data.pairs import Pair, PairFile, to_tsv
from saccade.errors import MissingExtraError, RunError
from saccade.files import write_atomic
from saccade.lens import figure, page, terminal
from saccade.lens.answers import drawing_of
from saccade.runs import Run
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import Translator

_PAIRS, _HELD_OUT = 10000, 1000
_SHOWN = {"times": "quarter past five pm", "dates": "the third of march 2021"}


def demo(command: Demo) -> None:
    """Make data, train, measure, and draw."""
    try:
        from saccade.tasks.base import Start
        from saccade.training.fit import fit
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "lightning", "train") from None
    console = Console(highlight=False)
    _clear(Run(command.out))
    made = MADE[command.data](_PAIRS, command.seed)
    held_out = [Pair(*pair) for pair in made[:_HELD_OUT]]
    console.print(f"learning {command.data} from {_PAIRS - _HELD_OUT} made-up pairs, measuring on {_HELD_OUT} others")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{command.data}.tsv"
        write_atomic(file, to_tsv(made[_HELD_OUT:]))
        start = Start(PairFile((file,)), None, extra=(("demo", command.data),))
        options = TranslateOptions(level="char", epochs=8, seed=command.seed)
        translator = fit(command.out, options, start, device=command.device)
    scores = translator.evaluate(held_out)
    console.print(
        f"\n[bold]{scores.exact_match:.1%}[/bold] of {scores.examples} inputs it never saw are exactly right\n"
    )
    _draw(translator, held_out, command, console)


def _clear(run: Run) -> None:
    """Make room for a new demo; whatever a demo did not make is left alone."""
    if not run.folder.exists() or (run.folder.is_dir() and not any(run.folder.iterdir())):
        return
    if not run.exists() or "demo" not in run.read_config():
        raise RunError(f"{run}: expected a new folder or a former demo's; it holds something else (choose with --out)")
    shutil.rmtree(run.folder)


def _draw(translator: Translator, held_out: list[Pair], command: Demo, console: Console) -> None:
    """A dozen answers, one map here, and all of them in a page."""
    shown = held_out[:200]
    answers = [best[0] for best in translator.answer([pair.source for pair in shown])]
    for pair, answer in list(zip(shown, answers, strict=True))[:12]:
        verdict = "" if answer.text == pair.target else f"   [red]expected {pair.target}[/red]"
        console.print(f"  {pair.source}  →  [bold]{answer.text}[/bold]{verdict}")
    console.print()
    text = _SHOWN[command.data]
    example = drawing_of(translator(text), text=text)
    terminal.draw(example, console=console)
    figure.save(example, command.out / "map.png", title=f"{text} → {example.answer}")
    notes = [
        f"expected {pair.target}" if answer.text != pair.target else ""
        for pair, answer in zip(shown, answers, strict=True)
    ]
    each = zip(shown, answers, notes, strict=True)
    maps = [drawing_of(answer, text=pair.source, note=note) for pair, answer, note in each]
    page.save([example, *maps], command.out / "maps.html", title=f"What the {command.data} translator looked at")
    console.print(f"\nall maps: {command.out / 'maps.html'}   picture: {command.out / 'map.png'}   run: {command.out}")
    console.print(f'ask it yourself: saccade show {command.out} "{text}"')
