"""Estimators of log p(x) and of the information in z. The command `vae_lightning.evaluate` uses them.

Every estimator takes a `model.Model` and images and returns one value per image, in nats.
"""

from vae_lightning.evaluation.annealed import ais_log_px
from vae_lightning.evaluation.appendix_d import appendix_d_log_px
from vae_lightning.evaluation.importance import ImportanceWeighted, importance_weighted
from vae_lightning.evaluation.latent_space import Surgery, posterior_of, surgery
from vae_lightning.latent import active_units

__all__ = [
    "ImportanceWeighted",
    "Surgery",
    "active_units",
    "ais_log_px",
    "appendix_d_log_px",
    "importance_weighted",
    "posterior_of",
    "surgery",
]
