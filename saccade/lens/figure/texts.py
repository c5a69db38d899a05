"""The shaded text: words on the colour of their weight, a bar before each sentence for its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.lens import fonts
from saccade.lens.figure.ink import FAINT, GRID, INK, TEXT, WARM, palette
from saccade.lens.figure.sheet import Sheet
from saccade.lens.maps import readable, scale_end, spacing, visible
from saccade.lens.texts import ShadedText, drawn_weights, excerpt, left_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 560.0  # points
MOST = 400  # words
LABELS = 5
TITLE, FONT, SMALL = 13.0, 10.5, 8.0  # points
BAR, GUTTER = 34.0, 66.0  # points, for the weight of a sentence: its bar, and with its number
FAINTEST = 0.02  # part of the scale below which paper stays paper
FLIPPED = 0.58  # part of the scale from which white letters stand out better than black ones


def draw(text: ShadedText, *, title: str = "") -> Figure:
    """`text` as flowing words; of a long one the sentences that were looked at most, and a line that says so."""
    weights = drawn_weights(text)
    stretches = excerpt(weights, MOST)
    shown = [[visible(text.sentences[place][word]).replace("␣", " ") for word in words] for place, words in stretches]
    title, note = (" ".join(readable(words).split()) for words in (title, text.note))
    labels = [visible(label).replace("␣", " ") for label, _ in text.scores[:LABELS]]
    answer = visible(text.answer).replace("␣", " ") if text.answer and not labels else ""
    families, missing = fonts.choose(
        [*(word for words in shown for word in words), *labels, title, note, answer, "…√×"]
    )
    sheet = Sheet(WIDTH, families)
    _paragraph(sheet, fonts.boxed(title, missing), TITLE, TEXT)
    _paragraph(sheet, fonts.boxed(answer, missing), FONT, TEXT)
    _scores(sheet, text, [fonts.boxed(label, missing) for label in labels])
    _paragraph(sheet, fonts.boxed(note, missing), SMALL + 1, FAINT)
    sheet.height += 6
    gap = spacing(word for words in text.sentences for word in words)
    top = scale_end(np.concatenate([weights[place] for place, _ in stretches])) if stretches else 1.0
    for stretch, words in zip(stretches, shown, strict=True):
        part = weights[stretch.sentence][stretch.words.start : stretch.words.stop] / top
        _bar(sheet, text, stretch.sentence)
        more = (stretch.words.start > 0, stretch.words.stop < len(text.sentences[stretch.sentence]))
        _words(sheet, [fonts.boxed(word, missing) for word in words], part, text, gap, more)
        sheet.height += 2
    _legend(sheet, text, top if stretches else 0.0)
    _paragraph(sheet, left_out(text, stretches), SMALL, FAINT)
    return sheet.finished()


def _paragraph(sheet: Sheet, words: str, size: float, colour: str) -> None:
    fitting = [sheet.fit(word, size, sheet.width) for word in words.split()]
    for word, place in zip(fitting, sheet.flow(fitting, size), strict=True):
        sheet.write(word, place.x, place.y, size, colour=colour)


def _scores(sheet: Sheet, text: ShadedText, labels: Sequence[str]) -> None:
    fitting = [sheet.fit(label, FONT, 160) for label in labels]
    start = max([sheet.measure(label, FONT) for label in fitting], default=0.0) + 10
    for label, (name, probability) in zip(fitting, text.scores, strict=False):
        sheet.height += 16
        sheet.write(label, 0, sheet.height - 5, FONT, colour=TEXT if name == text.answer else FAINT)
        sheet.fill(start, sheet.height - 12, 120, 7, GRID)
        sheet.fill(start, sheet.height - 12, max(120 * probability, 0.5), 7, INK[4] if name == text.answer else INK[3])
        sheet.write(f"{probability:.2f}", start + 128, sheet.height - 5, SMALL, colour=FAINT)


def _bar(sheet: Sheet, text: ShadedText, sentence: int) -> None:
    if text.sentence_weights is None:
        return
    weight, most = float(text.sentence_weights[sentence]), max(float(text.sentence_weights.max()), 1e-9)
    line = sheet.height + 1.25 * FONT  # on which the sentence will begin
    sheet.write(f"{weight:.2f}", GUTTER - BAR - 8, line, SMALL, colour=FAINT, right=True)
    sheet.fill(GUTTER - BAR - 4, line - 7, max(BAR * weight / most, 0.5), 6.5, WARM)


def _words(
    sheet: Sheet,
    words: Sequence[str],
    parts: NDArray[np.float32],
    text: ShadedText,
    gap: str,
    more: tuple[bool, bool],
) -> None:
    left = GUTTER + 6 if text.sentence_weights is not None else 0.0
    before, after = (["…"] * continued for continued in more)
    fitting = [*before, *(sheet.fit(word, FONT, sheet.width - left) for word in words), *after]
    shades = [0.0, *parts.tolist()] if before else parts.tolist()
    ink, pad = palette(), 1.5 if gap else 0.0
    for word, place, part in zip(
        fitting, sheet.flow(fitting, FONT, left=left, gap=gap), [*shades, *[0.0] * len(after)], strict=True
    ):
        if part >= FAINTEST:
            top = place.y - 1.02 * FONT
            sheet.fill(place.x - pad, top, place.width + 2 * pad, 1.36 * FONT, ink(part), rounding=2 if gap else 0)
        sheet.write(word, place.x, place.y, FONT, colour="#ffffff" if part > FLIPPED else TEXT)


def _legend(sheet: Sheet, text: ShadedText, top: float) -> None:
    if not top:
        return
    sheet.height += 22
    y = sheet.height - 6
    sheet.write("0", 0, y, SMALL, colour=FAINT)
    ink, steps = palette(), 48
    for step in range(steps):
        sheet.fill(8 + step * 70 / steps, y - 6.5, 70 / steps + 0.3, 7, ink(step / (steps - 1)))
    said = f"{top:.3g}  weight of a word" + (", mean over the hops" if len(text.weights[0]) > 1 else "")
    if text.sentence_weights is not None:
        said += " × √ weight of its sentence"
    sheet.write(said, 82, y, SMALL, colour=FAINT)
    if text.sentence_weights is not None:
        x = 82 + sheet.measure(said, SMALL) + 18
        sheet.fill(x, y - 6, 16, 6.5, WARM)
        sheet.write("weight of a sentence", x + 21, y, SMALL, colour=FAINT)
