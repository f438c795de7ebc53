"""Estimators of log p(x) and of what z carries, and results that say what they are. Used by `vae_lightning.evaluate`.

Every estimator takes a `bound.Model` and images and returns one value per image, in nats.
"""

from vae_lightning.evaluation.annealed import ais_log_px
from vae_lightning.evaluation.appendix_d import appendix_d_log_px
from vae_lightning.evaluation.importance import ImportanceWeighted, importance_weighted
from vae_lightning.evaluation.latent_space import Surgery, active_units, posterior_of, surgery

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
