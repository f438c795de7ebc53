"""DivergenceGuard in modules of other projects: its message never fails, and says only what was checked."""

import math
from typing import Any

import pytest
import torch
from conftest import ForeignVAE
from torch import Tensor, nn
from torch.distributions import Normal

from vae_lightning.callbacks import DivergenceGuard
from vae_lightning.errors import Diverged


class Bad(ForeignVAE):
    """The loss is not a number from the third step on."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss * math.nan if self.global_step >= 2 else loss


class Encodes(Bad):
    """Encoders of several projects."""

    def normal(self, x):
        mean, log_var = self.to_latent(x)
        return Normal(mean, (0.5 * log_var).exp())

    def triple(self, x):
        return (*self.to_latent(x), x)

    def single(self, x):
        return self.encoder(x.flatten(1))

    def needs_y(self, x, y):
        return self.to_latent(x)

    def raises(self, x):
        raise RuntimeError("a shape does not fit")

    def nothing(self, x):
        return None


@pytest.mark.parametrize(
    ("encode", "answers"),
    [
        ("to_latent", True),
        ("normal", True),
        (lambda x: (x.flatten(1), x.flatten(1)), True),
        ("triple", False),
        ("single", False),
        ("needs_y", False),
        ("raises", False),
        ("nothing", False),
        ("not_there", False),
        ("encoder.weight", False),
        (lambda x: None, False),
        (lambda: None, False),
        (lambda x, y: x, False),
    ],
)
def test_whatever_encode_does_the_run_ends_in_diverged(foreign_fit, encode, answers):
    with pytest.raises(Diverged, match=r"diverged at step 2 \(epoch 1\): the loss is nan") as stop:
        foreign_fit(DivergenceGuard(encode), module=Encodes())
    assert ("log variances in [" in str(stop.value)) == answers
    assert str(stop.value).endswith("; all weights are finite; lower lr")


@pytest.mark.parametrize("beta", [torch.rand(3), "cosine", lambda step: step, None, torch.tensor([0.5])])
def test_a_beta_of_any_kind_does_not_stop_the_message(foreign_fit, beta):
    module = Bad()
    module.beta = beta
    with pytest.raises(
        Diverged, match=r"\(epoch 1, beta 0\.5\)" if isinstance(beta, Tensor) and len(beta) == 1 else "nan"
    ):
        foreign_fit(DivergenceGuard(), module=module)


def test_a_batch_without_images_does_not_stop_the_message(foreign_fit):
    class Texts(Bad):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            return {"label": torch.arange(4), "hidden": lambda: batch[0]}

        def training_step(self, batch, batch_idx):
            return super().training_step([batch["hidden"]()], batch_idx)

        def validation_step(self, batch, batch_idx):
            pass

    with pytest.raises(Diverged, match="the loss is nan; all weights are finite"):
        foreign_fit(DivergenceGuard("to_latent"), module=Texts())


class Large(ForeignVAE):
    """Gradients that are finite, and whose sum is not."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def on_after_backward(self) -> None:
        for weight in self.parameters():
            weight.grad = torch.full_like(weight, self.size)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.parametrize(("precision", "size"), [("16-true", 6e4), ("bf16-true", 3e38), ("32-true", 3e38)])
def test_finite_gradients_whose_sum_overflows_are_healthy(foreign_fit, precision, size):
    _, trainer = foreign_fit(DivergenceGuard("to_latent"), module=Large(size), precision=precision, epochs=1)
    assert trainer.global_step == 5


class LargeFused(Large):
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.0, fused=True)


def test_finite_gradients_whose_sum_overflows_are_healthy_without_waiting(foreign_fit):
    _, trainer = foreign_fit(DivergenceGuard("to_latent", every_n_steps=3), module=LargeFused(3e38), epochs=1)
    assert trainer.global_step == 5


class Unfreezes(ForeignVAE):
    """The decoder is trained from the second epoch on, and its gradient is then not finite."""

    def __init__(self, late: bool) -> None:
        super().__init__()
        self.late = late
        self.decoder.requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 1:
            self.decoder.requires_grad_(True)
            if self.late:  # as BaseFinetuning does it
                self.optimizers().add_param_group({"params": list(self.decoder.parameters())})

    def on_after_backward(self) -> None:
        if self.current_epoch == 1:
            self.decoder[0].bias.grad[0] = math.inf

    def configure_optimizers(self):
        return torch.optim.SGD(self.encoder.parameters() if self.late else self.parameters(), lr=0.1)


@pytest.mark.parametrize("late", [True, False])
def test_parameters_that_are_unfrozen_later_are_watched(foreign_fit, late):
    module = Unfreezes(late)
    with pytest.raises(Diverged, match=r"step 5 \(epoch 2\): the gradient of decoder.0.bias is not finite"):
        foreign_fit(DivergenceGuard("to_latent"), module=module)
    assert all(weight.isfinite().all() for weight in module.parameters())


