"""Auto-Encoding Variational Bayes (Kingma & Welling, arXiv:1312.6114) as a living program.

`from vae_lightning import VAE` is the LightningModule, and `vae_lightning.load(DIR)` a trained one. Importing the
package alone imports neither torch nor Lightning, so that `--help` answers at once.
"""

from typing import TYPE_CHECKING

from vae_lightning.version import __version__

__all__ = ["VAE", "FashionMNISTDataModule", "MNISTDataModule", "__version__", "load"]

if TYPE_CHECKING:
    from vae_lightning.app.loading import load
    from vae_lightning.data import FashionMNISTDataModule, MNISTDataModule
    from vae_lightning.module import VAE


def __getattr__(name: str):
    if name == "VAE":
        from vae_lightning.module import VAE

        return VAE
    if name == "load":
        from vae_lightning.app.loading import load

        return load
    if name in __all__:
        from vae_lightning import data

        return getattr(data, name)
    raise AttributeError(f"module 'vae_lightning' has no attribute {name!r}")
