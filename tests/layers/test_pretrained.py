"""An encoder that others have trained: its states are the library's own, and padding has no influence on them."""

import json
import shutil
import sys

import pytest
import torch

from saccade.errors import MissingExtraError
from saccade.layers.pretrained import KINDS, PretrainedEncoder, positions, read_config, read_tokenizer

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'saccade[pretrained]'")
LENGTHS = torch.tensor([9, 1, 5, 0])
SMALL = {
    "vocab_size": 50,
    "max_position_embeddings": 40,
    "intermediate_size": 20,
    "hidden_dim": 20,
    "hidden_size": 16,
    "dim": 16,
    "num_hidden_layers": 2,
    "n_layers": 2,
    "num_attention_heads": 2,
    "n_heads": 2,
    "embedding_size": 8,
    "input_embedding_size": 8,
    "type_vocab_size": 1,
}


def loaded(folder, **options) -> PretrainedEncoder:
    encoder = PretrainedEncoder(read_config(folder), **options)
    encoder.load(folder)
    return encoder


def tokens() -> torch.Tensor:
    torch.manual_seed(3)
    drawn = torch.randint(6, 50, (4, 9))
    return drawn.masked_fill(torch.arange(9) >= LENGTHS[:, None], 0)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_states_are_those_of_the_library(request, kind):
    folder = request.getfixturevalue(kind)
    encoder, theirs = loaded(folder).eval(), transformers.AutoModel.from_pretrained(folder).eval()
    expected = theirs(input_ids=tokens()[:1] - 1).last_hidden_state
    torch.testing.assert_close(encoder(tokens())[:1], expected, atol=1e-5, rtol=0)
    assert encoder.dim == 16
    assert not any("pool" in name for name in encoder.state_dict())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_padding_has_no_influence(kind):
    """Of every kind that is taken; what is none, as a Transformer with a convolution, would be seen here."""
    config = {name: value for name, value in SMALL.items() if hasattr(transformers.AutoConfig.for_model(kind), name)}
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1)
    torch.manual_seed(4)
    encoder = PretrainedEncoder({"model_type": kind, **config, **special}).double().eval()
    whole = encoder(tokens())
    assert whole.shape == (4, 9, 16)
    assert (whole[tokens() == 0] == 0).all()
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(encoder(tokens()[row : row + 1, :length])[0], whole[row, :length])


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_what_is_longer_than_its_positions_is_read_in_stretches(request, kind):
    encoder = loaded(request.getfixturevalue(kind)).eval()
    most = encoder.positions
    assert most == {"bert": 40, "roberta": 38}[kind]
    long = torch.randint(6, 50, (2, 2 * most + 3))
    long[1, most - 5 :] = 0
    found = encoder(long)
    expected = torch.cat([encoder(part) for part in long.split(most, 1)], 1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(encoder(long[1:, : most - 5])[0], found[1, : most - 5])
    found.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


def test_what_is_frozen_stays_as_it_is(bert):
    encoder, free, some = loaded(bert, frozen=True).train(), loaded(bert).train(), tokens()
    assert torch.equal(encoder(some), encoder(some))  # no dropout
    assert not torch.equal(free(some), free(some))
    assert not encoder(some).requires_grad
    assert free(some).requires_grad
    torch.testing.assert_close(encoder(some), free.eval()(some))


def broken(folder, bert, change):
    shutil.copytree(bert, folder)
    change(folder)
    return folder


def config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


WRONG = [
    (lambda f: (f / "config.json").unlink(), r"^expected a folder with a model in it; it holds no config\.json$"),
    (lambda f: (f / "config.json").write_text("{"), r"^expected JSON in config\.json; got "),
    (config(model_type="gpt2"), r"^expected an encoder of albert, bert, .*; got gpt2$"),
    (config(model_type="t5"), r"^expected an encoder of .*; got t5$"),
    (config(is_decoder=True), r"^expected an encoder of .*; got bert as a decoder$"),
    (
        pickled,
        r"^expected weights in model\.safetensors; got pytorch_model\.bin, which is a pickle .*opened$",
    ),
    (lambda f: (f / "model.safetensors").unlink(), r"^expected weights in model\.safetensors; got none$"),
    (lambda f: (f / "model.safetensors").write_text("x"), r"^expected weights in safetensors; got "),
    (config(num_hidden_layers=3), r"^expected weights of every layer; got none of encoder\.layer\.2\."),
    (config(hidden_size=20), r"^expected weights in safetensors; got "),
    (config(hidden_act="nonsense"), r"^config must be one that the library takes; got "),
]


@pytest.mark.parametrize(("change", "line"), WRONG)
def test_folders_that_cannot_be_taken(tmp_path, bert, change, line):
    with pytest.raises(ValueError, match=line) as caught:
        loaded(broken(tmp_path / "model", bert, change))
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"^expected a folder with a model in it; there is none$"):
        read_config(tmp_path / "nowhere")


def test_tokenizers_that_cannot_be_taken(tmp_path, bert):
    shutil.copytree(bert, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"^expected a tokenizer that the library can read; got "):
        read_tokenizer(tmp_path / "model")
    for name in ("tokenizer.json", "vocab.txt"):
        (tmp_path / "model" / name).unlink()
    with pytest.raises(
        ValueError, match=r"^expected a tokenizer \(tokenizer\.json, .*, vocab\.txt, .*\); there is none$"
    ):
        read_tokenizer(tmp_path / "model")


def test_where_the_library_is_missing_the_extra_is_named(monkeypatch, bert):
    monkeypatch.setitem(sys.modules, "transformers", None)
    line = r"^this needs transformers, which is not installed: pip install 'saccade\[pretrained\]'$"
    for ask in (lambda: PretrainedEncoder(read_config(bert)), lambda: read_tokenizer(bert)):
        with pytest.raises(MissingExtraError, match=line):
            ask()


def test_positions_begin_behind_the_padding_of_some():
    assert positions({"model_type": "bert", "max_position_embeddings": 512}) == 512
    assert positions({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    assert positions({"model_type": "distilbert"}) == 512


def test_no_code_in_a_folder_is_run(tmp_path, bert):
    shutil.copytree(bert, tmp_path / "model")
    (tmp_path / "model" / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    remote = {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model", "AutoTokenizer": ["theirs.T", None]}
    config(auto_map=remote)(tmp_path / "model")
    loaded(tmp_path / "model")
    read_tokenizer(tmp_path / "model")
    assert not (tmp_path / "ran").exists()
    assert "auto_map" not in read_config(tmp_path / "model")
