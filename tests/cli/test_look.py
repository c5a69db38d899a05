"""`saccade look`: what small models in folders of their own looked at, and what is said of those that cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import saccade
from saccade.cli import main
from saccade.lens.capture import drawn

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'saccade[pretrained]'")
import tokenizers  # noqa: E402
from tokenizers import processors  # noqa: E402

TEXT = "the animal did not cross the street because it was too tired"
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
HALVES = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
HALVES |= {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 64}
IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
STARTS = IDS | {"decoder_start_token_id": 1, "forced_eos_token_id": 2}
LABELS = {"id2label": {0: "bad", 1: "good", 2: "odd"}, "label2id": {"bad": 0, "good": 1, "odd": 2}}


def _pieces(folder: Path, *, ends: bool) -> int:
    """A tokenizer of bytes, as GPT-2's, or with an end behind every text."""
    made = tokenizers.ByteLevelBPETokenizer()
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator([TEXT] * 3, vocab_size=300, min_frequency=1, special_tokens=names, show_progress=False)
    if ends:
        made._tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 2)])
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, **special)
    whole.save_pretrained(folder)
    return len(whole)


def _words(folder: Path) -> int:
    made = tokenizers.BertWordPieceTokenizer()
    made.train_from_iterator([TEXT], vocab_size=60, min_frequency=1, show_progress=False)
    made.save_model(str(folder))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return made.get_vocab_size()


