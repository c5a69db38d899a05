"""An encoder that others have trained, in the form of the Hugging Face library: the one file that imports it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade.errors import MissingExtraError, first_line

_FROM_PAD = {"camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"}
KINDS = {"albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "megatron-bert", "modernbert"}
KINDS |= {"rembert", "roformer"} | _FROM_PAD
"""What is taken: encoders in which each token sees all others, and padding is seen by none."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json"),
    *("spiece.model", "spm.model", "source.spm", "sentencepiece.bpe.model"),
)


class PretrainedEncoder(nn.Module):
    """The hidden states of a bidirectional Transformer that others have trained (Devlin et al. 2019, §3).

    It stands where an embedding does: token 0 is padding, a vector of zeros, and token i is what the library calls
    i - 1. More tokens than the model has positions are read in stretches of as many as it has, each by itself. Weights
    are those of chance until `load`.

    Args:
        config: what the library's config.json holds.
        frozen: whether it stays as it is: no gradients, no dropout.

    Raises:
        MissingExtraError: the library is not installed.
        ValueError: a configuration of another kind of model, or one that the library does not take.
    """

    def __init__(self, config: dict[str, Any], *, frozen: bool = False):
        super().__init__()
        self.frozen, self.positions = frozen, positions(config)
        self.model = _untrained(config)
        self.dim: int = self.model.config.hidden_size
        self.pad: int = self.model.config.pad_token_id or 0
        self.model.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """As every module; what is frozen stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time dim"]:
        """The states of rows of tokens, 0 behind the last one of each."""
        if not tokens.shape[1]:
            nothing: Tensor = next(self.model.parameters()).new_zeros(*tokens.shape, self.dim)
            return nothing
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return torch.cat([self._states(some) for some in torch.split(tokens, self.positions, 1)], 1)

    def _states(self, tokens: Tensor) -> Tensor:
        real = tokens != 0
        seen = real.clone()
        seen[:, 0] = True  # a row of nothing would divide by nothing
        states: Tensor = self.model(
            input_ids=(tokens - 1).masked_fill(~real, self.pad), attention_mask=seen.long()
        ).last_hidden_state
        return states.masked_fill(~real[..., None], 0.0)

    def load(self, folder: Path) -> None:
        """Take the weights in a folder: safetensors alone.

        Raises:
            ValueError: weights that are not whole, or not those of this configuration.
        """
        library = _library()
        with quiet():
            try:
                found, told = library.AutoModel.from_pretrained(
                    str(folder),
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                    dtype=torch.float32,
                )
            except Exception as error:  # the library raises many kinds
                raise ValueError(f"expected weights in safetensors; got {first_line(error)}") from None
        lacking = sorted(name for name in told["missing_keys"] if name in self.model.state_dict())
        if lacking:
            raise ValueError(f"expected weights of every layer; got none of {lacking[0]}")
        weights = {name: tensor for name, tensor in found.state_dict().items() if not name.startswith("pooler.")}
        self.model.load_state_dict(weights)


def read_model(folder: Path) -> tuple[Any, Any]:
    """A model of texts in a folder, as what it was saved as, and its tokenizer: safetensors and JSON alone.

    Raises:
        MissingExtraError: the library is not installed.
        ValueError: no such folder, or one that holds no whole model, no tokenizer or a model of something else.
    """
    _check_folder(folder)
    _check_weights(folder)
    library, here = _library(), {"local_files_only": True, "trust_remote_code": False}
    with quiet():
        try:
            named = library.AutoConfig.from_pretrained(str(folder), **here)
            kind = getattr(library, (named.architectures or [""])[0], library.AutoModel)
            wanted = {"use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
            model, told = kind.from_pretrained(str(folder), **here, **wanted)
        except Exception as error:  # the library raises many kinds
            raise ValueError(f"expected a model that the library can read; got {first_line(error)}") from None
    if lacking := sorted(name for name in told["missing_keys"] if "pooler." not in name):
        raise ValueError(f"expected weights of every layer; got none of {lacking[0]}")
    if model.main_input_name != "input_ids":
        raise ValueError(f"expected a model that reads text; got {type(model).__name__}: {model.main_input_name}")
    return model.eval(), _tokenizer(folder)


def positions(config: dict[str, Any]) -> int:
    """How many tokens a model reads at once, special ones included.

    >>> positions({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1})
    512
    """
    most = int(config.get("max_position_embeddings") or 512)
    first = int(config.get("pad_token_id", 1)) + 1 if config.get("model_type") in _FROM_PAD else 0
    return most - first


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model in a folder that this house can take.

    Raises:
        ValueError: no folder, no configuration, another kind of model, or weights that are no safetensors.
    """
    _check_folder(folder)
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"expected JSON in config.json; got {error}") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in KINDS or config.get("is_decoder"):
        what = f"{kind} as a decoder" if kind in KINDS else kind
        raise ValueError(f"expected an encoder of {', '.join(sorted(KINDS))}; got {what}")
    _check_weights(folder)
    return {name: value for name, value in config.items() if name not in ("auto_map", "_name_or_path")}


def read_tokenizer(folder: Path) -> str:
    """The tokenizer in the folder of a model, as the JSON of the library `tokenizers`.

    Raises:
        MissingExtraError: the library is not installed.
        ValueError: no tokenizer, or one that has no such form.
    """
    found = _tokenizer(folder)
    try:
        text: str = found.backend_tokenizer.to_str()
    except Exception as error:  # the library raises many kinds
        raise ValueError(f"expected a tokenizer that the library can read; got {first_line(error)}") from None
    return text


def _tokenizer(folder: Path) -> Any:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ValueError(f"expected a tokenizer ({', '.join(TOKENIZERS)}); there is none")
    library = _library()
    with quiet():
        try:
            return library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the library raises many kinds
            raise ValueError(f"expected a tokenizer that the library can read; got {first_line(error)}") from None


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        came = "it holds no config.json" if folder.is_dir() else "there is none"
        raise ValueError(f"expected a folder with a model in it; {came}")


def _check_weights(folder: Path) -> None:
    if not any((folder / name).is_file() for name in WEIGHTS):
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        came = f"{pickles[0]}, which is a pickle and is never opened" if pickles else "none"
        raise ValueError(f"expected weights in model.safetensors; got {came}")


def _untrained(config: dict[str, Any]) -> Any:
    if config.get("model_type") not in KINDS:
        raise ValueError(f"config must be of {', '.join(sorted(KINDS))}; got {config.get('model_type')}")
    library = _library()
    with quiet():
        try:
            whole = type(library.AutoConfig.for_model(config["model_type"])).from_dict(config)
            model = library.AutoModel.from_config(whole).float()
        except Exception as error:  # the library raises many kinds
            raise ValueError(f"config must be one that the library takes; got {first_line(error)}") from None
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # of the first state alone, which nobody reads here
    return model


def _library() -> Any:
    try:
        import transformers
    except ModuleNotFoundError:
        raise MissingExtraError("transformers", "pretrained") from None
    return transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's notices and bars, which are about other uses of its models.

    Raises:
        MissingExtraError: the library is not installed.
    """
    logs = _library().utils.logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
