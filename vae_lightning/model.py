"""p(x, z) and q(z|x) as one value, and a draw from it. Bounds take a draw, estimators of log p(x) take the model.

B batch, L samples, J latent dims. Nats per datapoint.
"""

from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

from vae_lightning.errors import DataError
from vae_lightning.latent import Latent, Posterior
from vae_lightning.loss import Likelihood
from vae_lightning.loss.common import REAL_LINE, UNIT_INTERVAL
from vae_lightning.network import Network
from vae_lightning.rules import PRECISION
from vae_lightning.shapes import Codes, Image, PerDatum, PerSample


@dataclass(frozen=True)
class Draw:
    """Samples z ~ q(z|x), reparameterised, and their log densities."""

    latent: Latent
    posterior: Posterior
    z: Codes
    log_px_z: PerSample

    @property
    def log_pz(self) -> PerSample:
        """log p(z), computed when a bound asks for it: estimator B does not."""
        return self.latent.log_pz(self.z)

    @property
    def log_qz_x(self) -> PerSample:
        """log q(z|x), computed when a bound asks for it."""
        return self.posterior.log_qz_x(self.z)

    @property
    def recon(self) -> PerDatum:
        """-E_q[ log p(x|z) ], the mean over the samples: the distortion."""
        return -self.log_px_z.mean(0)

    @property
    def kl(self) -> PerDatum:
        """KL( q(z|x) || p(z) ) in closed form: the rate."""
        return self.posterior.kl().sum(-1)


@dataclass(frozen=True)
class Model:
    """A network, a latent space and a likelihood, which together are p(x, z) and q(z|x)."""

    network: Network
    latent: Latent
    loss: Likelihood

    def draw(self, x: Image, eps: Codes, chunk: int | None = None) -> Draw:
        """One sample of z for each eps. With `chunk`, the decoder sees that many samples at a time.

        The backward pass then computes the decoder's activations again, and memory does not grow with L.
        """
        posterior = self.latent.posterior(self.network.encode(x))
        z = posterior.rsample(eps)
        if chunk is None:
            log_px_z = self.log_px_z(x, z)
        else:
            parts = [checkpoint(self.log_px_z, x, part, use_reentrant=False) for part in z.split(chunk)]
            log_px_z = torch.cat(parts)  # type: ignore[arg-type]
        return Draw(self.latent, posterior, z, log_px_z)

    def check(self, x: Image) -> None:
        """Raises DataError when x leaves the support of p(x|z), where NaN never is; ConfigError for 16-bit numbers."""
        PRECISION.check("precision", x.dtype)
        option = getattr(self.loss, "name", "") or type(self.loss).__name__
        if getattr(self.loss, "support", REAL_LINE) == UNIT_INTERVAL:
            low, high = x.min().item(), x.max().item()
            if not (low >= 0 and high <= 1):
                raise DataError(
                    f"loss={option}: the batch ranges over [{low:.4g}, {high:.4g}], but this p(x|z) is defined on "
                    "[0, 1]; divide by 255, remove the normalisation, or use loss=gaussian_unbounded"
                )
        elif not x.isfinite().all():
            raise DataError(f"loss={option}: the batch holds values that are not finite; clean the data")

    def log_px_z(self, x: Image, z: Codes) -> PerSample:
        """log p(x|z)."""
        return self.loss.log_px_z(x, self.network.decode(z))
