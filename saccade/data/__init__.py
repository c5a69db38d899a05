"""Files, encoded examples, batches. This file names the choices and imports no torch."""

from typing import Literal

Level = Literal["char", "word", "bpe"]
"""What a token is: a character, a word, or a byte-pair piece."""
