"""What the model asks of a network."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Network(Protocol):
    """An encoder and a decoder. In `VAE` it is also a `torch.nn.Module`.

    `encode` maps x [B, C, H, W] to the parameters of q(z|x), [B, latent.num_parameters]. `decode` maps z [..., J] to
    the parameters of p(x|z) at every pixel, [..., P, C, H, W], P = loss.num_parameters.
    """

    def encode(self, x: Tensor) -> Tensor: ...
    def decode(self, z: Tensor) -> Tensor: ...
