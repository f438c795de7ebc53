"""The prior on the page: N(0, I), or the components of a mixture, or of one that stands for it.

K components, J latent dims.
"""

from typing import Any

from vae_lightning.latent.vamp import Mixture
from vae_lightning.model import Model
from vae_lightning.pages.explorer.layers import packed

COMPONENTS = 500  # of a mixture that stands for another prior
LIMIT = 4.0  # the reach of sliders and planes, in sigmas of the prior


def mixture(model: Model) -> Mixture | None:
    """The prior, if it is a mixture, or its `sketch` as one; else it is taken for N(0, I)."""
    prior: Any = model.prior
    if isinstance(prior, Mixture):
        return prior
    return prior.sketch(COMPONENTS) if hasattr(prior, "sketch") else None


def reach(prior: Mixture | None) -> float:
    """The reach of sliders: LIMIT sigmas of N(0, 1), or of the widest unit of a mixture."""
    if prior is None:
        return LIMIT
    centre, variance = prior.moments
    return round(float(max(LIMIT, (centre.abs() + LIMIT * variance.sqrt()).max())), 2)


def exported_prior(prior: Mixture | None, exact: bool) -> dict[str, Any]:
    """The components of a mixture, as fp16. One that is not `exact` is drawn from, and has no log p(z)."""
    if prior is None:
        return {}
    packed_both = {"mean": packed(prior.mean), "log_var": packed(prior.log_var)}
    return {"prior": {"components": len(prior.mean), "exact": exact, **packed_both}}
