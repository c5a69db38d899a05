"""Transcribing while listening: a word is written as soon as what it is heard in is over."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.attention.monotonic import MonotonicState
from saccade.data.tokens import END, SPECIAL
from saccade.errors import OptionError
from saccade.layers.logmel import LogMel, LogMelStream
from saccade.models.decoder import RecurrentDecoder, Step
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.transcribe.spelling import Heard, Spelling
from saccade.tasks.transcribe.transcriber import Transcriber
from saccade.tasks.write.search import SYMBOLS

_AHEAD = 64  # slots that are searched at once: the work grows with the audio and no faster, however much comes at once


def check_streams(options: TranscribeOptions) -> None:
    """Refuse what has to hear the end first.

    Raises:
        OptionError: saying why, and what to train.
    """
    if not options.streaming:
        why = f"an encoder of both directions and {options.attention} attention, which wait for the end"
        raise OptionError(f"expected a run of --streaming --attention mocha --normalize training; got {why}")


class Listening:
    """A trained recogniser at work: samples go in piece by piece, words come out; greedy, without CTC.

    Monotonic attention stops at the first slot that is good enough from the one before on (Raffel et al. 2017,
    Algorithm 1), whatever comes later. So a step of the decoder that stopped is final, and one that did not is taken
    again when there are more slots; each slot is asked once. Together the words are those of
    `transcriber.answer([path])`, however the samples are cut.

    Args:
        transcriber: of a run that was trained with `--streaming`.
        endless: whether the audio goes on after the end of an utterance; the decoder then begins anew behind the slot
            where it ended. An utterance in which nothing was attended is none, and one that reaches the limit of
            tokens ends there. Otherwise what comes after the end token is ignored.

    Raises:
        OptionError: a run that has to hear the end first, or that reads features and no sound.
    """

    def __init__(self, transcriber: Transcriber, *, endless: bool = False):
        options, model = transcriber.options, transcriber.model
        check_streams(options)
        if transcriber.codec.kind != "recordings":
            raise OptionError(f"expected a run that was trained on recordings; got one of {transcriber.codec.kind}")
        assert isinstance(model.decoder, RecurrentDecoder)
        self.transcriber, self.endless, self.over = transcriber, endless, False
        self._front = LogMel(rate=options.rate, mels=options.mels)
        self._frames_of, self._encoder = LogMelStream(self._front), model.encoder.begin()
        self._joined = 1 << options.halvings  # frames in a slot
        # A chunk of MoChA reaches so far back; one slot at least stays, to look at nothing of it.
        self._decoder, self._keep = model.decoder, max(getattr(model.decoder.attention, "chunk", 1) - 1, 1)
        self._slots = next(model.parameters()).new_zeros(1, 0, model.config.hidden)
        self._samples = self._frames = 0
        self._place = self._passed = 0  # the slot where the search goes on: in the audio, and among those that are kept
        self._begin()

    @property
    def seconds(self) -> float:
        """How much audio has come."""
        return self._samples / self._front.rate

    @torch.inference_mode()
    def push(self, samples: NDArray[np.floating] | Sequence[float]) -> list[Heard]:
        """The words that these samples bring, which may be none.

        Args:
            samples: of [-1, 1] at the run's rate, `[samples]`, any number of them.

        Raises:
            ValueError: other axes, or a sample that is not finite.
        """
        sound = np.asarray(samples, np.float32)
        if sound.ndim != 1 or not np.isfinite(sound).all():
            raise ValueError(f"samples must be finite, [samples]; got {list(sound.shape)}, or NaN or infinity in it")
        if self.over:
            return []
        self._samples += len(sound)
        frames = self._frames_of.push(torch.from_numpy(sound).to(self.transcriber.device))
        return self._heard(frames) if len(frames) else []

    @torch.inference_mode()
    def finish(self) -> list[Heard]:
        """The words that were waiting for what comes next; nothing does.

        Raises:
            ValueError: not one sample came.
        """
        if self.over:
            return []
        self._hear(self._frames_of.finish())
        self._grow(self.transcriber.model.encoder.finish(self._encoder))
        heard = self._write(ended=True)
        self.over = True
        return heard + self._spelling.finish(self.seconds)

    def _heard(self, frames: Tensor) -> list[Heard]:
        self._hear(frames)
        return self._write(ended=False)

    def _hear(self, frames: Tensor) -> None:
        if len(frames):
            model = self.transcriber.model
            self._frames += len(frames)
            sizes = torch.tensor([[len(frames)]], device=frames.device)
            slots, self._encoder = model.encoder.advance(model.standardize(frames[None], sizes), self._encoder)
            self._grow(slots)

    def _grow(self, slots: Tensor) -> None:
        self._slots = torch.cat([self._slots, slots], 1)

    def _begin(self) -> None:
        """A new utterance, at the slot where the search goes on."""
        self._begun, self._written = self._place, 0
        self._token, self._cells = SYMBOLS.start, None
        codec, options = self.transcriber.codec, self.transcriber.options
        self._spelling = Spelling(codec.vocabulary, whole=options.level == "word")

    def _write(self, *, ended: bool) -> list[Heard]:
        """Write as far as the slots reach; where the audio has ended, on until the end token or the limit."""
        heard: list[Heard] = []
        while not self.over:
            if self._written >= self._limit():
                if not self.endless:
                    break
                heard += self._end(self.seconds)
                continue
            waiting = self._slots.shape[1] - self._passed
            if not waiting and (not ended or (self.endless and not self._written)):
                break
            step = self._step()
            stop = step.state.attention.alignment[0].nonzero()
            if len(stop) or not waiting:
                self._pass(int(stop[0]) - self._passed if len(stop) else 0)
                heard += self._take(step, self._end_of_slot() if len(stop) else self.seconds)
            else:
                self._pass(min(waiting, _AHEAD))
        return heard

    def _step(self) -> Step:
        """A step of the decoder that looks for its slot from where the search goes on."""
        slots = self._slots[:, : self._passed + _AHEAD]
        source, state = self._decoder.begin(slots, None, slots.new_zeros(1, slots.shape[2]))
        first = torch.arange(slots.shape[1], device=slots.device) == self._passed
        state = state._replace(attention=MonotonicState(first.to(state.attention.alignment.dtype)[None]))
        if self._cells is not None:
            state = state._replace(cells=self._cells)
        return self._decoder.step(torch.tensor([self._token], device=slots.device), source, state)

    def _pass(self, slots: int) -> None:
        """The search goes on so many slots later; what it can no longer reach is forgotten."""
        self._place, self._passed = self._place + slots, self._passed + slots
        gone = max(self._passed - self._keep, 0)
        self._slots, self._passed = self._slots[:, gone:], self._passed - gone

    def _take(self, step: Step, at: float) -> list[Heard]:
        """Write the likeliest token of a step."""
        scores = step.logits[0].float().log_softmax(-1)
        scores[list(SYMBOLS.banned)] = -float("inf")
        self._token, self._cells = int(scores.argmax()), step.state.cells
        if self._token == END:
            return self._end(at)
        self._written += 1
        return self._spelling.add(self._token, at, self.seconds)

    def _end(self, at: float) -> list[Heard]:
        """The end of an utterance, and where the audio goes on the beginning of the next, behind the latest slot."""
        heard = [*self._spelling.finish(self.seconds), Heard("", (SPECIAL[END],), at, self.seconds)]
        self.over = not self.endless
        if self.endless:
            self._slots = self._slots[:, self._passed + 1 :]
            self._place, self._passed = self._place + 1, 0
            self._begin()
        return heard

    def _end_of_slot(self) -> float:
        """Where the frames of the slot that is attended end, in seconds."""
        last = min((self._place + 1) * self._joined, self._frames) - 1
        return min((last * self._front.stride + self._front.width) / self._front.rate, self.seconds)

    def _limit(self) -> int:
        """How many tokens an utterance of so many frames may have, as offline."""
        frames = max(self._frames - self._begun * self._joined, 0)  # the last slot may have less than others
        return self.transcriber.limit(frames)
