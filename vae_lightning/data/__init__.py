"""Data sets as LightningDataModules. <-> conf/data/"""

from vae_lightning.data.arrays import ArraysDataModule
from vae_lightning.data.cifar10 import CIFAR10DataModule
from vae_lightning.data.emnist import EMNISTDataModule
from vae_lightning.data.frey_face import FreyFaceDataModule
from vae_lightning.data.image_folder import ImageFolderDataModule
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.mnist import FashionMNISTDataModule, KMNISTDataModule, MNISTDataModule
from vae_lightning.data.ppca import PPCADataModule
from vae_lightning.data.shards import ShardsDataModule
from vae_lightning.data.sprites import SpritesDataModule

__all__ = [
    "ArraysDataModule",
    "CIFAR10DataModule",
    "EMNISTDataModule",
    "FashionMNISTDataModule",
    "FreyFaceDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
    "PPCADataModule",
    "ShardsDataModule",
    "SpritesDataModule",
]
