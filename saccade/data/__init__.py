"""Files, encoded examples, batches. This file names the choices and imports no torch."""

from typing import Literal

Level = Literal["char", "word", "bpe", "unigram"]
"""What a token is: a character, a word, a byte-pair piece, or a piece of a unigram language model."""
PIECES: tuple[Level, ...] = ("bpe", "unigram")
"""The levels at which no text is unknown: what no piece writes is written in bytes."""
LEAST_PIECES = 300
"""The smallest vocabulary of pieces: the 256 bytes, and some room."""
