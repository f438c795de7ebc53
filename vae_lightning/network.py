"""Encoders and decoders: pairs that return the parameters of distributions, nothing else. <-> conf/network/

B batch, L samples, J latent dims, P parameters per pixel, C H W image. Constructor arguments stay readable as
attributes of the same name: that is how a checkpoint knows what to rebuild.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class Network(Protocol):
    """What the bound and the module ask of an encoder-decoder pair."""

    def encode(self, x: Tensor) -> Tensor: ...
    def decode(self, z: Tensor) -> Tensor: ...


class MLP(nn.Module):
    """Follows the PyTorch example: one hidden layer on each side, 784-400-z-400-784 with ReLU.

    Raises ValueError where a size is not a whole number >= 1.
    """

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int, num_parameters: int = 1, hidden_dim: int | None = None
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_dim, self.num_parameters = list(image_shape), latent_dim, num_parameters
        self.hidden_dim = 400 if hidden_dim is None else hidden_dim
        size = math.prod(image_shape)
        self.encoder = stack(size, self.hidden_dim, 2 * latent_dim, activation=nn.ReLU())
        self.decoder = stack(latent_dim, self.hidden_dim, num_parameters * size, activation=nn.ReLU())

    def encode(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B params"]:
        """The parameters of q(z|x): mean and log_var side by side."""
        return self.encoder(x.flatten(-3))

    def decode(self, z: Float[Tensor, "... J"]) -> Float[Tensor, "... P C H W"]:
        """The parameters of p(x|z) at every pixel."""
        return self.decoder(z).unflatten(-1, (self.num_parameters, *self.image_shape))


class PaperMLP(nn.Module):
    """Implements Appendix C as in the experiments: one tanh layer of 500 units each, all parameters from N(0, 0.01).

    0.01 is read as the standard deviation, as in the authors' later code. Raises ValueError as `MLP` does.
    """

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int, num_parameters: int = 1, hidden_dim: int | None = None
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_dim, self.num_parameters = list(image_shape), latent_dim, num_parameters
        self.hidden_dim = 500 if hidden_dim is None else hidden_dim
        size = math.prod(image_shape)
        self.encoder = stack(size, self.hidden_dim, 2 * latent_dim, activation=nn.Tanh())
        self.decoder = stack(latent_dim, self.hidden_dim, num_parameters * size, activation=nn.Tanh())
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.01)

    def encode(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B params"]:
        """The parameters of q(z|x): mean and log_var side by side."""
        return self.encoder(x.flatten(-3))

    def decode(self, z: Float[Tensor, "... J"]) -> Float[Tensor, "... P C H W"]:
        """The parameters of p(x|z) at every pixel."""
        return self.decoder(z).unflatten(-1, (self.num_parameters, *self.image_shape))


class IwaeMLP(nn.Module):
    """Follows Burda et al. (2016), one stochastic layer: two tanh layers of 200 units each, Glorot & Bengio's initial
    weights, zero biases.

    Raises ValueError as `MLP` does.
    """

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int, num_parameters: int = 1, hidden_dim: int | None = None
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_dim, self.num_parameters = list(image_shape), latent_dim, num_parameters
        self.hidden_dim = hidden = 200 if hidden_dim is None else hidden_dim
        size = math.prod(image_shape)
        self.encoder = stack(size, hidden, hidden, 2 * latent_dim, activation=nn.Tanh())
        self.decoder = stack(latent_dim, hidden, hidden, num_parameters * size, activation=nn.Tanh())
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter) if parameter.ndim == 2 else nn.init.zeros_(parameter)

    def encode(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B params"]:
        """The parameters of q(z|x): mean and log_var side by side."""
        return self.encoder(x.flatten(-3))

    def decode(self, z: Float[Tensor, "... J"]) -> Float[Tensor, "... P C H W"]:
        """The parameters of p(x|z) at every pixel."""
        return self.decoder(z).unflatten(-1, (self.num_parameters, *self.image_shape))


class Linear(nn.Module):
    """One affine map on each side: with `UnboundedGaussian` the model is probabilistic PCA (Tipping & Bishop 1999)."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int, num_parameters: int = 1) -> None:
        super().__init__()
        self.image_shape, self.latent_dim, self.num_parameters = list(image_shape), latent_dim, num_parameters
        size = math.prod(image_shape)
        self.encoder = nn.Linear(size, 2 * latent_dim)
        self.decoder = nn.Linear(latent_dim, num_parameters * size)

    def encode(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B params"]:
        """The parameters of q(z|x): mean and log_var side by side."""
        return self.encoder(x.flatten(-3))

    def decode(self, z: Float[Tensor, "... J"]) -> Float[Tensor, "... P C H W"]:
        """The parameters of p(x|z) at every pixel."""
        return self.decoder(z).unflatten(-1, (self.num_parameters, *self.image_shape))


def stack(*sizes: int, activation: nn.Module) -> nn.Sequential:
    """Linear layers from size to size, the activation between each two."""
    if not isinstance(sizes[1], int) or sizes[1] < 1:
        raise ValueError(f"hidden_dim={sizes[1]}: must be a whole number >= 1")
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation]
    return nn.Sequential(*layers[:-1])