def _model(name: str, size: int) -> object:
    t, bert = transformers, {"vocab_size": size, "max_position_embeddings": 64, **SIZES}
    match name:
        case "classifier":
            return t.BertForSequenceClassification(t.BertConfig(**bert, **LABELS))
        case "tagger":
            return t.BertForTokenClassification(t.BertConfig(**bert, **LABELS))
        case "encoder":
            return t.BertModel(t.BertConfig(**bert))
        case "masked":
            return t.BertForMaskedLM(t.BertConfig(**bert))
        case "gpt2":
            sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 1.0}
            return t.GPT2LMHeadModel(t.GPT2Config(vocab_size=size, **sizes, bos_token_id=0, eos_token_id=2))
        case "llama":
            sizes = SIZES | {"max_position_embeddings": 4096, "num_key_value_heads": 1}
            return t.LlamaForCausalLM(t.LlamaConfig(vocab_size=size, **sizes, **IDS))
        case "t5" | "t5-bare":
            sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
            kind = t.T5ForConditionalGeneration if name == "t5" else t.T5Model
            return kind(t.T5Config(vocab_size=size, **sizes, **STARTS))
        case "bart":
            return t.BartForConditionalGeneration(t.BartConfig(vocab_size=size, **HALVES, **STARTS))
        case "marian":
            return t.MarianMTModel(t.MarianConfig(vocab_size=size, **HALVES, **STARTS))
        case "vision":
            return t.ViTForImageClassification(t.ViTConfig(image_size=32, patch_size=8, **SIZES))
    raise AssertionError(name)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of a small random model of a name, with its tokenizer; read it, do not change it."""
    made: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in made:
            folder = made[name] = tmp_path_factory.mktemp("models") / name
            folder.mkdir()
            worded = name in ("classifier", "tagger", "encoder", "masked")
            size = _words(folder) if worded else _pieces(folder, ends=name not in ("gpt2", "llama"))
            torch.manual_seed(3)
            _model(name, size).save_pretrained(folder)
        return made[name]

    return folder_of


@pytest.fixture
def ask(capfd):
    """Run a command that must succeed, and say nothing but what it draws; its lines."""

    def run(*arguments: object) -> list[str]:
        capfd.readouterr()  # what making the model said
        assert main([str(argument) for argument in arguments]) == 0, capfd.readouterr().err
        captured = capfd.readouterr()
        assert captured.err == ""
        return captured.out.splitlines()

    return run


@pytest.fixture
def say(capfd):
    """Run a command that must fail; the one line that it says."""

    def run(*arguments: object) -> str:
        capfd.readouterr()  # what making the model said
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = int(exit.code)
        captured = capfd.readouterr()
        (line,) = captured.err.splitlines()
        assert status != 0
        assert captured.out == ""
        return line.removeprefix("saccade: ")

    return run


def library(folder: Path, kind: str):
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_a_classifier_and_its_label(ask, models):
    folder = models("classifier")
    model, tokenizer = library(folder, "BertForSequenceClassification")
    label = model.config.id2label[int(model(**tokenizer(TEXT, return_tensors="pt")).logits.argmax())]
    lines = ask("look", folder, TEXT)
    assert lines[:2] == [f"read   {TEXT}", f"answer {label}"]
    assert lines[3].split()[:3] == ["layer", "head", "entropy"]
    assert [line.split()[0] for line in lines[4:8:2]] == ["layer.0", "layer.1"]
    assert "[CLS]" in "\n".join(lines)


def test_weights_are_those_of_the_library(models, tmp_path, monkeypatch):
    from saccade.cli import look

    kept: list[object] = []
    monkeypatch.setattr(look, "draw", lambda drawing, **_: kept.append(drawing))
    folder = models("classifier")
    assert main(["look", str(folder), TEXT, "--rows", "-3:"]) == 0
    model, tokenizer = library(folder, "BertForSequenceClassification")
    model.set_attn_implementation("eager")
    given = tokenizer(TEXT, return_tensors="pt")
    expected = model(**given, output_attentions=True).attentions
    for site, weights in zip(kept[0].sites, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(site.weights.copy()), weights[0, :, -3:])
        assert list(site.target.labels) == tokenizer.convert_ids_to_tokens(given["input_ids"][0])[-3:]


def test_rows_of_a_drawing_are_rows_that_there_are(models):
    model, tokenizer = library(models("classifier"), "BertForSequenceClassification")
    with saccade.look(model, tokenizer=tokenizer) as seen, torch.no_grad():
        model(**tokenizer("the street", return_tensors="pt"))
    count = seen.sites[0].shape[2]
    wanted = [-2, -1], slice(-2, None), [count - 2, count - 1]
    last = [seen.drawing(rows=rows).sites[0].target.labels for rows in wanted]
    assert last[0] == last[1] == last[2]
    with pytest.raises(ValueError, match=rf"^row must be 0 to {count - 1}; got {count}$"):
        seen.drawing(rows=[count])


@pytest.mark.parametrize(("name", "options"), [("gpt2", ()), ("llama", ("--beams", 3, "--words"))])
def test_what_a_decoder_wrote(ask, models, name, options):
    folder = models(name)
    lines = ask("look", folder, TEXT, "--generate", 5, *options)
    model, tokenizer = library(folder, "AutoModelForCausalLM")
    given = tokenizer(TEXT, return_tensors="pt")
    beams = options[1] if options else 1
    written = model.generate(given["input_ids"], max_new_tokens=5, num_beams=beams, do_sample=False, pad_token_id=1)
    new = tokenizer.decode(written[0, given["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert _told(lines) == _shown(new)
    read, whole = given["input_ids"].shape[1], written.shape[1]
    assert read < whole
    assert ask("look", folder, TEXT) != lines


def test_the_next_token_the_masked_one_and_tags(ask, models):
    model, tokenizer = library(models("gpt2"), "GPT2LMHeadModel")
    first, *_, likely = model(tokenizer(TEXT, return_tensors="pt")["input_ids"]).logits[0].argmax(-1).tolist()
    assert first != likely
    assert _told(ask("look", models("gpt2"), TEXT)) == _shown(tokenizer.decode([likely]).strip())
    model, tokenizer = library(models("masked"), "BertForMaskedLM")
    given = tokenizer("the [MASK] did", return_tensors="pt")
    likely = int(model(**given).logits[0, 2].argmax())
    assert _told(ask("look", models("masked"), "the [MASK] did")) == tokenizer.decode([likely]).strip()
    assert ask("look", models("masked"), TEXT)[1] == ""
    assert len(_told(ask("look", models("tagger"), "the street")).split()) == len(tokenizer.tokenize("the street"))
    assert ask("look", models("encoder"), TEXT)[2].startswith("layer")


@pytest.mark.parametrize(("name", "kind"), [("t5", "encdec"), ("bart", "encoder_attn"), ("marian", "encoder_attn")])
def test_a_text_from_a_text(ask, models, name, kind):
    lines = ask("look", models(name), TEXT, "--generate", 4)
    (last,) = [line for line in lines if line.endswith("mean of 2 heads")]
    assert kind in last.lower()
    assert lines[1].startswith("answer ")
    written = "\n".join(lines)
    assert "<pad>" in written  # what it begins with looks too
    assert "Ġanim" in written or "Ġanimal" in written
    beams = ask("look", models(name), TEXT, "--generate", 4, "--beams", 2)
    assert beams[0] == lines[0]


@pytest.mark.parametrize("name", ["classifier", "llama"])
def test_files_and_faithfulness(capfd, models, tmp_path, name):
    files = ["--png", str(tmp_path / "a.png"), "--page", str(tmp_path / "a.html")]
    folder = models(name)
    capfd.readouterr()
    assert main(["look", str(folder), TEXT, "--faithful", *files]) == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    told = {line.split(":")[0] for line in captured.err.splitlines()}
    assert told == {"attention", "rollout", "gradient", "random"}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert TEXT in page
    assert "deletion" in page


def test_rollout_one_head_and_measures(ask, models):
    lines = ask("look", models("gpt2"), TEXT, "--rollout", -1)
    assert lines[0].strip().startswith("what reached ")
    assert ask("look", models("bart"), TEXT, "--generate", 3, "--rollout", 0, "--site", "*encoder.*")
    lines = ask("look", models("classifier"), TEXT, "--head", -1, "--site", "*.1.*", "--measure", "sink")
    assert lines[3] == "bert.encoder.layer.1.attention.self, head 1"


@pytest.mark.slow
def test_a_long_text(ask, models, tmp_path):
    text = " ".join([TEXT] * 220)
    ask("look", models("llama"), text, "--page", tmp_path / "a.html")
    assert (tmp_path / "a.html").stat().st_size < 20e6


def test_a_text_of_too_many_weights_says_what_to_do(ask, say, models, monkeypatch):
    monkeypatch.setattr(drawn, "MOST", 100)
    line = say("look", models("llama"), TEXT)
    assert line.startswith("--rows must say which to draw, model.layers.0.self_attn has ")
    assert line.endswith(": --rows -100: are the last hundred")
    drawn_lines = ask("look", models("llama"), TEXT, "--rows", "-2:")
    assert sum(line.startswith(("Ġ", "d ")) for line in drawn_lines) >= 1


BAD = {
    ("nowhere",): "{model}: expected a folder with a model in it; there is none",
    ("classifier", " "): "expected a text to read; got an empty one",
    ("classifier", TEXT, "--site", "x"): "--site must be some of bert.encoder.layer.0.attention.self, bert.encoder",
    ("classifier", TEXT, "--head", "x"): "--head of bert.encoder.layer.0.attention.self must be one of 0, 1, mean",
    ("classifier", TEXT, "--head", "9"): "--head of bert.encoder.layer.0.attention.self must be one of 0, 1, mean",
    ("classifier", TEXT, "--measure", "x"): "--measure must be of entropy, entropy_normalised, coverage, distance, ",
    ("classifier", TEXT, "--rollout", "99"): "--rollout must be a row from 0 to ",
    ("bart", TEXT, "--rollout", "0", "--generate", "2"): (
        "--site must be the self-attentions of one stack of layers; found model.encoder.layers.*.self_attn, "
        "model.decoder.layers.*.self_attn"
    ),
    ("gpt2", TEXT, "--rollout", "0", "--head", "0"): "--rollout is one row over the tokens; leave out --head and",
    ("gpt2", TEXT, "--rows", "x"): "--rows must be a place or a stretch, such as -1, -100: or 0:50; got 'x'",
    ("gpt2", TEXT, "--rows", "99"): "--rows must be some that there are; got '99'",
    ("classifier", TEXT, "--generate", "3"): "--generate needs a model that writes; got BertForSequenceClassification",
    ("gpt2", TEXT, "--generate", "-1"): "--generate must be at least 0; got -1",
    ("gpt2", TEXT, "--beams", "0"): "--beams must be at least 1; got 0",
    ("gpt2", TEXT, "--beams", "2"): "--beams are of what a model writes; say how much with --generate",
    ("encoder", TEXT, "--faithful"): "--faithful needs a classifier of texts or a language model; got BertModel",
    ("t5", TEXT, "--faithful"): "--faithful needs a classifier of texts or a language model; got T5ForConditionalGene",
    ("gpt2", TEXT, "--faithful", "--generate", "2"): "--faithful is about one answer to a text; leave out --generate",
    ("classifier", TEXT, "--png", "a.gif"): "the name of a picture must end in .png, .svg, .pdf; got 'a.gif'",
    ("classifier", TEXT, "--device", "tpu"): "--device must be auto or one that is here (cpu",
    ("t5-bare",): "{model}: expected a model with what it answers with; got T5Model",
    ("vision",): "{model}: expected a model that reads text; got ViTForImageClassification: pixel_values",
    ("classifier", " ".join([TEXT] * 9)): "{model}: the model cannot read ",
    ("gpt2", TEXT, "--generate", "90"): "{model}: the model cannot read ",
}


@pytest.mark.parametrize("given", BAD, ids=lambda given: " ".join(given)[:60])
def test_each_mistake_has_its_line(say, models, tmp_path, given):
    name, *rest = given
    model = tmp_path / name if name == "nowhere" else models(name)
    assert say("look", model, *(rest or [TEXT])).startswith(BAD[given].format(model=model))


def test_folders_that_are_not_whole(say, models, tmp_path):
    source, folder = models("classifier"), tmp_path / "model"
    folder.mkdir()
    assert say("look", folder, TEXT) == f"{folder}: expected a folder with a model in it; it holds no config.json"
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"\x80never opened")
    line = "expected weights in model.safetensors; got pytorch_model.bin, which is a pickle and is never opened"
    assert say("look", folder, TEXT) == f"{folder}: {line}"
    weights = (source / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    assert say("look", folder, TEXT).startswith(f"{folder}: expected a tokenizer (tokenizer.json, ")
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert say("look", folder, TEXT).startswith(f"{folder}: expected a model that the library can read; got ")
    (folder / "model.safetensors").write_bytes((models("encoder") / "model.safetensors").read_bytes())
    assert say("look", folder, TEXT) == f"{folder}: expected weights of every layer; got none of classifier.bias"


def test_help_needs_no_torch_and_says_what_there_is():
    program = "import sys, saccade.cli\ntry: saccade.cli.main(['look', '--help'])\nexcept SystemExit: pass\n"
    program += "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for option in ("--generate", "--beams", "--site", "--head", "--rows", "--rollout", "--faithful", "--page"):
        assert option in done.stdout


def _told(lines: list[str]) -> str:
    return next(line.removeprefix("answer ") for line in lines if line.startswith("answer "))


def _shown(text: str) -> str:
    from saccade.lens.maps import readable

    return readable(text)
