"""The latent variable z: its prior p(z) and its approximate posterior q(z|x). <-> conf/latent/

B batch, L samples, J latent dims. Nats.
"""

from vae_lightning.latent.common import AnyPosterior, Latent, Prior
from vae_lightning.latent.diagonal_gaussian import DiagonalGaussian, Posterior
from vae_lightning.latent.flow import Iaf
from vae_lightning.latent.two_layers import TwoLayers
from vae_lightning.latent.usage import active_units
from vae_lightning.latent.vamp import Vamp

__all__ = [
    "AnyPosterior",
    "DiagonalGaussian",
    "Iaf",
    "Latent",
    "Posterior",
    "Prior",
    "TwoLayers",
    "Vamp",
    "active_units",
]
