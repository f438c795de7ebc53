"""The variational auto-encoder as a LightningModule: it holds its parts and asks none which option it is.

B batch, L samples, J latent dims, C H W image. Logged values are nats per datapoint.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, optim

from vae_lightning.batch import images_of
from vae_lightning.bound import Bound, Elbo
from vae_lightning.callbacks.training_images import begin
from vae_lightning.fitting import Fitting
from vae_lightning.latent import AnyPosterior, DiagonalGaussian, Latent
from vae_lightning.length import length_of
from vae_lightning.loss import Bernoulli, Likelihood
from vae_lightning.lr_schedule import Constant, scheduled
from vae_lightning.model import Model
from vae_lightning.network import MLP, Network
from vae_lightning.noise import generator
from vae_lightning.optimizer import Adam
from vae_lightning.parts import MODULES, Named, describe, plain, rebuild, translated
from vae_lightning.rules import REDUCTION, NonNegative, Seed, check, whole
from vae_lightning.shapes import Image, Picture, as_x
from vae_lightning.share import share_of
from vae_lightning.sums import REDUCE, EpochSums, sums_of


class VAE(Fitting):
    """Implements Algorithm 1 (AEVB): minimises the objective of `bound`, by default recon + beta * kl, Eq. (10).

    A part is an object, the name of an option of conf/ (loss="bce"), a number (latent=20, network=[512, 256]), or a
    description in a checkpoint. A network that is no object is built for images [C, H, W] of `image_shape`. `beta` is
    the weight of the KL; a callback may change it before any step. `reduction` of the batch is mean or sum. The noise
    eps of a step is a function of (seed, step) alone, also where several processes share a batch. Raises ConfigError
    for what is no part, no option, or a description that cannot be rebuilt.
    """

    def __init__(
        self,
        network: Network | Named = None,
        latent: Latent | Named = None,
        loss: Likelihood | Named = None,
        bound: Bound | Named = None,
        optimizer: Callable[..., optim.Optimizer] | Named = None,
        beta: NonNegative = 1.0,
        seed: Seed = 0,
        reduction: Annotated[str, REDUCTION] = "mean",
        lr_schedule: Callable[[float], float] | Named = None,
        image_shape: Sequence[int] = (1, 28, 28),
    ) -> None:
        super().__init__()
        given: Any = {"network": network, "latent": latent, "loss": loss, "bound": bound, "optimizer": optimizer}
        given = translated({**given, "lr_schedule": lr_schedule, "reduction": reduction})
        sizes: Any = {"image_shape": list(image_shape)}
        self.latent: Latent = rebuild(given["latent"], "latent", DiagonalGaussian, **sizes)
        self.loss: Likelihood = rebuild(given["loss"], "loss", Bernoulli)
        self.bound: Bound = rebuild(given["bound"], "bound", Elbo)
        sizes |= {"latent_dim": self.latent.dim, "num_parameters": self.loss.num_parameters}
        self.network: Network = rebuild(given["network"], "network", lambda: MLP(**sizes), **sizes)
        self.optimizer: Any = rebuild(given["optimizer"], "optimizer", Adam)
        self.lr_schedule = rebuild(given["lr_schedule"], "lr_schedule", Constant)
        self.beta, self.seed, self.reduction = plain(beta), plain(seed), plain(given["reduction"])
        check(self, "vae")
        self.beta = float(self.beta)
        parts = {name: describe(getattr(self, name)) for name in MODULES}
        self.save_hyperparameters({**parts, "beta": self.beta, "seed": self.seed, "reduction": self.reduction})
        self._sums = {stage: EpochSums(stage) for stage in ("train", "val", "test")}

    @property
    def model(self) -> Model:
        """The parts of p(x, z) and q(z|x): what estimators take."""
        return Model(self.network, self.latent, self.loss)

    def encode(self, x: Image | NDArray[Any]) -> AnyPosterior:
        """q(z|x). Bytes are taken as x = byte / 255; an array goes to the device of the module.

        Raises DataError for images of another shape than the network's.
        """
        images = as_x(x if isinstance(x, Tensor) else torch.as_tensor(x, device=self.device)).to(self.dtype)
        self.model.check_shape(images)
        return self.model.posterior(images)

    def decode(self, z: Float[Tensor, "*batch J"]) -> Picture:
        """E[x|z], the mean of p(x|z)."""
        return self.loss.mean(self.network.decode(z.to(self.dtype)))

    def reconstruct(self, x: Image | NDArray[Any]) -> Image:
        """E[x|z] at the mean of q(z|x)."""
        return self.decode(self.encode(x).mean)

    def forward(self, batch: Any) -> Image:
        """The reconstruction of x, or of the images of a batch."""
        return self.reconstruct(images_of(batch))

    @torch.no_grad()
    def sample(self, n: int, seed: int | None = None) -> Picture:
        """E[x|z] of `n` draws z ~ p(z); the same ones for the same `seed`. Raises ConfigError for n < 1."""
        whole(1).check("n", plain(n))
        noise = generator(self.device, "sample", int(torch.randint(2**31, ())) if seed is None else seed)
        return self.decode(self.model.prior.draw(n, 1, noise).squeeze(1))

    def objective(self, x: Tensor, eps: Tensor, beta: float | Tensor) -> tuple[Float[Tensor, ""], Float[Tensor, "5"]]:
        """What is minimised, and the batch's sums of recon, kl, bound, objective and 1. `CompileStep` compiles this."""
        terms = self.bound(self.model.draw(x, eps, self.bound.chunk), beta)
        return REDUCE[self.reduction](terms.objective), sums_of(terms)

    def training_step(self, batch: Any, batch_idx: int) -> Float[Tensor, ""]:
        return self._step(batch, batch_idx, "train", step=self.trainer.fit_loop.total_batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._step(batch, batch_idx, "val", step=batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._step(batch, batch_idx, "test", step=batch_idx)

    def configure_optimizers(self) -> Any:
        made = self.optimizer(self.parameters())
        return scheduled(made, self.optimizer, self.lr_schedule, lambda: length_of(self.trainer))

    def _step(self, batch: Any, batch_idx: int, stage: str, step: int) -> Float[Tensor, ""]:
        """The objective; its terms are added to the epoch's. Raises DataError when p(x|z) does not cover batch 0."""
        x = as_x(images_of(batch)).to(next(self.parameters()).dtype)
        if batch_idx == 0:
            self.model.check(x)
        share = share_of(self.trainer, stage, batch_idx, len(x))
        noise = generator(self.device, stage, self.seed, share.key, step)
        eps = share.of(self.latent.noise(self.bound.num_samples, share.total, noise), dim=1)
        objective, sums = self.objective(x, eps, self.beta)
        self._sums[stage].add(share.sums(sums), self.beta)
        return share.objective(objective, self.reduction)

    def on_fit_start(self) -> None:
        begin(self.latent, self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._sums["train"]:  # a checkpoint within an epoch keeps the sums of the epoch so far
            checkpoint |= self._sums["train"].state(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._trainer is not None:
            self._sums["train"].load(checkpoint, self._trainer, self.device)
            if self._trainer.state.fn != "fit":  # else Lightning's weight averaging tests the weights before averaging
                checkpoint["current_model_state"] = checkpoint["state_dict"]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        stops = self.trainer.should_stop or 0 <= self.trainer.max_steps <= self.trainer.global_step
        if self.trainer.is_last_batch or stops:  # callbacks read the metrics before this module's on_train_epoch_end
            self._sums["train"].log(self)

    def on_validation_epoch_end(self) -> None:
        self._sums["val"].log(self)

    def on_test_epoch_end(self) -> None:
        self._sums["test"].log(self)
