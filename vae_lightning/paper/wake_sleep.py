"""The wake-sleep algorithm, which the paper compares AEVB with.

B batch, L samples, J latent dims. Nats.
"""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from vae_lightning.model import Draw
from vae_lightning.paper.drawing import DrawingVAE, refuse_learned_prior
from vae_lightning.shapes import PerDatum
from vae_lightning.sums import REDUCE, sums_of


class WakeSleep(DrawingVAE):
    """Follows Hinton et al. (1995), the wake-sleep algorithm, with the encoder and decoder of the paper's Sec. 5.

    Wake: z ~ q(z|x) of a data point trains the decoder, which maximises log p(x, z). Sleep: a dream z ~ p(z),
    x ~ p(x|z) trains the encoder, which maximises log q(z|x). No gradient passes through a sample. The two phases share
    one step; their parameters are disjoint. The ELBO is logged as by `VAE`, and `loss` is the sum of both phases. The
    dreams of a step are a function of (seed, step). `beta` has no part in it. `CompileStep` cannot compile the step.
    Raises ConfigError where the latent learns its prior.
    """

    key: ClassVar[str] = "sleep"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        refuse_learned_prior(self.latent, "wake_sleep")

    def objective(self, x: Tensor, eps: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
        """The sum of both phases, and the batch's sums. Without gradients: those of the ELBO."""
        if not torch.is_grad_enabled():
            return super().objective(x, eps, beta)
        draw = self.wake(x, eps)
        objective = draw.recon + self.sleep(len(x))
        return REDUCE[self.reduction](objective), sums_of(replace(self.bound(draw, 1.0), objective=objective))

    def wake(self, x: Tensor, eps: Tensor) -> Draw:
        """z ~ q(z|x) as a constant. -log p(x|z) trains the decoder; log p(z) has no weights."""
        model = self.model
        with torch.no_grad():
            posterior = model.posterior(x)
            z = posterior.rsample(eps)
        return Draw(model.latent, posterior, z, model.log_px_z(x, z), model.prior)

    def sleep(self, number: int) -> PerDatum:
        """-log q(z|x) of as many dreams."""
        model, noise = self.model, self.further()
        with torch.no_grad():
            z = model.prior.draw(1, number, noise)
            x = model.loss.sample(model.network.decode(z), noise).squeeze(0)
        return -model.posterior(x).log_qz_x(z).squeeze(0)
