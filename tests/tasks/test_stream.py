"""Words while the sound comes in: those of the whole recording, however it is cut, and as early as can be."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade import decoding
from saccade.data import tokens
from saccade.data.recordings import read_recording
from saccade.errors import OptionError
from saccade.tasks.load import load
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.transcribe.spelling import Heard, Spelling
from saccade.tasks.transcribe.stream import Listening
from saccade.tasks.transcribe.transcriber import Transcriber, new_model
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.search import SYMBOLS
from saccade.tasks.write.writer import Longest

RATE = 8000
TEXTS = ["one two three, four", "five six zero 零一二 one"]
SHORT = Longest(40, 6)
SMALL = {"rate": RATE, "mels": 12, "hidden": 12, "embedding": 5, "streaming": True, "normalize": "training"}


def untrained(seed: int, *, end: float = -1.0, longest: Longest = SHORT, **options: object) -> Transcriber:
    """A recogniser with large random weights, so that it stops here and there; `end` is what the end token gains."""
    chosen = TranscribeOptions(**{"attention": "mocha", **SMALL, **options})
    codec = WriteCodec(tokens.learn(TEXTS, chosen.level, 300), "recordings", (-9.0,) * 12, (3.0,) * 12)
    torch.manual_seed(seed)
    model = new_model(chosen, codec)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= 4
        model.decoder.attention.r.zero_()
        model.decoder.attention.g *= 4
        model.decoder.output.bias[tokens.END] += end
    return Transcriber(model, codec, longest, chosen)


def noise(seed: int, seconds: float) -> np.ndarray:
    """Noise that swells and fades, float32."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    loudness = np.exp(4 * np.sin(2 * np.pi * (1 + rng.random()) * time + rng.random()) - 5)
    return (rng.normal(size=len(time)) * loudness).clip(-1, 1).astype(np.float32)


def written(path: Path, sound: np.ndarray) -> Path:
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile: pip install 'saccade[audio]'")
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return path


