"""Make the pictures of docs/tasks from made-up data, with the commands' own Python; a few minutes on a laptop.

usage: python docs/make_task_pictures.py [NAME ...]
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import saccade
from saccade.data.pairs import to_tsv
from saccade.lens.answers import drawing_of
from saccade.lens.figure import save

HERE = Path(__file__).parent / "tasks"

GOOD = ["warm", "funny", "clever", "moving", "brilliant", "gripping", "tender", "delightful"]
BAD = ["dull", "clumsy", "tedious", "shallow", "noisy", "lifeless", "predictable", "awful"]
PEOPLE = ["Ann", "Omar", "Li", "Ines", "Kofi", "Maria", "Jun", "Olga", "Ravi", "Elif"]
PLACES = ["Paris", "Lagos", "Lima", "Osaka", "Cairo", "Oslo", "Quito", "Hanoi", "Accra", "Turin"]
NEUTRAL = (
    "it runs for two hours .",
    "the story begins in a small town .",
    "we saw it on a rainy evening .",
    "the music was written by a friend of the director .",
    "it is the third film of this studio .",
    "most of it was shot in winter .",
)


def opinion(rng: random.Random, label: str) -> str:
    """One sentence that says it."""
    word = rng.choice(GOOD if label == "positive" else BAD)
    return rng.choice((f"but all in all it is {word} .", f"the actors make it {word} .", f"what a {word} film !"))


def sentences(rng: random.Random) -> tuple[str, str]:
    """A label and a text of one sentence."""
    label = rng.choice(("positive", "negative"))
    return label, f"{rng.choice(NEUTRAL)[:-2]} , {opinion(rng, label)}"


def classify(folder: Path) -> Any:
    rng = random.Random(1)
    (folder / "films.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in (sentences(rng) for _ in range(2000))), "utf-8")
    options = saccade.ClassifyOptions(epochs=4, embedding=32, hidden=32)
    text = "most of it was shot in winter , but all in all it is moving ."
    return drawing_of(saccade.train(options, folder / "films.tsv", folder / "films")(text), text=text)


def documents(folder: Path) -> Any:
    import json

    rng = random.Random(2)
    with open(folder / "reviews.jsonl", "w", encoding="utf-8") as file:
        for _ in range(2000):
            label = rng.choice(("positive", "negative"))
            said = rng.sample(NEUTRAL, rng.randint(2, 5))
            said.insert(rng.randint(0, len(said)), opinion(rng, label))
            file.write(json.dumps({"label": label, "sentences": said}) + "\n")
    options = saccade.ClassifyOptions(documents=True, encoder="gru", epochs=12, embedding=32, hidden=16, dropout=0.2)
    text = (NEUTRAL[2], NEUTRAL[0], "the actors make it tedious .", NEUTRAL[3])
    return drawing_of(saccade.train(options, folder / "reviews.jsonl", folder / "reviews")(text))


def tag(folder: Path) -> Any:
    rng = random.Random(3)
    frames = ("{p} lives in {c} .", "{p} and {q} met in {c} .", "from {c} {p} went to {d} .", "{c} is far from {d} .")
    with open(folder / "names.conll", "w", encoding="utf-8") as file:
        for _ in range(2000):
            p, q = rng.sample(PEOPLE, 2)
            c, d = rng.sample(PLACES, 2)
            for word in rng.choice(frames).format(p=p, q=q, c=c, d=d).split():
                kind = "B-person" if word in PEOPLE else "B-place" if word in PLACES else "O"
                file.write(f"{word}\t{kind}\n")
            file.write("\n")
    options = saccade.TagOptions(attention="additive", epochs=4, embedding=32, hidden=32)
    trained = saccade.train(options, folder / "names.conll", folder / "names")
    text = "from Lagos Ines went to Turin ."
    return drawing_of(trained(text), text=text)


def regress(folder: Path) -> Any:
    random_numbers, hours = np.random.default_rng(4), np.arange(24 * 300)
    day, week = np.sin(hours * 2 * np.pi / 24), 1 + 0.5 * (hours // 24 % 7 < 5)
    noise = random_numbers.normal(size=len(hours))
    rows = zip(hours, 10 + 4 * day * week + 0.3 * noise, strict=True)
    table = "time,load\n" + "".join(f"{hour},{load:.3f}\n" for hour, load in rows)
    (folder / "load.csv").write_text(table, "utf-8")
    options = saccade.RegressOptions(horizon=24, window=168, epochs=4, direct=False, patch=12)
    trained = saccade.train(options, folder / "load.csv", folder / "load")
    given = list(trained.each(saccade.SeriesFile((folder / "load.csv",))))[3]
    return drawing_of(trained(given))


def summarise(folder: Path) -> Any:
    rng = random.Random(5)

    def name() -> str:
        return "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(3)).title()

    def pair() -> tuple[str, str]:
        who, where, when = name(), rng.choice(PLACES), rng.choice(("monday", "friday", "sunday"))
        return f"{who} will be in {where} for a talk next {when} at noon", f"{when} : {who} in {where}"

    (folder / "news.tsv").write_text(to_tsv([pair() for _ in range(3000)]), "utf-8")
    options = saccade.TranslateOptions(
        level="word", vocab_size=30, copy=True, attention="coverage", coverage_loss=1, epochs=8
    )
    text = "Vabuko will be in Zagreb for a talk next friday at noon"
    return drawing_of(saccade.train(options, folder / "news.tsv", folder / "news")(text), text=text)


MAKE = {make.__name__: make for make in (classify, documents, tag, regress, summarise)}


def main(names: list[str]) -> None:
    for name in names or MAKE:
        with tempfile.TemporaryDirectory() as folder:
            save(MAKE[name](Path(folder)), HERE / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
