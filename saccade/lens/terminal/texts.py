"""The shaded text: flowing words, coloured where they were looked at, a bar before each sentence for its weight."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from saccade.lens.maps import scale_end, spacing, visible
from saccade.lens.terminal.shades import ASCII, encodable, hue, shades_of, words
from saccade.lens.texts import ShadedText, Stretch, drawn_weights, excerpt, left_out

MOST = 300  # words
BAR = 6  # cells
EIGHTHS = "▏▎▍▌▋▊▉█"
NARROWEST = 20  # cells for the words, however narrow the terminal
LABELS = 5
STEPS = (0.2, 0.45, 0.7, 1.0)  # strengths that the legend shows
BRACKETS = ((math.sqrt(0.5), "[[", "]]"), (math.sqrt(0.2), "[", "]"))  # from which strength, where there is no colour
FAINTEST = math.sqrt(0.04)  # strength below which a word stays plain


class Look(NamedTuple):
    """How words look on one console."""

    coloured: bool
    ascii: bool
    top: float  # the weight where the scale ends


def lines(text: ShadedText, console: Console) -> Iterator[Text]:
    """The lines of `text`: the answer, then what was looked at most of the text, in the order of reading."""
    scores = "  ".join(f"{label} {probability:.2f}" for label, probability in text.scores[:LABELS])
    yield from words([("answer", text.answer), ("scores", scores), ("", text.note)], console)
    weights = drawn_weights(text)
    stretches = excerpt(weights, MOST)
    if not stretches:
        return
    coloured = console.color_system is not None and not console.no_color
    top = scale_end(np.concatenate([weights[stretch.sentence] for stretch in stretches]))
    look = Look(coloured, shades_of(console) == ASCII, top)
    gap = spacing(word for sentence in text.sentences for word in sentence)
    bars = _bars(text, look)
    for stretch in stretches:
        bar = bars[stretch.sentence]
        shown = _shaded(text, stretch, weights[stretch.sentence], gap, look, console)
        for line in shown.wrap(console, max(console.width - len(bar), NARROWEST), overflow="fold"):
            line.rstrip()
            yield Text(bar, style="dim").append_text(line)
            bar = " " * len(bar)
    yield Text()
    yield from _legend(text, look)
    if missing := left_out(text, stretches):
        yield Text(missing, style="dim")


def _bars(text: ShadedText, look: Look) -> list[str]:
    if text.sentence_weights is None:
        return [""] * len(text.sentences)
    most = max(float(text.sentence_weights.max()), 1e-9)
    return [f"{weight:.2f} {_bar(weight / most, look.ascii):<{BAR}} " for weight in text.sentence_weights.tolist()]


def _bar(part: float, ascii: bool) -> str:
    if ascii:
        return "#" * round(part * BAR)
    eighths = round(part * BAR * 8)
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _shaded(
    text: ShadedText, stretch: Stretch, weights: NDArray[np.float32], gap: str, look: Look, console: Console
) -> Text:
    sentence, (start, stop) = text.sentences[stretch.sentence], (stretch.words.start, stretch.words.stop)
    dots = encodable("…", console) if encodable("…", console) == "…" else "..."
    line = Text(f"{dots} " if start else "")
    for place in stretch.words:
        shown = encodable(visible(sentence[place]).replace("␣", " "), console)
        line.append(gap if place > start else "")
        line.append_text(_word(shown, math.sqrt(min(float(weights[place]) / look.top, 1)), look))
    return line.append(f" {dots}" if stop < len(sentence) else "")


def _word(shown: str, strength: float, look: Look) -> Text:
    if look.coloured:
        return Text(shown, _background(strength)) if strength >= FAINTEST else Text(shown)
    for least, opening, closing in BRACKETS:
        if strength >= least:
            return Text(opening + shown + closing)
    return Text(shown)


def _background(strength: float) -> Style:
    red, green, blue = hue(strength)
    # Ink of the brightness that stands out from this background, in ITU-R BT.709's weights of the linear channels.
    linear = [(channel / 255) ** 2.2 for channel in (red, green, blue)]
    bright = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179
    ink = Color.from_rgb(0, 0, 0) if bright else Color.from_rgb(255, 255, 255)
    return Style(color=ink, bgcolor=Color.from_rgb(red, green, blue), bold=strength >= BRACKETS[0][0])


def _legend(text: ShadedText, look: Look) -> Iterator[Text]:
    steps = STEPS if look.coloured else [least for least, _, _ in reversed(BRACKETS)]
    samples = [_word(f"{'' if look.coloured else 'from '}{look.top * step**2:.2g}", step, look) for step in steps]
    of_sentence = " times the root of its sentence's; bars: weights of sentences"
    over_hops = ", mean over the hops" if any(len(weights) > 1 for weights in text.weights) else ""
    said = f"  weight of a word{over_hops}{of_sentence if text.sentence_weights is not None else ''}"
    yield Text(" ").join(samples).append(said, style="dim")
