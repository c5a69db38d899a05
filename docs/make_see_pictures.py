"""Make the pictures of docs/see.md: small models trained on made-up data, then the page's own code; a minute or two.

usage: python docs/make_see_pictures.py
"""

import calendar
import contextlib
import os
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers as hf
from PIL import Image

HERE = Path(__file__).parent
KEPT = ("heads.png", "reached.png", "dates.png", "image.png")
SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}

GOOD = ["warm", "funny", "clever", "moving", "brilliant", "gripping", "tender", "delightful"]
BAD = ["dull", "clumsy", "tedious", "shallow", "noisy", "lifeless", "predictable", "awful"]
BEGINS = ["most of it was shot in winter", "it runs for two hours", "we saw it in the rain", "the story is a true one"]
DAYS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
MONTHS = [name.lower() for name in calendar.month_name[1:]]
DRINKS = ["tea", "milk", "juice", "water", "cocoa", "coffee", "lemonade", "soup"]
COLOURS = {"red": (200, 40, 40), "green": (40, 150, 60), "blue": (40, 70, 200)}


def review(rng: random.Random) -> tuple[str, int]:
    """A sentence about a film, and whether it praises: a "not" turns it round."""
    good, turned = rng.random() < 0.5, rng.random() < 0.5
    word = rng.choice(GOOD if good else BAD)
    return f"{rng.choice(BEGINS)}, but all in all it is {'not ' if turned else ''}{word}.", int(good != turned)


def date(rng: random.Random) -> tuple[str, str]:
    """A date in words, and as year, month and day."""
    day, month, year = rng.randrange(10), rng.randrange(12), rng.randrange(1950, 2030)
    said = rng.choice(("on the {d} of {m} in the year {y}", "{m} the {d} , {y}", "in {y} , on the {d} of {m}"))
    return said.format(d=DAYS[day], m=MONTHS[month], y=year), f"{year} - {month + 1:02d} - {day + 1:02d}"


def order(rng: random.Random) -> str:
    """Four drinks, and the same ones said again."""
    drinks = " ".join(rng.sample(DRINKS, 4))
    return f"they took {drinks} and again {drinks}"


def picture(rng: random.Random) -> tuple[torch.Tensor, int]:
    """Noise with one square of a colour in it, `[height, width, 3]`, and which colour."""
    kind, row, column = rng.randrange(3), rng.randrange(1, 37), rng.randrange(1, 37)
    pixels = torch.randint(90, 160, (48, 48, 1), generator=torch.Generator().manual_seed(rng.randrange(2**31)))
    pixels = pixels.repeat(1, 1, 3)
    pixels[row : row + 10, column : column + 10] = torch.tensor(list(COLOURS.values())[kind])
    return pixels.byte(), kind


def words(texts: list[str], folder: Path, special: list[str], end: str | None = None) -> Any:
    """A tokenizer of whole words; `end` stands behind each text."""
    known = sorted({word for text in texts for word in text.split()})
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(special + known)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    if end:
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, special.index(end))]
        )
    whole = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token=end,
        bos_token="<s>" if "<s>" in special else None,
    )
    whole.save_pretrained(folder)
    return whole