class Grows(ForeignVAE):
    """A part that did not exist when the training began."""

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 1:
            self.head = nn.Linear(2, 1)
            self.optimizers().add_param_group({"params": list(self.head.parameters())})

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss + (self.head.weight.sum() * 3e38) ** 2 * 0.0 if self.current_epoch == 1 else loss


def test_parts_that_are_made_later_are_watched(foreign_fit):
    with pytest.raises(Diverged, match="step 5 "):
        foreign_fit(DivergenceGuard("to_latent"), module=Grows())


def test_weights_that_are_lost_are_not_called_good(foreign_fit):
    class Lost(ForeignVAE):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if batch_idx == 2:
                self.decoder[0].weight.data[0, 0] = math.nan

    with pytest.raises(Diverged) as stop:
        foreign_fit(DivergenceGuard("to_latent"), module=Lost())
    assert str(stop.value).endswith("; decoder.0.weight is not finite either; go back to a checkpoint, and lower lr")
    assert "weights are" not in str(stop.value)


class Normalised(Bad):
    """Has buffers: statistics that the bad batch reaches, and a mask that is infinite on purpose."""

    def __init__(self, lost: bool) -> None:
        super().__init__()
        self.norm, self.lost = nn.BatchNorm1d(16), lost
        self.register_buffer("mask", torch.full((3, 3), -math.inf).triu(1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.norm(batch[0].flatten(1) * (math.nan if self.lost and self.global_step >= 2 else 1.0))
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    ("lost", "says"),
    [(True, "norm.running_mean is not finite either; go back to a checkpoint"), (False, "; all weights are finite; ")],
)
def test_statistics_that_are_lost_are_named(foreign_fit, lost, says):
    with pytest.raises(Diverged, match=says):
        foreign_fit(DivergenceGuard("to_latent"), module=Normalised(lost))


def test_weights_that_cannot_be_read_are_not_called_good(foreign_fit):
    class Lazy(Bad):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.LazyLinear(3)

        def configure_optimizers(self):
            return torch.optim.SGD(self.encoder.parameters(), lr=0.1)

    with pytest.raises(Diverged, match=r"the loss is nan.*; lower lr") as stop:
        foreign_fit(DivergenceGuard("to_latent"), module=Lazy())
    assert "finite" not in str(stop.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1.0])
def test_a_loss_may_be_a_vector(foreign_fit, bad):
    class Vector(ForeignVAE):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer: Any = self.optimizers()
            optimizer.zero_grad()
            losses = (self.autoencode(batch[0]) - batch[0]).square().flatten(1).mean(1)
            losses = losses * torch.tensor([1.0, bad, 1.0, 1.0][: len(losses)])
            self.manual_backward(losses, gradient=torch.ones_like(losses))
            optimizer.step()

    if bad == 1.0:
        foreign_fit(DivergenceGuard("to_latent"), module=Vector())
        return
    with pytest.raises(Diverged, match=rf"diverged at step 0 .*: the loss is {bad}, log variances in .*; all weights"):
        foreign_fit(DivergenceGuard("to_latent"), module=Vector())


def test_a_loss_of_float64_may_be_larger_than_float32_can_say(foreign_fit):
    class Huge(ForeignVAE):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return super().training_step(batch, batch_idx) + 1e60

    _, trainer = foreign_fit(DivergenceGuard("to_latent"), module=Huge(), precision="64-true", epochs=1)
    assert trainer.global_step == 5


def test_sparse_gradients_are_read(foreign_fit):
    class Sparse(ForeignVAE):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 2, sparse=True)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            factor = math.inf if self.global_step == 3 else 1.0
            return (
                super().training_step(batch, batch_idx)
                + (self.table(torch.tensor([1, 2])) * 0).sum()
                + self.added(factor)
            )

        def added(self, factor: float) -> Tensor:
            row = self.table(torch.tensor([1]))
            row.register_hook(lambda gradient: gradient * factor)
            return row.sum()

    with pytest.raises(Diverged, match=r"step 3 .*the gradient of table.weight is not finite"):
        foreign_fit(DivergenceGuard("to_latent"), module=Sparse())


def test_two_optimisers_are_watched_each_with_its_own_parameters(foreign_fit):
    class Adversarial(ForeignVAE):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(self.reconstruction_loss(batch[0]))
                if batch_idx == 1 and optimizer is self.optimizers()[1]:
                    self.decoder[0].bias.grad[0] = math.nan
                optimizer.step()

        def configure_optimizers(self):
            return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.encoder, self.decoder)]

    module = Adversarial()
    with pytest.raises(Diverged, match=r"the gradient of decoder\.0\.bias is not finite"):
        foreign_fit(DivergenceGuard("to_latent"), module=module)
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_the_message_says_where_the_images_of_a_batch_are(foreign_fit):
    seen: list[Tensor] = []

    class Two(Bad):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            return [batch[0], batch[0] * 0]

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(x)
        return x.flatten(1), x.flatten(1)

    with pytest.raises(Diverged, match=r"log variances in \[0, 0\]"):
        foreign_fit(DivergenceGuard(encode, batch=1), module=Two())
    assert len(seen) == 1
