"""A plain step of EpochLoop is a step of Lightning's loop: the same calls in the same order, numbers and counts."""

import lightning.pytorch as pl
import pytest
import torch
from conftest import NO_NETWORK, ForeignVAE, config, vae
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from vae_lightning import VAE
from vae_lightning.app import build
from vae_lightning.trainer import FastTrainer, epoch_loop

QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
PLAIN = {
    "float32": {},
    "bfloat16": {"precision": "bf16-mixed"},
    "with a scheduler": {"optimizer.final_lr": 1e-4},
    "validated within the epoch": {"val_check_interval": 10},
    "validated every seven steps": {"val_check_interval": 7, "check_val_every_n_epoch": None},
    "a limited number of steps": {"max_steps": 41},
}
NOT_PLAIN = {
    "accumulated": {"accumulate_grad_batches": 3},
    "clipped": {"gradient_clip_val": 0.5},
    "profiled": {"profiler": "simple"},
}


def witness(seen: list) -> pl.Callback:
    """A callback that notes each hook of a step, and Lightning's counts at that time."""

    def note(hook):
        def noted(trainer, module, *arguments):
            counts = trainer.fit_loop.epoch_loop.state_dict()
            shown = [each.detach().sum().item() for each in arguments if isinstance(each, torch.Tensor)]
            seen.append((hook, module._current_fx_name, trainer.is_last_batch, shown, counts))

        return noted

    return LambdaCallback(**{hook: note(hook) for hook in epoch_loop.HOOKS})


class Noted(VAE):
    """A module with hooks that the VAE does not have."""

    def on_before_zero_grad(self, optimizer):
        self.seen.append("before zero_grad")

    def on_before_backward(self, loss):
        self.seen.append(("before backward", loss.item(), self._current_fx_name))

    def on_after_backward(self):
        self.seen.append(("after backward", next(self.parameters()).grad.sum().item()))

    def on_before_optimizer_step(self, optimizer):
        self.seen.append(("before step", type(optimizer)))

    def on_train_batch_end(self, outputs, batch, batch_idx):
        super().on_train_batch_end(outputs, batch, batch_idx)
        self.seen.append(("end", outputs["loss"].item(), outputs["loss"].requires_grad, batch[0].dtype, batch_idx))
        self.log("seen", float(batch_idx), on_step=True, on_epoch=True)


def fitted(kind: type[pl.Trainer], tmp_path, module_class: type[Noted] = Noted, **options) -> tuple[pl.Trainer, list]:
    """Two epochs of the bundled digits with one of the trainers, not compiled, and all that was seen on the way."""
    asked = [f"optimizer.final_lr={options.pop('optimizer.final_lr')}"] if "optimizer.final_lr" in options else []
    cfg = config("network.hidden=[16]", "latent.dim=3", "data.val_size=200", *NO_NETWORK, *asked)
    pl.seed_everything(0, verbose=False)
    data, module, seen = build.data_module(cfg.data), vae(cfg), []
    module.__class__, module.seen = module_class, seen
    options = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "precision": "32-true", **QUIET, **options}
    options |= {"compile_mode": None} if kind is FastTrainer else {}
    made = kind(callbacks=[witness(seen)], default_root_dir=tmp_path, **options)
    made.fit(module, data)
    return made, seen


class Plateau(Noted):
    """A module with a scheduler that reads a metric after every second step."""

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        every = {"interval": "step", "frequency": 2, "monitor": "seen_step"}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **every}}


@pytest.mark.sample(3)
@pytest.mark.parametrize("options", [*PLAIN.values(), *NOT_PLAIN.values()], ids=[*PLAIN, *NOT_PLAIN])
def test_our_loop_does_what_lightnings_does(tmp_path, options):
    ours, our_seen = fitted(FastTrainer, tmp_path, **options)
    theirs, their_seen = fitted(pl.Trainer, tmp_path, **options)
    assert len(our_seen) > 100
    assert our_seen == their_seen
    assert ours.fit_loop.state_dict() == theirs.fit_loop.state_dict()
    assert ours.callback_metrics == theirs.callback_metrics
    assert ours.lightning_module._current_fx_name is None
    for one, other in zip(ours.lightning_module.parameters(), theirs.lightning_module.parameters(), strict=True):
        assert torch.equal(one, other)
    states = [made.optimizers[0].state_dict()["state"] for made in (ours, theirs)]
    assert all(
        torch.equal(value, states[1][number][name]) for number in states[0] for name, value in states[0][number].items()
    )


@pytest.mark.slow
def test_a_scheduler_that_looks_at_a_metric_within_the_epoch_is_asked(tmp_path):
    rates = [
        fitted(kind, tmp_path, Plateau)[0].optimizers[0].param_groups[0]["lr"] for kind in (FastTrainer, pl.Trainer)
    ]
    assert rates[0] == rates[1] < 1e-6


def test_a_plain_step_does_not_go_through_lightnings_layers(tmp_path, monkeypatch):
    def not_asked(self, data_fetcher):
        raise AssertionError("a step of Lightning's")

    monkeypatch.setattr(_TrainingEpochLoop, "advance", not_asked)
    made, _ = fitted(FastTrainer, tmp_path)
    assert made.global_step == 2 * made.num_training_batches
    with pytest.raises(AssertionError, match="a step of Lightning's"):
        fitted(FastTrainer, tmp_path, gradient_clip_val=0.5)


@pytest.fixture
def decided(monkeypatch) -> list[bool]:
    """The answers of `is_plain`, epoch by epoch."""
    real, found = epoch_loop.is_plain, []
    monkeypatch.setattr(epoch_loop, "is_plain", lambda *given: found.append(real(*given)) or found[-1])
    return found


@pytest.mark.sample(5)
@pytest.mark.parametrize("options", [*PLAIN.values(), *NOT_PLAIN.values()], ids=[*PLAIN, *NOT_PLAIN])
def test_what_is_plain(tmp_path, decided, options):
    fitted(FastTrainer, tmp_path, **{"max_epochs": 1, **options, "limit_train_batches": 10})
    assert decided == [options in PLAIN.values()]


@pytest.mark.parametrize("hook", [*epoch_loop.LIGHTNINGS_OWN, "training_step"])
def test_a_module_with_a_step_of_its_own_has_lightnings_loop(tmp_path, decided, hook):
    class Own(Noted):
        pass

    calls = []
    setattr(Own, hook, lambda self, *args, **more: calls.append(hook) or getattr(super(Own, self), hook)(*args, **more))
    fitted(FastTrainer, tmp_path, Own, max_epochs=1, limit_train_batches=2)
    assert decided == [False]
    assert len(calls) >= 2


def test_another_module_trains_with_our_trainer_as_with_lightnings(tmp_path):
    def trained(kind, **options):
        pl.seed_everything(0, verbose=False)
        module = ForeignVAE()
        images = torch.utils.data.TensorDataset(torch.rand(20, 1, 4, 4))
        made = kind(max_epochs=2, accelerator="cpu", default_root_dir=tmp_path, **QUIET, **options)
        made.fit(module, torch.utils.data.DataLoader(images, batch_size=4))
        return torch.cat([each.flatten() for each in module.parameters()])

    assert torch.equal(trained(FastTrainer, compile_mode=None, precision="32-true"), trained(pl.Trainer))
