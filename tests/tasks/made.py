"""Images, lines of text and sounds made for tests, and options of models that learn them in seconds."""

import numpy as np

CAPTION = {"height": 16, "width": 24, "filters": 8, "halvings": 2, "embedding": 8, "hidden": 16, "batch_size": 8}
LINES = {
    "read": "columns",
    "level": "char",
    "attention": "additive",
    "ctc": 0.5,
    "height": 12,
    "width": 0,
    "halvings": 1,
}
TAG = {"embedding": 12, "hidden": 16, "character_hidden": 8, "character_embedding": 6}
TRANSCRIBE = {"level": "word", "rate": 8000, "mels": 16, "embedding": 8, "hidden": 16, "batch_size": 8}
TRANSCRIBE |= {"encoder_layers": 2, "halvings": 1, "masks": 0, "ctc": 0.5}

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}
BARS = {"a": (1, 0, 0), "b": (0, 1, 0), "c": (1, 0, 1), "d": (1, 1, 1)}


def paint(left: str, right: str, height: int = 16, width: int = 24) -> np.ndarray:
    """An image of two coloured squares on white."""
    image = np.full((height, width, 3), 255, np.uint8)
    size = height // 2
    image[height // 4 :][:size, width // 12 :][:, :size] = COLOURS[left]
    image[height // 4 :][:size, width - width // 12 - size : width - width // 12] = COLOURS[right]
    return image


def draw_line(text: str) -> np.ndarray:
    """A line of text, in letters of three bars, 6 x 12 pixels each: top, middle, bottom."""
    image = np.full((12, 6 * len(text) + 2, 3), 255, np.uint8)
    for place, letter in enumerate(text):
        for bar, black in enumerate(BARS[letter]):
            if black:
                image[4 * bar : 4 * bar + 3, 6 * place + 1 : 6 * place + 5] = 0
    return image


TONES = {"low": 300, "mid": 900, "high": 2500}


def tones(words: list[str], rate: int = 8000, noise: int = 0) -> np.ndarray:
    """A sound of a tone a word, with a pause after each."""
    time = np.arange(int(0.12 * rate)) / rate
    parts = [np.append(0.3 * np.sin(2 * np.pi * TONES[word] * time), np.zeros(int(0.04 * rate))) for word in words]
    sound = np.concatenate(parts)
    return sound + 0.01 * np.random.default_rng(noise).normal(size=len(sound))
