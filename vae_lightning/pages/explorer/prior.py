"""The prior on the page: N(0, I), or the components of a mixture.

K components, J latent dims.
"""

from typing import Any

from vae_lightning.latent.vamp import Mixture
from vae_lightning.model import Model
from vae_lightning.pages.explorer.layers import packed

LIMIT = 4.0  # the reach of sliders and planes, in sigmas of the prior


def mixture(model: Model) -> Mixture | None:
    """The prior, if it is a mixture; else it is taken for N(0, I)."""
    prior = model.prior
    return prior if isinstance(prior, Mixture) else None


def reach(prior: Mixture | None) -> float:
    """The reach of sliders: LIMIT sigmas of N(0, 1), or of the widest unit of a mixture."""
    if prior is None:
        return LIMIT
    centre, variance = prior.moments
    return round(float(max(LIMIT, (centre.abs() + LIMIT * variance.sqrt()).max())), 2)


def exported_prior(prior: Mixture | None) -> dict[str, Any]:
    """The components of a mixture, as fp16."""
    if prior is None:
        return {}
    return {
        "prior": {"components": len(prior.mean), "mean": packed(prior.mean), "log_var": packed(prior.log_var)},
    }
