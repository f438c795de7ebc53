"""Which latent units carry information. N images, J latent dims."""

from jaxtyping import Bool, Float
from torch import Tensor

ACTIVE = 0.01  # a unit is active when the variance of its posterior mean over the data is larger


def active_units(mean: Float[Tensor, "N J"]) -> Bool[Tensor, " J"]:
    """Follows Burda et al. (2016): the units with Var_x( E_q[z_j] ) > 0.01."""
    return mean.var(0, correction=0) > ACTIVE
