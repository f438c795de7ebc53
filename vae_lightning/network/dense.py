"""Networks that see an image as a row of numbers. <-> conf/network/ (shapes: `vae_lightning.network`)"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from vae_lightning.rules import Count, check, one_of, wholes
from vae_lightning.shapes import Encoded, Image, Params


def normal_(parameter: Tensor) -> None:
    """Implements Appendix C: every weight and bias from N(0, 0.01).

    0.01 is read as the standard deviation, as in the authors' later code.
    """
    nn.init.normal_(parameter, std=0.01)


def glorot_(parameter: Tensor) -> None:
    """Follows Glorot & Bengio (2010): uniform weights of variance 2 / (inputs + outputs), zero biases."""
    nn.init.xavier_uniform_(parameter) if parameter.ndim == 2 else nn.init.zeros_(parameter)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
INITIALS: dict[str, Callable[[Tensor], Any]] = {
    "torch": lambda parameter: None,  # nn.Linear's own initial weights stay
    "normal": normal_,
    "glorot": glorot_,
}


class Dense(nn.Module):
    """What dense networks share: the sizes, and the way from an image to a row of numbers and back.

    A final class makes `encoder`, from C H W numbers to 2 J, and `decoder`, from J numbers to P C H W.
    """

    encoder: Any
    decoder: Any

    def __init__(self, image_shape: Sequence[int], latent_dim: int, num_parameters: int) -> None:
        super().__init__()
        self.image_shape, self.latent_dim, self.num_parameters = list(image_shape), latent_dim, num_parameters
        self.inputs, self.outputs = math.prod(image_shape), num_parameters * math.prod(image_shape)

    def encode(self, x: Image) -> Encoded:
        """The parameters of q(z|x): mean and log_var side by side."""
        return self.encoder(x.flatten(-3))

    def decode(self, z: Float[Tensor, "*batch J"]) -> Params:
        """The parameters of p(x|z) at every pixel."""
        return self.decoder(z).unflatten(-1, (self.num_parameters, *self.image_shape))


class MLP(Dense):
    """Implements Appendix C with any number of layers: dense layers with an activation after each hidden one.

    `hidden` lists the units of the encoder's hidden layers; one number means one layer. The decoder mirrors the
    encoder: hidden=[400, 200] is 784-400-200-z-200-400-784. `activation` is a key of ACTIVATIONS, `initial` of
    INITIALS: "torch" as in the PyTorch example, "normal" as in the paper, "glorot" as in Burda et al. (2016).
    Raises ConfigError when a size is not a whole number >= 1, and for an unknown key.
    """

    title: ClassVar[str] = "A dense network of {hidden} {activation} units on each side"

    def __init__(
        self,
        image_shape: Annotated[Sequence[int], wholes(1)],
        latent_dim: Count,
        num_parameters: Count = 1,
        hidden: Annotated[Sequence[int] | int, wholes(1)] = (400,),
        activation: Annotated[str, one_of(ACTIVATIONS)] = "relu",
        initial: Annotated[str, one_of(INITIALS)] = "torch",
    ) -> None:
        super().__init__(image_shape, latent_dim, num_parameters)
        self.hidden, self.activation, self.initial = hidden, activation, initial
        check(self, "network")
        self.hidden = sizes = as_list(hidden)
        self.encoder = stack(self.inputs, *sizes, 2 * latent_dim, activation=ACTIVATIONS[activation]())
        self.decoder = stack(latent_dim, *sizes[::-1], self.outputs, activation=ACTIVATIONS[activation]())
        for parameter in self.parameters():
            INITIALS[initial](parameter)


class Linear(Dense):
    """Follows Tipping & Bishop (1999): one affine map on each side; with `UnboundedGaussian` the model is PPCA."""

    title: ClassVar[str] = "One affine map on each side"

    def __init__(
        self, image_shape: Annotated[Sequence[int], wholes(1)], latent_dim: Count, num_parameters: Count = 1
    ) -> None:
        super().__init__(image_shape, latent_dim, num_parameters)
        check(self, "network")
        self.encoder = nn.Linear(self.inputs, 2 * latent_dim)
        self.decoder = nn.Linear(latent_dim, self.outputs)


def as_list(sizes: Sequence[int] | int) -> list[int]:
    """One number as a list."""
    return [sizes] if isinstance(sizes, int) else list(sizes)


def stack(*sizes: int, activation: nn.Module) -> nn.Sequential:
    """Linear layers from size to size, with the activation between two layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation]
    return nn.Sequential(*layers[:-1])
