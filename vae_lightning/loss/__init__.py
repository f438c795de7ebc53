"""The reconstruction term: which distribution p(x|z) is. <-> conf/loss/

B batch, L samples, P parameters per pixel, C H W image. The decoder's output is [L, B, P, C, H, W]; every class turns
it into log p(x|z), into the mean of p(x|z) (the reconstruction) and into a draw. Values are nats per datapoint, [L, B].
"""

from vae_lightning.loss.bernoulli import Bernoulli, BernoulliLogits, ContinuousBernoulli
from vae_lightning.loss.common import Likelihood, bits_per_dimension
from vae_lightning.loss.discrete import DiscretizedLogistic
from vae_lightning.loss.gaussian import (
    FixedGaussian,
    Gaussian,
    Laplace,
    OptimalGaussian,
    SharedGaussian,
    SquaredError,
    UnboundedGaussian,
    UnboundedOptimalGaussian,
)

__all__ = [
    "Bernoulli",
    "BernoulliLogits",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "FixedGaussian",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "OptimalGaussian",
    "SharedGaussian",
    "SquaredError",
    "UnboundedGaussian",
    "UnboundedOptimalGaussian",
    "bits_per_dimension",
]