def fitted(model: Any, batch: Callable[[], dict[str, Any]], steps: int, rate: float = 3e-3) -> Any:
    """The model after some steps of Adam."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    slower = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(steps, 2))
    model.train()
    for _ in range(steps):
        loss = model(**batch()).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slower.step()
    return model.eval()


def classifier(folder: Path, steps: int) -> float:
    """Says whether a sentence praises; its tokenizer cuts words into pieces."""
    rng = random.Random(1)
    pieces = tokenizers.BertWordPieceTokenizer()
    pieces.train_from_iterator([review(rng)[0] for _ in range(2000)], vocab_size=150, show_progress=False)
    pieces.save_model(str(folder))
    tokenizer = hf.BertTokenizerFast(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    labels = {0: "pan", 1: "praise"}
    config = hf.BertConfig(
        **SIZES,
        vocab_size=len(tokenizer),
        max_position_embeddings=4096,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )

    def batch(size: int = 32) -> dict[str, Any]:
        texts, answers = zip(*(review(rng) for _ in range(size)), strict=True)
        return {**tokenizer(list(texts), padding=True, return_tensors="pt"), "labels": torch.tensor(answers)}

    model = fitted(hf.BertForSequenceClassification(config), batch, steps)
    model.save_pretrained(folder)
    seen = batch(200)
    with torch.no_grad():
        return float((model(**seen).logits.argmax(-1) == seen["labels"]).float().mean())


def translator(folder: Path, steps: int) -> float:
    """Writes dates in figures: a BART."""
    rng = random.Random(2)
    texts = [side for _ in range(5000) for side in date(rng)]
    tokenizer = words(texts, folder, ["<s>", "<pad>", "</s>", "<unk>"], "</s>")
    config = hf.BartConfig(
        d_model=48,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        dropout=0.0,
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )

    def batch(size: int = 32) -> dict[str, Any]:
        read, written = zip(*(date(rng) for _ in range(size)), strict=True)
        labels = tokenizer(list(written), padding=True, return_tensors="pt")["input_ids"]
        given = tokenizer(list(read), padding=True, return_tensors="pt", return_token_type_ids=False)
        return {**given, "labels": labels.masked_fill(labels == 1, -100)}

    model = fitted(hf.BartForConditionalGeneration(config), batch, steps)
    model.save_pretrained(folder)
    seen = batch(200)
    with torch.no_grad():
        right = (model(**seen).logits.argmax(-1) == seen["labels"]) | (seen["labels"] < 0)
    return float(right.all(1).float().mean())


def writer(folder: Path, steps: int) -> float:
    """Goes on with a text: a GPT-2."""
    rng = random.Random(3)
    tokenizer = words([order(rng) for _ in range(500)], folder, ["<pad>", "<unk>"])
    sizes = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 64}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = hf.GPT2Config(
        **sizes, **still, vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=None, pad_token_id=0
    )

    def batch(size: int = 32) -> dict[str, Any]:
        ids = tokenizer([order(rng) for _ in range(size)], return_tensors="pt")["input_ids"]
        return {"input_ids": ids, "labels": ids}

    model = fitted(hf.GPT2LMHeadModel(config), batch, steps)
    model.save_pretrained(folder)
    seen = batch(200)["input_ids"]
    with torch.no_grad():
        said = model(input_ids=seen).logits.argmax(-1)
    return float((said[:, 7:-1] == seen[:, 8:]).float().mean())


def eyes(folder: Path, steps: int) -> float:
    """Says which colour a square has: a ViT."""
    rng = random.Random(4)
    names = dict(enumerate(COLOURS))
    config = hf.ViTConfig(
        **SIZES, image_size=48, patch_size=8, id2label=names, label2id={name: place for place, name in names.items()}
    )
    hf.ViTImageProcessor(size={"height": 48, "width": 48}).save_pretrained(folder)

    def batch(size: int = 32) -> dict[str, Any]:
        images, answers = zip(*(picture(rng) for _ in range(size)), strict=True)
        pixels = torch.stack(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        return {"pixel_values": pixels, "labels": torch.tensor(answers)}

    model = fitted(hf.ViTForImageClassification(config), batch, steps)
    model.save_pretrained(folder)
    Image.fromarray(picture(random.Random(6))[0].numpy()).save(folder / "picture.png")
    seen = batch(200)
    with torch.no_grad():
        return float((model(**seen).logits.argmax(-1) == seen["labels"]).float().mean())


MAKE = {"classifier": (classifier, 500), "translator": (translator, 700), "writer": (writer, 400), "eyes": (eyes, 200)}


def models(folder: Path, steps: int | None = None) -> Iterator[tuple[str, float]]:
    """Folders `path/to/...` of the page's models, trained; the name of each and how often it is right."""
    for name, (make, enough) in MAKE.items():
        torch.manual_seed(1)
        place = folder / "path" / "to" / name
        place.mkdir(parents=True)
        yield name, make(place, enough if steps is None else steps)


def code(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, right in models(Path(folder)):
            print(f"{name}: {right:.3f} right")
        with contextlib.chdir(folder):
            exec("\n".join(code(HERE / "see.md")), {"__name__": "see"})
        for name in KEPT:
            shutil.copy(Path(folder) / name, HERE / "see" / name)
            print(f"{name}: {os.path.getsize(HERE / 'see' / name) // 1024} KiB")


if __name__ == "__main__":
    main()
