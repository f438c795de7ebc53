"""Encoders and decoders: pairs that return the parameters of distributions, nothing else. <-> conf/network/

B batch, J latent dims, P parameters per pixel, C H W image.
"""

from vae_lightning.network.common import Network
from vae_lightning.network.convolutional import Conv
from vae_lightning.network.dense import ACTIVATIONS, INITIALS, MLP, Linear
from vae_lightning.network.residual import ResNet

__all__ = ["ACTIVATIONS", "INITIALS", "MLP", "Conv", "Linear", "Network", "ResNet"]
