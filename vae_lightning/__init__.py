"""Auto-Encoding Variational Bayes (Kingma & Welling, arXiv:1312.6114) as a living program.

`from vae_lightning import VAE` is the LightningModule, and `vae_lightning.load(DIR)` a trained one. Importing the
package alone imports neither torch nor Lightning, so that `--help` answers at once; a name is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vae_lightning.version import __version__

if TYPE_CHECKING:
    from vae_lightning import (
        bound,
        callbacks,
        data,
        equations,
        errors,
        evaluation,
        latent,
        loss,
        lr_schedule,
        network,
        optimizer,
        schedule,
    )
    from vae_lightning.app.loading import load
    from vae_lightning.data import (
        ArraysDataModule,
        FashionMNISTDataModule,
        ImageFolderDataModule,
        MNISTDataModule,
    )
    from vae_lightning.module import VAE

__all__ = [
    "VAE",
    "ArraysDataModule",
    "FashionMNISTDataModule",
    "ImageFolderDataModule",
    "MNISTDataModule",
    "__version__",
    "bound",
    "callbacks",
    "data",
    "equations",
    "errors",
    "evaluation",
    "latent",
    "load",
    "loss",
    "lr_schedule",
    "network",
    "optimizer",
    "schedule",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vae_lightning' has no attribute {name!r}")
    homes = {"VAE": "vae_lightning.module", "load": "vae_lightning.app.loading"}
    if name in homes:
        return getattr(importlib.import_module(homes[name]), name)
    if name.endswith("DataModule"):
        return getattr(importlib.import_module("vae_lightning.data"), name)
    return importlib.import_module(f"vae_lightning.{name}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