def cut(sound: np.ndarray, most: int, seed: int = 0) -> list[np.ndarray]:
    """A sound in pieces of 0 to `most` samples."""
    sizes = np.random.default_rng(seed).integers(0, most + 1, 2 * len(sound) // most + 9)
    return np.split(sound, np.minimum(sizes.cumsum(), len(sound)))


def heard_in(listening: Listening, pieces: list[np.ndarray]) -> list[Heard]:
    return [word for piece in pieces for word in listening.push(piece)] + listening.finish()


def text_of(heard: list[Heard]) -> str:
    return "".join(word.text for word in heard)


def tokens_of(heard: list[Heard]) -> tuple[str, ...]:
    return tuple(token for word in heard for token in word.tokens)


@pytest.mark.parametrize("level", ["char", "word", "bpe"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("attention", ["monotonic", "mocha"])
def test_a_stream_is_the_whole_recording_however_it_is_cut(tmp_path, attention, cell, level):
    looked, ended = 0, 0
    for seed in range(6):
        kinds = {"attention": attention, "encoder": cell, "decoder": cell, "attend": ("before", "after")[seed // 3]}
        transcriber = untrained(seed, end=3.0 * (seed % 2), level=level, **kinds)
        sound = noise(seed, (0.01, 0.3, 0.9)[seed % 3])
        answer = transcriber.answer([written(tmp_path / "sound.wav", sound)])[0]
        for pieces in (cut(sound, (9, 100, 1700)[seed // 2], seed), [sound]):
            heard = heard_in(Listening(transcriber), pieces)
            assert (text_of(heard), tokens_of(heard)) == (answer.text, answer.target)
        looked += int((answer.weights.sum(1) > 0).sum())
        ended += answer.target[-1] == "</s>"
    assert looked
    assert ended


def test_one_sample_at_a_time_is_the_whole_recording(tmp_path):
    transcriber, sound = untrained(3, level="word"), noise(3, 0.2)
    answer = transcriber.answer([written(tmp_path / "sound.wav", sound)])[0]
    heard = heard_in(Listening(transcriber), list(sound[:, None]))
    assert (text_of(heard), tokens_of(heard)) == (answer.text, answer.target)
    assert answer.weights.any()


@pytest.mark.parametrize("attention", ["monotonic", "mocha"])
def test_a_word_is_written_as_soon_as_its_slot_has_ended(tmp_path, attention):
    soon = 0
    for seed in range(6):
        # What it attends tells where a slot ends: 4 frames, 80 samples apart. The limit does not grow with the sound.
        transcriber = untrained(seed, attention=attention, level="word", longest=Longest(400, 20))
        sound = noise(seed, 1.0)
        answer = transcriber.answer([written(tmp_path / "sound.wav", sound)])[0]
        heard = heard_in(Listening(transcriber), np.split(sound, range(240, len(sound), 240)))
        for word, weights in zip(heard, answer.weights, strict=True):
            if weights.any():
                frame = min(4 * int(weights.nonzero()[0][-1]) + 3, 97)
                assert word.at == pytest.approx(min(80 * frame + 200, len(sound)) / RATE)
                assert 0 <= word.after - word.at < 240 / RATE
                soon += word.after < 1
            else:
                assert (word.at, word.after) == (1, 1)
    assert soon > 5


def test_a_trained_stream_is_the_whole_recording(stream_run, sounds):
    transcriber = load(stream_run)
    for number in range(8):
        path = sounds.parent / f"{number}.wav"
        answer, sound = transcriber(path), read_recording(path).samples
        heard = heard_in(Listening(transcriber), cut(sound, 900, number))
        assert (text_of(heard), tokens_of(heard)) == (answer.text, answer.target)


def test_real_speech_is_heard_as_the_whole_recording(tmp_path, shared_data):
    archive = shared_data / "fsdd" / "recordings.zip"
    if not archive.is_file():
        pytest.skip(f"needs real recordings: {archive} is not there")
    with zipfile.ZipFile(archive) as file:
        inside = {Path(name).name: name for name in file.namelist()}
        digits = [inside[f"{digit}_jackson_0.wav"] for digit in range(4)]
        for name in digits:
            (tmp_path / Path(name).name).write_bytes(file.read(name))
    sound = np.concatenate([read_recording(tmp_path / Path(name).name).samples for name in digits])
    for seed, attention in enumerate(("monotonic", "mocha")):
        transcriber = untrained(seed, attention=attention)
        answer = transcriber.answer([written(tmp_path / "digits.wav", sound)])[0]
        heard = heard_in(Listening(transcriber), cut(sound, 1600))
        assert (text_of(heard), tokens_of(heard)) == (answer.text, answer.target)


def utterances(transcriber: Transcriber, path: Path) -> list[list[int]]:
    """What is heard in endless audio, by greedy search over all its slots, again and again from behind the last one."""
    model, features = transcriber.model, torch.from_numpy(transcriber.array(path))[None]
    slots, found, begin = model.encode(features, torch.tensor([[features.shape[1]]])).states, [], 0
    while begin < slots.shape[1]:
        source, state = model.decoder.begin(slots[:, begin:], None, torch.zeros(1, slots.shape[2]))
        limit = transcriber.limit(len(features[0, 4 * begin :]))
        best = decoding.greedy(model, source, state, SYMBOLS, [limit])[0]
        if not best.weights[0].any():
            break
        found.append(best.tokens)
        if not best.weights[-1].any():
            break
        begin += int(best.weights[-1].nonzero()[-1]) + 1
    return found


def test_endless_audio_is_one_utterance_after_the_other(tmp_path):
    many = 0
    for seed in range(5):
        transcriber = untrained(seed, end=3.0, level="word", longest=Longest(400, 20))
        sound = noise(seed, 1.5)
        expected = utterances(transcriber, written(tmp_path / "sound.wav", sound))
        heard = heard_in(Listening(transcriber, endless=True), cut(sound, 700, seed))
        said: list[list[str]] = [[]]
        for word in heard:
            said[-1] += () if word.ended else word.tokens
            said += [[]] if word.ended else []
        labels = [[transcriber.codec.vocabulary.label(i) for i in best] for best in expected]
        assert said == labels + [[]] * (heard[-1:] == [] or heard[-1].ended)
        many += len(labels) > 2
    assert many


def test_an_utterance_that_does_not_end_is_cut_at_the_limit_where_audio_is_endless():
    transcriber = untrained(0, end=-99.0, level="word", longest=Longest(10_000, 3))
    with torch.no_grad():
        transcriber.model.decoder.attention.r += 99
    heard = heard_in(Listening(transcriber, endless=True), [noise(0, 0.3)])
    assert [word.ended for word in heard] == ([False] * 7 + [True]) * 8  # in 29 frames there are 8 slots
    assert len(tokens_of(heard_in(Listening(transcriber), [noise(0, 0.3)]))) == 7


@pytest.mark.parametrize("offset", [-99.0, 0.0])
def test_each_slot_is_asked_once_or_so_however_much_comes_at_once(offset):
    transcriber = untrained(1, longest=Longest(4000, 2))
    with torch.no_grad():
        transcriber.model.decoder.attention.r += offset
    begin, asked = transcriber.model.decoder.begin, []

    def count(states, *rest):
        asked.append(states.shape[1])
        return begin(states, *rest)

    transcriber.model.decoder.begin = count
    for pieces in ([noise(1, 8.0)], cut(noise(1, 8.0), 800)):
        asked.clear()
        listening = Listening(transcriber)
        for piece in pieces:
            listening.push(piece)
        assert max(asked) <= 64 + 3
        # Of 200 slots, each once and three again in every attempt; a token that is written asks some of them again.
        assert sum(asked) <= 200 + 3 * len(asked) + 64 * transcriber.limit(800)


def test_the_end_token_ends_a_recording():
    transcriber = untrained(0, end=99.0, level="word")
    with torch.no_grad():
        transcriber.model.decoder.attention.r += 99
    listening = Listening(transcriber)
    assert listening.push(noise(0, 0.1)) == [Heard("", ("</s>",), 440 / RATE, 0.1)]
    assert listening.over
    assert listening.push(noise(1, 1.0)) == listening.finish() == []
    assert listening.seconds == 0.1


def test_bad_sound_is_refused():
    listening = Listening(untrained(0))
    for wrong in (np.zeros((2, 3)), [0.0, np.nan]):
        with pytest.raises(ValueError, match=r"samples must be finite, \[samples\]; got"):
            listening.push(wrong)
    with pytest.raises(ValueError, match="got none"):
        listening.finish()


def test_who_has_to_hear_the_end_is_refused(transcribe_run):
    with pytest.raises(OptionError, match="expected a run of --streaming --attention mocha --normalize training; got"):
        Listening(load(transcribe_run))
    transcriber = untrained(0)
    codec = WriteCodec(transcriber.codec.vocabulary, "features", transcriber.codec.mean, transcriber.codec.std)
    with pytest.raises(OptionError, match="trained on recordings; got one of features"):
        Listening(Transcriber(transcriber.model, codec, transcriber.longest, transcriber.options))
    with pytest.raises(OptionError, match="--streaming needs --deltas 0"):
        TranscribeOptions(**SMALL, attention="mocha", deltas=1)


def test_a_streaming_model_answers_without_ctc_but_searches_with_it():
    transcriber = untrained(4, ctc=0.5)
    frames = [np.random.default_rng(n).normal(-9, 3, (60, 12)).astype(np.float32) for n in range(8)]
    alone, joint = (transcriber.written(frames, share=share) for share in (0.0, 0.5))
    assert [best[0].text for best in transcriber.written(frames)] == [best[0].text for best in alone]
    assert [best[0].text for best in alone] != [best[0].text for best in joint]
    searched, wide = transcriber.written(frames, beam=3), transcriber.written(frames, beam=3, share=0.5)
    assert [best[0].score for best in searched] == [best[0].score for best in wide]


@pytest.mark.parametrize("level", ["char", "word", "bpe"])
def test_spelled_words_are_the_text(level):
    vocabulary, rng = tokens.learn([*TEXTS, "a  b", " c."], level, 300), random.Random(1)
    for _ in range(300):
        ids = [rng.randrange(4, vocabulary.size) for _ in range(rng.randint(0, 12))]
        spelling, heard = Spelling(vocabulary, whole=level == "word"), []
        for place, identity in enumerate(ids):
            heard += spelling.add(identity, place, place + 0.5)
        heard += spelling.finish(99)
        assert text_of(heard) == vocabulary.decode(ids)
        assert tokens_of(heard) == tuple(map(vocabulary.label, ids))
        if level == "word":
            assert [word.at for word in heard] == list(range(len(ids)))


def test_words_end_at_spaces_and_wide_characters_by_themselves():
    for level in ("char", "bpe"):
        vocabulary = tokens.learn([*TEXTS] * 9, level, 300)
        spelling = Spelling(vocabulary, whole=False)
        heard = [word for i in vocabulary.encode("one two 零一 six").ids[:-1] for word in spelling.add(i, 0, 0)]
        assert [word.text for word in heard] == ["one", " two", " 零", "一"] if level == "char" else heard
        assert text_of(heard + spelling.finish(0)) == "one two 零一 six"
    vocabulary = tokens.learn(TEXTS, "bpe", 300)
    spelling = Spelling(vocabulary, whole=False)
    ids = vocabulary.encode("é one").ids[:-1]  # never seen, so bytes, of which each alone is no character
    assert [[word.text for word in spelling.add(i, 0, 0)] for i in ids[:3]] == [[], [], []]
    assert text_of([word for i in ids[3:] for word in spelling.add(i, 0, 0)] + spelling.finish(0)) == "é one"
    # Bytes that are no characters make those beside them none either.
    broken = [vocabulary.identity(f"<0x{byte:02X}>") for byte in b"A \xe2"]
    heard = [word for i in broken for word in spelling.add(i, 0, 0)] + spelling.finish(0)
    assert [word.text for word in heard] == [vocabulary.decode(broken)] == ["\ufffd" * 3]
