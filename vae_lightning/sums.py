"""The sums of an epoch: what the module adds up in every step and divides once, at the end.

An epoch's value is a sum over observations divided by their count. It is exact with a ragged last batch and under DDP.
"""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning.bound import Terms

REDUCE = {"mean": torch.mean, "sum": torch.sum}  # of the objective over the batch
BETA = ("beta", "beta_first", "beta_mean")  # of an epoch: beta in its last step, in its first one, and the mean


def sums_of(terms: Terms) -> Float[Tensor, "5"]:
    """The batch's sums of recon, kl, bound, objective and 1: a constant, without a graph."""
    values = [terms.recon, terms.kl, terms.bound, terms.objective, torch.ones_like(terms.kl)]
    return torch.stack(values).detach().sum(1)


class EpochSums:
    """The sums of the batches of one stage, kept on the device until the end of the epoch, and beta in each batch."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._batches: list[Tensor] = []
        self._betas: list[float] = []

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, sums: Float[Tensor, "5"], beta: float) -> None:
        self._batches.append(sums)
        self._betas.append(float(beta))

    def state(self, trainer: pl.Trainer) -> dict[str, Any]:
        """The epoch so far, for a checkpoint within it: the sums [batches, 5], and beta in each batch.

        Of several processes the sums are [W, batches, 5]. Every process must call it.
        """
        sums = torch.stack(self._batches)
        if trainer.world_size > 1:
            shares = [torch.empty_like(sums) for _ in range(trainer.world_size)]
            torch.distributed.all_gather(shares, sums)
            sums = torch.stack(shares)
        return {"epoch_sums": sums.cpu(), "epoch_betas": list(self._betas)}

    def load(self, checkpoint: Mapping[str, Any], trainer: pl.Trainer, device: torch.device) -> None:
        """Takes the sums of this process. Where the run had another number of processes, the first one takes all.

        A checkpoint of an older version does not know beta in each batch: the epoch begins with nan.
        """
        state = checkpoint.get("epoch_sums", torch.zeros(0, 5)).to(device)
        self._betas = list(checkpoint.get("epoch_betas", [math.nan] * min(1, len(state))))
        shares = state if state.ndim == 3 else state[None]
        if len(shares) == trainer.world_size:
            self._batches = list(shares[trainer.global_rank])
        else:
            self._batches = list(shares.flatten(0, 1) * (trainer.global_rank == 0))

    def means(self, name: str, trainer: pl.Trainer) -> dict[str, float]:
        """{STAGE/metric: nats per datapoint} over all processes; {} without a batch. `name` is that of the bound.

        The sums start again from nothing.
        """
        if not self._batches:
            return {}
        total = torch.stack(self._batches).cpu().double().sum(0)
        self._batches.clear()
        self._betas.clear()
        if trainer.world_size > 1:
            total = trainer.strategy.reduce(total.to(trainer.strategy.root_device), reduce_op="sum")
        recon, kl, bound, loss, count = total.tolist()
        values = {name: bound, "loss": loss, "elbo": -(recon + kl), "recon": recon, "kl": kl}
        return {f"{self.stage}/{metric}": value / count for metric, value in values.items()}

    def log(self, module: pl.LightningModule) -> None:
        """Logs the means of a module's stage; of training also `BETA`."""
        betas = self._betas if self.stage == "train" else []
        within = zip(BETA, (betas[-1], betas[0], fmean(betas)), strict=True) if betas else ()
        known = {name: value for name, value in within if not math.isnan(value)}
        metrics = self.means(module.bound.name, module.trainer)  # type: ignore[union-attr]
        module.log_dict({**known, **metrics}, on_step=False, on_epoch=True, batch_size=1)
