"""How much of each input token reached a position: a vector over tokens, which can be shown."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from saccade.lens.show import draw
from saccade.lens.texts import shaded_text
from saccade.lens.tokens import spelled, words_of_pieces
from saccade.lens.views import Merge


class Reached(NamedTuple):
    """What flowed to one position of the last layer, through all layers.

    scores: of each input token, not negative, `[batch, key]`; of a rollout they sum to one.
    labels: the tokens of each sequence, or their places where nobody knows them; padding is left out of drawings.
    target: the position, of each sequence.
    real:   which tokens are no padding, boolean `[batch, key]`; None: all.
    special: which have a meaning of their own, as [CLS], boolean `[batch, key]`; None: nobody knows.
    """

    scores: Float[Tensor, "batch key"]
    labels: tuple[tuple[str, ...], ...]
    target: tuple[int, ...]
    real: Tensor | None = None
    special: Tensor | None = None

    def show(
        self,
        example: int = 0,
        *,
        merge: Merge = "pieces",
        special: bool = True,
        terminal: bool = True,
        png: Path | str | None = None,
        page: Path | str | None = None,
    ) -> None:
        """Draw the tokens of one sequence, shaded by their scores.

        Args:
            example: which sequence.
            merge: "words" puts the pieces of words together, their scores added up.
            special: draw special tokens too, which often hold most; without them the rest is scaled to sum to one.
            terminal, png, page: as of `saccade.show`.

        Raises:
            ValueError: no such example, or another merge.
        """
        if merge not in ("pieces", "words"):
            raise ValueError(f"merge must be pieces or words; got {merge!r}")
        if not 0 <= example < len(self.scores):
            raise ValueError(f"example must be 0 to {len(self.scores) - 1}; got {example}")
        places = [place for place in range(self.scores.shape[1]) if _is(self.real, example, place, True)]
        if not special:
            places = [place for place in places if not _is(self.special, example, place, False)]
        words = [self.labels[example][place] for place in places]
        weights = self.scores[example].float().cpu().numpy()[places]
        at = self.target[example]
        name = self.labels[example][at]
        if merge == "words":
            alone = [n for n, place in enumerate(places) if _is(self.special, example, place, False)]
            numbers = words_of_pieces(words, special=alone)
            words, weights = list(spelled(words, numbers)), np.bincount(numbers, weights)
            name = words[numbers[places.index(at)]] if at in places else name
        title = f"what reached {name}"
        total = weights.sum()
        drawing = shaded_text([words], [weights / total if total > 0 else weights], note=title)
        draw(drawing, terminal=terminal, png=png)
        draw(drawing, title=title, terminal=False, page=page)


def _is(what: Tensor | None, example: int, place: int, unknown: bool) -> bool:
    return unknown if what is None else bool(what[example, place])
