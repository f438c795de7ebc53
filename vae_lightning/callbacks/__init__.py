"""Callbacks for any Lightning project. <-> conf/callbacks/

They import neither Hydra nor the module or the data of this package. They ask the trainer, and ask the module by the
name of a method or an attribute.
"""

from vae_lightning.callbacks.beta_annealing import BetaAnnealing
from vae_lightning.callbacks.compile_step import CompileStep
from vae_lightning.callbacks.curve_log import CurveLog
from vae_lightning.callbacks.divergence_guard import DivergenceGuard
from vae_lightning.callbacks.early_stopping import EarlyStopping
from vae_lightning.callbacks.epoch_weights import EpochWeights
from vae_lightning.callbacks.graceful_stop import GracefulStop
from vae_lightning.callbacks.latent_traversal import LatentTraversal
from vae_lightning.callbacks.latent_usage import LatentUsage
from vae_lightning.callbacks.output_bias import OutputBias
from vae_lightning.callbacks.progress import Progress
from vae_lightning.callbacks.pruning import Pruning
from vae_lightning.callbacks.reconstruction_grid import ReconstructionGrid
from vae_lightning.callbacks.run_record import RunRecord
from vae_lightning.callbacks.sample_grid import SampleGrid

__all__ = [
    "BetaAnnealing",
    "CompileStep",
    "CurveLog",
    "DivergenceGuard",
    "EarlyStopping",
    "EpochWeights",
    "GracefulStop",
    "LatentTraversal",
    "LatentUsage",
    "OutputBias",
    "Progress",
    "Pruning",
    "ReconstructionGrid",
    "RunRecord",
    "SampleGrid",
]
