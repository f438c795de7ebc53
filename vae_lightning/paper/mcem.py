"""Monte-Carlo EM, which the paper compares AEVB with in Fig. 3.

B batch, J latent dims. Nats.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.batch import images_of
from vae_lightning.data.protocol import PROTOCOLS
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import hmc
from vae_lightning.module import VAE
from vae_lightning.noise import generator
from vae_lightning.paper.drawing import refuse_learned_prior
from vae_lightning.rules import Count, check, number
from vae_lightning.shapes import as_x
from vae_lightning.sums import REDUCE

FIRST_STEP = 0.1


class MonteCarloEM(VAE):
    """Implements Appendix E: HMC samples z ~ p(z|x), then `updates` steps of the optimizer raise log p(x, z).

    There is no encoder: that of the network is never trained. A visit of an image is one proposal of `leapfrog` steps,
    and the chain of an image goes on where its last visit left it; it begins at a draw of p(z), which has no weights.
    Images are known by their content, so x must not be resampled (protocol grey, threshold or static). The step size is
    tuned to `acceptance` while the run lasts. Logs train/log_pxz, the mean of log p(x, z): no bound of log p(x). The
    optimizer steps by itself, so the trainer can neither clip nor accumulate gradients. Raises ConfigError where a run
    asks for that, for validation or for images that are resampled, where the latent learns its prior, and when a number
    breaks its rule.
    """

    encodes: ClassVar[bool] = False
    progress_columns: ClassVar[Mapping[str, str]] = {"log p(x,z)": "train/log_pxz", "step size": "train/step_size"}
    step_size: Tensor

    def __init__(
        self,
        leapfrog: Count = 10,
        updates: Count = 5,
        acceptance: Annotated[float, number(above=0, most=1)] = 0.9,
        **options: Any,
    ) -> None:
        self.leapfrog, self.updates, self.acceptance = leapfrog, updates, acceptance
        check(self, "paper")
        super().__init__(**options)
        refuse_learned_prior(self.latent, "mcem")
        self.save_hyperparameters({"leapfrog": leapfrog, "updates": updates, "acceptance": acceptance})
        self.automatic_optimization = False
        self.register_buffer("step_size", torch.full((1,), FIRST_STEP))
        self.chains: dict[int, Tensor] = {}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x = as_x(images_of(batch)).to(self.dtype)
        if batch_idx == 0:
            self.model.check(x)
        step = self.trainer.fit_loop.total_batch_idx
        z = self.visit(x, generator(self.device, "mcem", self.seed, self.trainer.global_rank, step))
        optimizer: Any = self.optimizers()
        scheduler: Any = self.lr_schedulers()
        log_px_z = torch.zeros(())
        for _ in range(self.updates):
            log_px_z = self.model.log_px_z(x, z).squeeze(0)
            optimizer.zero_grad()
            self.manual_backward(REDUCE[self.reduction](-log_px_z))
            optimizer.step()
        if scheduler is not None:
            scheduler.step()
        log_pxz = log_px_z.detach() + self.model.prior.log_pz(z).squeeze(0)
        values = {"train/log_pxz": log_pxz.mean(), "train/step_size": self.step_size.squeeze()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(x))

    def visit(self, x: Tensor, noise: torch.Generator) -> Tensor:
        """One proposal for the chain of each image, [1, B, J]; tunes the step size."""
        names, model = [name_of(image) for image in x], self.model
        fresh = model.prior.draw(1, len(x), noise)
        z = torch.stack([self.chains.get(name, fresh[0, i]) for i, name in enumerate(names)]).unsqueeze(0)

        def log_density(z: Tensor) -> Tensor:
            return model.prior.log_pz(z) + model.log_px_z(x, z)

        moved = hmc.move(log_density, z, self.step_size.expand(len(x)), self.leapfrog, noise)
        self.step_size = hmc.tuned(self.step_size, moved.acceptance.reshape(-1, 1), self.acceptance)
        self.chains.update(zip(names, moved.z[0].unbind(), strict=True))
        return moved.z

    def check_run(self, trainer: pl.Trainer, data: Any, validates: bool) -> None:
        """Raises ConfigError for a run that cannot be what it says: see the class."""
        if validates:
            self.on_validation_start()
        if PROTOCOLS[getattr(data, "protocol", "grey")].resample:
            raise ConfigError(
                f"paper=mcem: data.protocol={data.protocol} draws the images anew, but each image has its own chain; "
                "choose data.protocol=static"
            )
        for key, of_no_effect in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
            if (value := getattr(trainer, key)) != of_no_effect:
                raise ConfigError(f"paper=mcem: trainer.{key}={value}: the optimizer steps by itself; leave it out")

    def on_validation_start(self) -> None:
        """Raises ConfigError: there is no ELBO."""
        raise ConfigError(
            "paper=mcem: it has no encoder, so there is no ELBO to validate; leave the validation out with "
            "+trainer.limit_val_batches=0"
        )

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing: there is no ELBO. `evaluate appendix_d.num_images=100` estimates log p(x)."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.chains:
            z = torch.stack(list(self.chains.values())).cpu()
            checkpoint["chains"] = {"names": torch.tensor(list(self.chains)), "z": z}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if saved := checkpoint.get("chains"):
            z = saved["z"].to(self.device).unbind()
            self.chains = dict(zip(saved["names"].tolist(), z, strict=True))


def name_of(image: Tensor) -> int:
    """The content of an image as a number of 63 bits."""
    digest = hashlib.blake2b(image.detach().cpu().contiguous().numpy().tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
