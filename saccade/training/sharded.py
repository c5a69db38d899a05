"""Training with a model in shares (FSDP): each process holds its own of weights, gradients, moments and averages."""

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from saccade.errors import OptionError
from saccade.layers.sublayers import FeedForward, TransformerLayer
from saccade.layers.transformer import TransformerEncoderLayer
from saccade.training.callbacks import average
from saccade.training.module import TrainingModule


def sharding(model: nn.Module, processes: int) -> ModelParallelStrategy:
    """Lightning's strategy for shares over all processes, with checkpoints of whole tensors, in one file.

    Raises:
        OptionError: a model that is no Transformer.
    """
    parts = list(model.modules())
    recurrent = any(isinstance(part, nn.RNNBase | nn.RNNCellBase) for part in parts)
    if recurrent or not any(isinstance(part, TransformerLayer) for part in parts):
        raise OptionError("--strategy fsdp is for Transformers, encoder and decoder; this model is another (use ddp)")
    return ModelParallelStrategy(processes, 1, save_distributed_checkpoint=False)


class ShardedModule(TrainingModule):
    """A learner in shares (Zhao et al. 2023, `torch.distributed.fsdp.fully_shard`).

    Layers of an encoder and networks of a decoder are gathered one after another, when they are needed; the rest,
    whose parts a decoder calls one by one, stays gathered through a step.
    """

    def configure_model(self) -> None:
        """Cut the model into shares, inner parts first."""
        assert self.device_mesh is not None
        mesh = self.device_mesh["data_parallel"]
        for part in reversed(list(self.learner.model.modules())):
            if isinstance(part, FeedForward | TransformerEncoderLayer):
                fully_shard(part, mesh=mesh)
        fully_shard(self.learner.model, mesh=mesh)

    def weights(self) -> dict[str, Tensor]:
        """The whole weights, on the CPU; what has two names is one tensor."""
        return whole(self.learner.model.state_dict(keep_vars=True))


def whole(shares: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors of shares put together, on the CPU. All processes must ask."""
    made = {id(x): (x.full_tensor() if isinstance(x, DTensor) else x).detach().cpu() for x in shares.values()}
    return {name: made[id(x)] for name, x in shares.items()}


class ShardedAverage(pl.Callback):
    """What `AveragedWeights` does, to this process's shares. Checkpoints are alike, so that either reads the other's.

    Lightning's averages a copy of the whole model, which is what shares are to avoid.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._averages: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Move the averages after each step; the first is where they begin."""
        if trainer.global_step == self.steps:
            return
        now = dict(pl_module.named_parameters())
        if not self._averages:
            self._averages = {name: x.detach().clone() for name, x in now.items()}
        else:
            average([_own(x) for x in self._averages.values()], [_own(x) for x in now.values()], self.steps)
        self.steps = trainer.global_step

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the averages in place of the weights."""
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        self._swap(pl_module)

    @torch.no_grad()
    def _swap(self, pl_module: pl.LightningModule) -> None:
        for name, x in pl_module.named_parameters():
            held = _own(x).clone()
            _own(x).copy_(_own(self._averages[name]))
            _own(self._averages[name]).copy_(held)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Weights and averages, whole."""
        state = pl_module.state_dict(keep_vars=True)
        averages = {id(x): self._averages[name] for name, x in pl_module.named_parameters()}
        checkpoint["current_model_state"] = whole(state)
        checkpoint["state_dict"] = whole({name: averages.get(id(x), x) for name, x in state.items()})
        checkpoint["averaging_state"] = {"n_averaged": torch.tensor(self.steps)}

    @torch.no_grad()
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take this process's shares of them. What the strategy has loaded as weights are the averages."""
        self.steps = int(checkpoint["averaging_state"]["n_averaged"])
        for name, x in pl_module.named_parameters():
            assert isinstance(x, DTensor)
            self._averages[name] = x.detach().clone()
            now = checkpoint["current_model_state"][name].to(x.device)
            _own(x).copy_(distribute_tensor(now, x.device_mesh, x.placements).to_local())


def _own(x: Tensor) -> Tensor:
    if not isinstance(x, DTensor):
        return x.detach()
    share: Tensor = x.to_local().detach()
    return share
