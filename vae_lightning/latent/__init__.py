"""The latent variable z: its prior p(z) and its approximate posterior q(z|x). <-> conf/latent/

B batch, L samples, J latent dims. Nats.
"""

from vae_lightning.latent.common import Latent
from vae_lightning.latent.diagonal_gaussian import DiagonalGaussian, Posterior
from vae_lightning.latent.usage import active_units

__all__ = ["DiagonalGaussian", "Latent", "Posterior", "active_units"]
