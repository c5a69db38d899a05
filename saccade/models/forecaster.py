"""From a numeric sequence to numbers: an encoder, a readout that attends, and for forecasts what forecasting adds."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.attention.build import build
from saccade.attention.catalogue import parse
from saccade.attention.poolings import POOLINGS
from saccade.attention.results import exportable
from saccade.dropout import Dropout
from saccade.errors import at_least_one
from saccade.layers import CellName
from saccade.layers.instance_norm import instance_normalized, instance_restored, instance_statistics
from saccade.layers.patches import PatchEmbedding
from saccade.layers.positions import SinusoidalPositions
from saccade.layers.readout import NoReadout, PooledReadout, QueriedReadout, QueryName, pooled
from saccade.layers.recurrent import BidirectionalEncoder, Encoded
from saccade.layers.transformer import TransformerEncoder, TransformerEncoderLayer

SeriesEncoderName = Literal["lstm", "gru", "transformer", "none"]


@dataclass(frozen=True)
class ForecasterConfig:
    """The shape of a `Forecaster`."""

    variables: int
    """Numbers of a step."""
    window: int
    """Steps read."""
    outputs: int
    """Numbers of an answer; of a forecast the steps ahead, for each predicted variable."""
    encoder: SeriesEncoderName
    attention: str
    """A pooling (`saccade.attention.poolings.POOLINGS`), `self`, a name of `saccade.attention.catalogue`, or none."""
    hidden: int
    """Width of the encoder's states, and of the networks that score them; in the Transformer's layers twice that."""
    layers: int
    dropout: float
    targets: tuple[int, ...] = ()
    """The variables whose next steps are predicted; none: answers are other numbers."""
    query: QueryName = "last"
    """What asks a mechanism of the catalogue: the last state, or a learned vector for each output."""
    hops: int = 1
    """Of the poolings that have several."""
    heads: int = 4
    """Of the Transformer's layers."""
    patch: int = 1
    """Steps in a token (Nie et al. 2023)."""
    stride: int = 1
    """Steps from one token to the next."""
    instance_norm: bool = False
    """Whether a forecast is made of the series by its own mean and deviation (Kim et al. 2022)."""
    independent: bool = False
    """Whether each variable is forecast from its own past alone, with the same weights (Nie et al. 2023, §3.1)."""
    direct: bool = False
    """Whether a linear map of the window is added (Lai et al. 2018, §3.6; Zeng et al. 2023, §4)."""


@exportable
class Forecast(NamedTuple):
    """What a `Forecaster` gives.

    values:  `[batch, outputs]`, or of a forecast `[batch, outputs, target]`.
    weights: `[batch, variable, row, token]`. There is one variable where all are read together; a row for each output
             or hop, or one for all; a token is a patch, or a step. None where none were asked for or are.
    """

    values: Tensor
    weights: Tensor | None


