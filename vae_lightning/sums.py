"""The sums of an epoch: what the module adds up in every step and divides once, at the end.

An epoch's value is a sum over observations divided by their count. It is exact with a ragged last batch and under DDP.
"""

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning.bound import Terms

REDUCE = {"mean": torch.mean, "sum": torch.sum}  # of the objective over the batch


def sums_of(terms: Terms) -> Float[Tensor, "5"]:
    """The batch's sums of recon, kl, bound, objective and 1: a constant, without a graph."""
    values = [terms.recon, terms.kl, terms.bound, terms.objective, torch.ones_like(terms.kl)]
    return torch.stack(values).detach().sum(1)


class EpochSums:
    """The sums of the batches of one stage, kept on the device until the end of the epoch."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._batches: list[Tensor] = []

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, sums: Float[Tensor, "5"]) -> None:
        self._batches.append(sums)

    def state(self, trainer: pl.Trainer) -> Tensor:
        """The sums so far, for a checkpoint within an epoch: [batches, 5]; of several processes [W, batches, 5].

        Every process must call it.
        """
        sums = torch.stack(self._batches)
        if trainer.world_size == 1:
            return sums.cpu()
        shares = [torch.empty_like(sums) for _ in range(trainer.world_size)]
        torch.distributed.all_gather(shares, sums)
        return torch.stack(shares).cpu()

    def load(self, state: Tensor, trainer: pl.Trainer) -> None:
        """Takes the sums of this process. Where the run had another number of processes, the first one takes all."""
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
        if trainer.world_size > 1:
            total = trainer.strategy.reduce(total.to(trainer.strategy.root_device), reduce_op="sum")
        recon, kl, bound, loss, count = total.tolist()
        values = {name: bound, "loss": loss, "elbo": -(recon + kl), "recon": recon, "kl": kl}
        return {f"{self.stage}/{metric}": value / count for metric, value in values.items()}

    def log(self, module: pl.LightningModule, **more: float) -> None:
        """Logs the means of a module's stage, and `more`."""
        metrics = self.means(module.bound.name, module.trainer)  # type: ignore[union-attr]
        module.log_dict({**more, **metrics}, on_step=False, on_epoch=True, batch_size=1)
