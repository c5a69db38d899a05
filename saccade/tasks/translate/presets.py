"""Sizes of translators from papers, by name: what stands here is what a person would type. Imports no torch."""

from dataclasses import replace
from typing import Any, Literal, get_args

from saccade.errors import OptionError
from saccade.tasks.course import flag
from saccade.tasks.translate.options import TranslateOptions

PresetName = Literal["rnn-small", "rnn", "transformer-tiny", "transformer-base"]

# Of Vaswani et al. 2017, sections 3.4, 5.1 and 5.4: one vocabulary, whose embeddings also predict.
_TRANSFORMER = {
    "encoder": "transformer",
    "decoder": "transformer",
    "shared": True,
    "tied": "all",
    "label_smoothing": 0.1,
    "batch_tokens": 4096,
}
PRESETS: dict[str, dict[str, Any]] = {
    # Of Wiseman and Rush 2016, section 5, for IWSLT: one layer of 256 LSTM cells, dropout 0.2, Luong's general score
    # and input feeding.
    "rnn-small": {
        "attention": "general",
        "attend": "after",
        "feed": "input",
        "embedding": 256,
        "hidden": 256,
        "dropout": 0.2,
        "learning_rate": 0.002,
        "batch_size": 64,
    },
    # RNNsearch of Bahdanau et al. 2015, appendix A: GRU of 1000, embeddings of 620, batches of 80. The paper drops
    # nothing.
    "rnn": {
        "encoder": "gru",
        "decoder": "gru",
        "embedding": 620,
        "hidden": 1000,
        "dropout": 0.2,
        "learning_rate": 0.0005,
        "batch_size": 80,
    },
    # Of Wu et al. 2021, "Good for Misconceived Reasons", for Multi30k: four layers of 128, networks of 256, four heads,
    # dropout 0.3. Steps are small: of 4,096 tokens they learned more slowly (LOG.md).
    "transformer-tiny": {
        **_TRANSFORMER,
        "hidden": 128,
        "layers": 4,
        "heads": 4,
        "feedforward": 256,
        "dropout": 0.3,
        "learning_rate": 0.002,
        "batch_tokens": 1200,
    },
    # Of Vaswani et al. 2017, table 3, base, whose highest learning rate this is. Norms stand first (Xiong et al. 2020):
    # those of the paper need a slower start.
    "transformer-base": {
        **_TRANSFORMER,
        "hidden": 512,
        "layers": 6,
        "heads": 8,
        "feedforward": 2048,
        "dropout": 0.1,
        "learning_rate": 0.0007,
    },
}
"""The options of each that are not the defaults. Batches and learning rates are those of the schedule here, where the
papers have others."""

_INSTEAD = {"batch_size": "batch_tokens", "batch_tokens": "batch_size"}
"""What takes the place of what."""


def preset(name: str, options: TranslateOptions | None = None) -> TranslateOptions:
    """The options of a preset; of `options` those that are not at their default stay.

    >>> preset("transformer-tiny", TranslateOptions(dropout=0.2)).layers
    4

    Raises:
        OptionError: an unknown name.
    """
    if name not in PRESETS:
        raise OptionError(f"--preset must be one of {', '.join(get_args(PresetName))}; got {name!r}")
    options, defaults = TranslateOptions() if options is None else options, TranslateOptions.defaults()
    given = {key for key, default in defaults.items() if getattr(options, key) != default}
    given |= {_INSTEAD[key] for key in given & _INSTEAD.keys()}
    return replace(options, **{key: value for key, value in PRESETS[name].items() if key not in given})


def as_arguments(name: str, given: list[str]) -> list[str]:
    """The options of a preset as a person would type them, without those that the person typed.

    >>> as_arguments("transformer-tiny", ["--layers", "2"])[:4]
    ['--encoder', 'transformer', '--decoder', 'transformer']
    >>> "--layers" in as_arguments("transformer-tiny", ["--layers=2"])
    False
    >>> "--batch-size" in as_arguments("transformer-tiny", ["--batch-tokens", "4096"])
    False
    """
    typed = {argument.partition("=")[0].replace("_", "-") for argument in given if argument.startswith("--")}
    typed |= {flag(_INSTEAD[key]) for key in _INSTEAD if flag(key) in typed}
    named = ((flag(key), value) for key, value in PRESETS[name].items())
    missing = ((key, value) for key, value in named if key not in typed)
    return [part for key, value in missing for part in ([key] if value is True else [key, str(value)])]
