"""How much of each input token reached a position: a vector over tokens, which can be shown."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from saccade.lens.show import draw
from saccade.lens.texts import shaded_text
from saccade.lens.tokens import tokens


class Reached(NamedTuple):
    """What flowed to one position of the last layer, through all layers.

    scores: of each input token, not negative, `[batch, key]`; of a rollout they sum to one.
    labels: the tokens of each sequence, or their places where nobody knows them; padding is left out of drawings.
    target: the position, of each sequence.
    real:   which tokens are no padding, boolean `[batch, key]`; None: all.
    """

    scores: Float[Tensor, "batch key"]
    labels: tuple[tuple[str, ...], ...]
    target: tuple[int, ...]
    real: Tensor | None = None

    def show(
        self,
        example: int = 0,
        *,
        terminal: bool = True,
        png: Path | str | None = None,
        page: Path | str | None = None,
    ) -> None:
        """Draw the words of one sequence, shaded by their scores: a word has the sum of its pieces.

        Raises:
            ValueError: no such example.
        """
        if not 0 <= example < len(self.scores):
            raise ValueError(f"example must be 0 to {len(self.scores) - 1}; got {example}")
        real = None if self.real is None else self.real[example]
        places = [place for place in range(self.scores.shape[1]) if real is None or real[place]]
        read = tokens([self.labels[example][place] for place in places], words="auto")
        scores = self.scores[example].double().cpu().numpy()[places]
        weights = np.bincount(read.words, scores, len(read.names))
        title = f"what reached {read.names[read.words[places.index(self.target[example])]]}"
        total = weights.sum()
        drawing = shaded_text([read.names], [weights / total if total > 0 else weights], answer=title)
        draw(drawing, title=title, terminal=terminal, png=png, page=page)