class Forecaster(nn.Module):
    """Numbers about a sequence, or its own next steps.

    Steps, or patches of them, become tokens; an encoder lets them know of each other; a readout weighs them into a
    context, and a linear layer answers: `y = W c + b`. Every part is chosen in the configuration. With learned
    queries each output has a context and weights of its own.

    >>> config = ForecasterConfig(3, 24, 5, "none", "context-vector", 8, 1, 0.0, targets=(0, 2), patch=4, stride=2)
    >>> values, weights = Forecaster(config)(torch.zeros(2, 24, 3))
    >>> values.shape, weights.shape
    (torch.Size([2, 5, 2]), torch.Size([2, 1, 1, 11]))
    """

    def __init__(self, config: ForecasterConfig):
        super().__init__()
        _check(config)
        self.config, dim, series = config, config.hidden, 1 if config.independent else len(config.targets) or 1
        variables = 1 if config.independent else config.variables
        self.embed = PatchEmbedding(variables, dim, patch=config.patch, stride=config.stride)
        self.positions = None if config.encoder in get_args(CellName) else SinusoidalPositions(dim)
        self.encoder = _encoder(config)
        self.readout = _readout(config, self.embed.tokens(config.window))
        rows = config.hops if config.attention == "structured-self-attention" else 1
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(rows * dim, config.outputs * series)
        reads = config.window * (1 if config.targets else config.variables)
        self.direct = nn.Linear(reads, config.outputs) if config.direct else None

    def forward(
        self,
        x: Float[Tensor, "batch time variable"],
        lengths: Int[Tensor, " batch"] | None = None,
        *,
        need_weights: bool = True,
    ) -> Forecast:
        """Answer sequences `[batch, window, variables]`.

        Args:
            lengths: how many steps of each are real, at least 1; for models that read single steps and have no direct
                map. None: all of them.
            need_weights: whether to give the weights.

        Raises:
            ValueError: another shape, or lengths where the places of the steps matter.
        """
        mask = self._mask(x, lengths)
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        statistics = instance_statistics(x, mask=mask) if self.config.instance_norm else None
        if statistics is not None:
            x = instance_normalized(x, statistics)
        each, lengths = (None if part is None else self._each(part) for part in (mask, lengths))
        contexts, weights = self.readout(*self._encode(x, lengths, each), each)
        values = self._answer(contexts, len(x))
        if self.direct is not None:
            values = values + self._straight(self.direct, x)
        if statistics is not None:
            values = instance_restored(values, statistics.of(self.config.targets))
        if weights is not None:
            weights = weights.view(len(x), -1, *weights.shape[1:]) if need_weights else None
        return Forecast(values if self.config.targets else values[..., 0], weights)

    def over_time(self, weights: Float[Tensor, "batch variable row token"]) -> Float[Tensor, "batch variable row time"]:
        """Weights of the tokens as weights of the steps that are in them: see `PatchEmbedding.over_time`."""
        return self.embed.over_time(weights, self.config.window)

    def _mask(self, x: Tensor, lengths: Tensor | None) -> Tensor | None:
        config = self.config
        if x.dim() != 3 or x.shape[1:] != (config.window, config.variables):
            raise ValueError(f"x must be [batch, {config.window}, {config.variables}]; got {list(x.shape)}")
        if lengths is None:
            return None
        if config.patch > 1 or config.direct:
            raise ValueError("lengths must be None for a model of patches, or with a direct map of the whole window")
        return masks.padding(lengths, config.window)

    def _each(self, by_sequence: Tensor) -> Tensor:
        """A row for each series that is read: of independent variables there are several in a sequence."""
        return by_sequence.repeat_interleave(len(self.config.targets), 0) if self.config.independent else by_sequence

    def _encode(self, x: Tensor, lengths: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The states of each series, `[series, token, hidden]`, and the last one of each."""
        if self.config.independent:
            x = x[..., list(self.config.targets)].transpose(1, 2).flatten(0, 1)[..., None]
        tokens = self.embed(x)
        if lengths is None:
            lengths = torch.full((len(x),), tokens.shape[1], device=x.device)
        if isinstance(self.encoder, BidirectionalEncoder):
            encoded: Encoded = self.encoder(tokens, lengths)
            return encoded.states, encoded.summary
        states = tokens if self.positions is None else self.positions(tokens)
        if self.encoder is not None:
            states = self.encoder(self.dropout(states), mask=mask).output
        return states, states[torch.arange(len(states), device=x.device), lengths - 1]

    def _answer(self, contexts: Tensor, batch: int) -> Tensor:
        """One context for all outputs, or one for each, as `[batch, output, target]`."""
        contexts, outputs = self.dropout(contexts), self.config.outputs
        if isinstance(self.readout, QueriedReadout) and self.readout.queries is not None:
            weight = self.output.weight.view(outputs, -1, contexts.shape[2])
            values = torch.einsum("brd,rsd->brs", contexts, weight) + self.output.bias.view(outputs, -1)
        else:
            values = self.output(contexts.flatten(1)).view(len(contexts), outputs, -1)
        return values.view(batch, -1, *values.shape[1:]).transpose(1, 2).flatten(2)

    def _straight(self, direct: nn.Linear, x: Tensor) -> Tensor:
        """What the direct map gives: of a forecast each variable from its own past, with the same weights."""
        targets = self.config.targets
        past = x[..., list(targets)].transpose(1, 2) if targets else x.flatten(1)[:, None]
        mapped: Tensor = direct(past)
        return mapped.transpose(1, 2)


def _check(config: ForecasterConfig) -> None:
    at_least_one({name: getattr(config, name) for name in ("variables", "window", "outputs", "hidden", "layers")})
    if config.encoder not in get_args(SeriesEncoderName):
        raise ValueError(f"encoder must be one of {', '.join(get_args(SeriesEncoderName))}; got {config.encoder!r}")
    if any(not 0 <= target < config.variables for target in config.targets):
        raise ValueError(f"targets must be variables from 0 to {config.variables - 1}; got {config.targets}")
    if not config.targets and (config.instance_norm or config.independent):
        name = "instance_norm" if config.instance_norm else "independent"
        raise ValueError(f"{name} must be False where no variable is forecast; got True")
    if config.attention not in ("none", "self", *POOLINGS) and parse(config.attention).normalizer == "reinforce":
        raise ValueError(f"attention must learn without a reward; got {config.attention!r}")


def _encoder(config: ForecasterConfig) -> BidirectionalEncoder | TransformerEncoder | None:
    dim, dropout = config.hidden, config.dropout
    match config.encoder:
        case "none":
            return None
        case "transformer":
            layers = (
                TransformerEncoderLayer(
                    dim, heads=config.heads, hidden_dim=2 * dim, dropout=dropout, activation="gelu", norm_first=True
                )
                for _ in range(config.layers)
            )
            return TransformerEncoder(layers, norm=nn.LayerNorm(dim))
        case cell:
            return BidirectionalEncoder(cell, dim, dim, layers=config.layers, dropout=dropout)


def _readout(config: ForecasterConfig, tokens: int) -> NoReadout | PooledReadout | QueriedReadout:
    name, dim = config.attention, config.hidden
    if name == "none":
        return NoReadout(mean=config.encoder in ("transformer", "none"))
    if name == "self" or name in POOLINGS:
        return pooled(name, dim, config.hops)
    attend = build(name, query_dim=dim, key_dim=dim, hidden_dim=dim, slots=tokens)
    return QueriedReadout(attend, queries=config.outputs if config.query == "learned" else 0)
