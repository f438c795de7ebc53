"""p(x, z) and q(z|x) as one value, and a draw from it. Bounds take a draw, estimators of log p(x) take the model.

B batch, L samples, J latent dims. Nats per datapoint.
"""

from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

from vae_lightning import equations
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.latent import AnyPosterior, Latent, Posterior, Prior
from vae_lightning.latent.common import has_closed_kl, posterior_of, prior_of
from vae_lightning.loss import Likelihood
from vae_lightning.loss.common import REAL_LINE, UNIT_INTERVAL
from vae_lightning.network import Network
from vae_lightning.rules import PRECISION
from vae_lightning.shapes import Codes, Image, PerDatum, PerSample, PerUnit

UNBOUNDED = ("loss=gaussian_unbounded", "loss=sigma_unbounded")


@dataclass(frozen=True)
class Draw:
    """Samples z ~ q(z|x), reparameterised, and their log densities."""

    latent: Latent
    posterior: AnyPosterior
    z: Codes
    log_px_z: PerSample
    prior: Prior

    @property
    def log_pz(self) -> PerSample:
        """log p(z), computed when a bound asks for it: estimator B does not."""
        return self.prior.log_pz(self.z)

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
        """KL( q(z|x) || p(z) ): the rate."""
        return self.rate()

    def rate(self, log_ratio: PerSample | None = None) -> PerDatum:
        """The KL in closed form; where the latent has none, the mean of log q(z|x) - log p(z) over the samples.

        `log_ratio` is log p(z) - log q(z|x) where it is known already.
        """
        if has_closed_kl(self.latent):
            return self.posterior.kl().sum(-1)
        return -(self.log_pz - self.log_qz_x if log_ratio is None else log_ratio).mean(0)

    @property
    def unit_kl(self) -> PerUnit:
        """The share of each latent unit in the KL. Raises ConfigError where the units have none."""
        if has_closed_kl(self.latent):
            return self.posterior.kl()
        return self.latent.unit_kl(self.posterior, self.z)  # type: ignore[attr-defined]

    def sgvb(self, kl: PerDatum, beta: float | torch.Tensor = 1.0) -> PerDatum:
        """Estimator B with the KL weighted by beta: Eq. (10) for the paper's Gaussians, Eq. (7) with any other KL."""
        q = self.posterior
        if type(q) is Posterior:
            return equations.gaussian_sgvb(q.mean, q.log_var, self.log_px_z, beta)
        return equations.sgvb_b(self.log_px_z, beta * kl)


@dataclass(frozen=True)
class Model:
    """A network, a latent space and a likelihood, which together are p(x, z) and q(z|x)."""

    network: Network
    latent: Latent
    loss: Likelihood

    @property
    def prior(self) -> Prior:
        """p(z), with the weights as they are now."""
        return prior_of(self.latent, self.network.encode)

    def posterior(self, x: Image) -> AnyPosterior:
        """q(z|x). Raises ConfigError where the encoder returns another number of parameters."""
        params = self.network.encode(x)
        self._check_output("encoder", params, "[B, latent.num_parameters]", len(x), self.latent.num_parameters)
        return posterior_of(self.latent, params, self.network.encode)

    def draw(self, x: Image, eps: Codes, chunk: int | None = None) -> Draw:
        """One sample of z for each eps. With `chunk`, the decoder sees that many samples at a time.

        The backward pass then computes the decoder's activations again, and memory does not grow with L.
        """
        posterior = self.posterior(x)
        z = posterior.rsample(eps)
        if chunk is None:
            log_px_z = self.log_px_z(x, z)
        else:
            parts = [checkpoint(self.log_px_z, x, part, use_reentrant=False) for part in z.split(chunk)]
            log_px_z = torch.cat(parts)  # type: ignore[arg-type]
        return Draw(self.latent, posterior, z, log_px_z, self.prior)

    def check(self, x: Image) -> None:
        """Raises DataError for images of another shape than the network's, or values outside the support of p(x|z).

        NaN is outside of every support. Raises ConfigError for 16-bit numbers.
        """
        PRECISION.check("precision", x.dtype)
        self.check_shape(x)
        if getattr(self.loss, "support", REAL_LINE) == UNIT_INTERVAL:
            low, high = x.min().item(), x.max().item()
            if not (low >= 0 and high <= 1):
                raise DataError(outside(self.loss, low, high, "this p(x|z) is defined on [0, 1]"))
        elif not x.isfinite().all():
            raise DataError(f"loss={option_of(self.loss)}: the batch holds values that are not finite; clean the data")

    def check_shape(self, x: Image) -> None:
        """Raises DataError for images of another shape than the network's."""
        size = getattr(self.network, "image_shape", None)
        if size is not None and list(x.shape[1:]) != list(size):
            taken = ", ".join(map(str, size))
            raise DataError(f"x is {list(x.shape)}, but the network takes [B, {taken}]; reshape x, or build it for x")

    def log_px_z(self, x: Image, z: Codes) -> PerSample:
        """log p(x|z)."""
        params, P = self.network.decode(z), getattr(self.loss, "num_parameters", 1)
        self._check_output("decoder", params, "[L, B, loss.num_parameters, C, H, W]", *z.shape[:-1], P, *x.shape[1:])
        return self.loss.log_px_z(x, params)

    def _check_output(self, side: str, output: torch.Tensor, meaning: str, *shape: int) -> None:
        """Raises ConfigError unless the network's output has the shape that the latent space or the likelihood needs.

        A shape that broadcasts would train on other values without an error.
        """
        if tuple(output.shape) != shape:
            network, found = type(self.network).__name__, list(output.shape)
            raise ConfigError(f"network {network}: its {side} returns {found}, must be {list(shape)}, {meaning}")


def option_of(loss: Likelihood) -> str:
    """The option of a likelihood; the name of its class if it has none."""
    return getattr(loss, "name", "") or type(loss).__name__


def outside(loss: Likelihood, low: float, high: float, where: str) -> str:
    """The error of data that range over [low, high], which a likelihood does not cover."""
    return (
        f"loss={option_of(loss)}: the batch ranges over [{low:.4g}, {high:.4g}], but {where}; divide by 255, remove "
        f"the normalisation, or use {' or '.join(UNBOUNDED)}"
    )
