"""Data sets as LightningDataModules. <-> conf/data/"""

from vae_lightning.data.mnist import FashionMNISTDataModule, MNISTDataModule

__all__ = ["FashionMNISTDataModule", "MNISTDataModule"]
