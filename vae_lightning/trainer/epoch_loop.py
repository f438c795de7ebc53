"""The loop over the batches of an epoch. A step calls only the hooks that are not empty."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from vae_lightning.module import VAE

HOOKS = ("on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward")
HOOKS += ("on_before_optimizer_step", "on_train_batch_end")
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
LIGHTNINGS_OWN = ("backward", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping")
LIGHTNINGS_OWN += ("on_train_batch_start",)  # its answer may end the epoch


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop with a shorter way through a plain step.

    At each step Lightning asks every callback, the module, the strategy and the precision for about thirty hooks. Most
    hooks are empty, and each has a wrapper: with a model as small as the paper's this is a tenth of the step. Here an
    epoch begins with a list of the hooks that are not empty, and a step calls these, in Lightning's order and with
    Lightning's counts. A run is plain if it trains a `VAE` on one device without accumulation, clipping, gradient
    scaler or profiler. In other runs the steps are Lightning's.
    """

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        self._plain = is_plain(self.trainer, data_fetcher)
        self._running = vars(self.trainer.lightning_module)  # has the name of the running hook, which `log` reads
        self._hooks = {hook: listeners(self.trainer, hook) for hook in HOOKS}
        holder = self.trainer._data_connector._datahook_selector.get_instance  # type: ignore[union-attr]
        self._transfer = [getattr(holder(hook), hook) for hook in TRANSFER]
        precision: Any = self.trainer.precision_plugin
        self._context = nullcontext if type(precision) is Precision else precision.train_step_context
        if type(precision) is MixedPrecision:
            self._context = precision.autocast_context_manager  # without the layers around it
        self._only_steps = self._plain and only_steps(self.trainer)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        if self.restarting or not self._plain:  # the first step of a resumed run has more to do
            return super().advance(data_fetcher)
        trainer, module, progress = self.trainer, self.trainer.lightning_module, self.batch_progress
        optimizer, counts = trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer
        batch, batch_idx = next(data_fetcher)[0], self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        before, move, after = self._transfer
        batch = after(move(before(batch, 0), trainer.strategy.root_device, 0), 0)
        progress.increment_ready()
        connector, results = trainer._logger_connector, self._results
        connector._first_loop_iter = connector._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        self._call("on_train_batch_start", batch, batch_idx)
        progress.increment_started()
        counts.step.increment_ready()
        self._running["_current_fx_name"] = "training_step"
        with self._context():
            loss: Any = module.training_step(batch, batch_idx)
        counts.zero_grad.increment_ready()
        self._call("on_before_zero_grad", optimizer)
        counts.zero_grad.increment_started()
        optimizer.zero_grad()
        counts.zero_grad.increment_completed()
        self._call("on_before_backward", loss)
        loss.backward()
        self._call("on_after_backward")
        self._call("on_before_optimizer_step", optimizer)
        optimizer.step()
        counts.step.increment_completed()
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call("on_train_batch_end", {"loss": loss.detach()}, batch, batch_idx)
        self._running["_current_fx_name"] = None
        if is_logged := next(results.valid_items(), None) is not None:
            connector.on_batch_end()
        results.batch = results.batch_size = None
        progress.increment_completed()
        if is_logged:
            connector.update_train_step_metrics()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        stops = self.trainer.should_stop or self.trainer.received_sigterm  # type: ignore[attr-defined]
        if self._only_steps and not (stops or self.batch_progress.is_last_batch):
            self._batches_that_stepped += 1
        else:
            super().on_advance_end(data_fetcher)

    def _call(self, hook: str, *arguments: Any) -> None:
        self._running["_current_fx_name"] = hook
        for method in self._hooks[hook]:
            method(*arguments)


def is_plain(trainer: pl.Trainer, data_fetcher: _DataFetcher) -> bool:
    """Whether a step is forward, backward and the step of the optimiser, and nothing else."""
    module, precision = trainer.lightning_module, trainer.precision_plugin
    return (
        type(module).training_step is VAE.training_step
        and not any(has(module, hook, pl.LightningModule) for hook in LIGHTNINGS_OWN)
        and type(trainer.strategy) is SingleDeviceStrategy
        and type(precision) in (Precision, MixedPrecision)
        and getattr(precision, "scaler", None) is None
        and type(trainer.profiler) is PassThroughProfiler  # type: ignore[attr-defined]
        and isinstance(data_fetcher, _PrefetchDataFetcher)
        and trainer.accumulate_grad_batches == 1
        and not trainer.gradient_clip_val
    )


def only_steps(trainer: pl.Trainer) -> bool:
    """Whether nothing happens between two steps of an epoch: no validation, and no scheduler that reads a metric."""
    at_the_end = trainer.val_check_batch == trainer.num_training_batches and trainer.check_val_every_n_epoch is not None
    return at_the_end and not any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs)


def listeners(trainer: pl.Trainer, hook: str) -> list[Callable[..., Any]]:
    """The methods of that name: those of the callbacks in their order, then that of the module."""
    module = trainer.lightning_module
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = [partial(getattr(part, hook), trainer, module) for part in callbacks if has(part, hook, pl.Callback)]
    return [*found, getattr(module, hook)] if has(module, hook, pl.LightningModule) else found


def has(part: pl.Callback | pl.LightningModule, hook: str, base: type) -> bool:
    """Whether the part has a hook that is not the empty one of `base`."""
    method = getattr(part, hook)
    return callable(method) and getattr(method, "__func__", None) is not getattr(base, hook)
