"""Data sets as LightningDataModules. <-> conf/data/"""

from vae_lightning.data.image_folder import ImageFolderDataModule
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.mnist import FashionMNISTDataModule, MNISTDataModule
from vae_lightning.data.ppca import PPCADataModule

__all__ = ["FashionMNISTDataModule", "ImageDataModule", "ImageFolderDataModule", "MNISTDataModule", "PPCADataModule"]
