"""Data sets as LightningDataModules. <-> conf/data/"""

from vae_lightning.data.arrays import ArraysDataModule
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.mnist import FashionMNISTDataModule, MNISTDataModule
from vae_lightning.data.ppca import PPCADataModule

__all__ = ["ArraysDataModule", "FashionMNISTDataModule", "ImageDataModule", "MNISTDataModule", "PPCADataModule"]
