"""What a word looks like: a vector of its characters."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade.errors import at_least_one
from saccade.layers.recurrent import BidirectionalEncoder

CharacterEncoderName = Literal["cnn", "lstm"]


class CharacterEncoder(nn.Module):
    """A vector for each word, made of its characters, so that words never seen before have one too.

    "cnn": `max_t (W [c_t-1; c_t; c_t+1] + b)`, a convolution over three characters and its largest value along the
    word (Ma and Hovy 2016, §2.1; Kim et al. 2016, §2.2). "lstm": the last state of each direction of a bidirectional
    LSTM, side by side (Lample et al. 2016, §4.1). A word without characters is padding, and a vector of zeros. A word
    that occurs several times is read once.

    Args:
        characters: how many there are, padding (0) among them.
        embedding: width of a character's vector.
        dim: width of a word's vector; even for "lstm".
        kind: "cnn" or "lstm".

    >>> encode = CharacterEncoder(11, 3, 4)
    >>> encode(torch.tensor([[[5, 7, 0], [0, 0, 0]]]))[0, 1].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, characters: int, embedding: int, dim: int, *, kind: CharacterEncoderName = "cnn"):
        super().__init__()
        at_least_one({"characters": characters, "embedding": embedding, "dim": dim})
        if kind not in ("cnn", "lstm"):
            raise ValueError(f"kind must be cnn or lstm; got {kind!r}")
        self.kind, self.dim = kind, dim
        self.embedding = nn.Embedding(characters, embedding, padding_idx=0)
        if kind == "cnn":
            self.encoder: nn.Module = nn.Conv1d(embedding, dim, 3, padding=1)
        else:
            self.encoder = BidirectionalEncoder("lstm", embedding, dim)

    def forward(self, x: Int[Tensor, "batch word character"]) -> Float[Tensor, "batch word dim"]:
        """Encode the characters of words, 0 behind the last one of each.

        Raises:
            ValueError: not three axes of integers, or a word with a 0 before its end.
        """
        if x.dim() != 3 or x.is_floating_point() or x.dtype == torch.bool:
            raise ValueError(f"x must be integers [batch, word, character]; got {x.dtype} {list(x.shape)}")
        if torch.compiler.is_compiling():  # how many words are real is not known, so padding is read and left out
            return self._encode(x.flatten(0, 1)).view(*x.shape[:2], self.dim)
        real = x != 0
        if bool((real[..., 1:] & ~real[..., :-1]).any()):
            raise ValueError("x must have 0 behind the last character of a word alone")
        words = real.any(-1)
        distinct, which = torch.unique(
            x[words], dim=0, return_inverse=True
        )  # half the words of a batch are there twice
        vectors = self._encode(distinct)[which]
        return vectors.new_zeros(*x.shape[:2], self.dim).masked_scatter(words[..., None], vectors)

    def _encode(self, words: Int[Tensor, "word character"]) -> Float[Tensor, "word dim"]:
        real = words != 0
        embedded: Tensor = self.embedding(words)
        if self.kind == "lstm":
            vectors: Tensor = self.encoder(embedded, real.sum(1).clamp(min=1)).summary
        else:
            read: Tensor = self.encoder(embedded.transpose(1, 2))
            vectors = read.masked_fill(~real[:, None], torch.finfo(read.dtype).min).amax(2)
        return vectors.masked_fill(~real.any(1, keepdim=True), 0.0)
