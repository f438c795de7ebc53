"""What the formats share: encoder and decoder as modules of their own, and the check of the files against torch.

B batch, J latent dims, C H W image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vae_lightning.checkpoint import first_line
from vae_lightning.errors import ConfigError
from vae_lightning.module import VAE

Encode = Callable[[Tensor], Sequence[Any]]
Decode = Callable[[Tensor], Any]
FILES = ("encoder", "decoder")


class Encoder(nn.Module):
    """x [B, C, H, W] -> mean and log_var of q(z|x), both [B, J]."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.network, self.latent = vae.network, vae.latent

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.latent.posterior(self.network.encode(x))
        return posterior.mean, posterior.log_var


class Decoder(nn.Module):
    """z [B, J] -> E[x|z], [B, C, H, W]."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.network, self.loss = vae.network, vae.loss

    def forward(self, z: Tensor) -> Tensor:
        return self.loss.mean(self.network.decode(z))


@dataclass(frozen=True)
class Exported:
    """A model on the processor, the shape of its images, and what it was built from (empty if nobody knows)."""

    vae: VAE
    image_shape: Sequence[int]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sides(self) -> dict[str, tuple[nn.Module, str, Tensor]]:
        """{file: (module, name of its input, an example of the input)}; a batch of one would fix the size."""
        x = torch.full((3, *self.image_shape), 0.5)
        z = torch.zeros(3, self.vae.latent.dim)
        return {"encoder": (Encoder(self.vae).eval(), "x", x), "decoder": (Decoder(self.vae).eval(), "z", z)}


def program(name: str, side: nn.Module, argument: str, example: Tensor) -> torch.export.ExportedProgram:
    """The graph of an encoder or a decoder, for a batch of any size.

    Raises ConfigError if torch cannot follow the network.
    """
    try:
        shapes = {argument: {0: torch.export.Dim("batch")}}
        with torch.no_grad():
            return torch.export.export(side, (example,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # a network of one's own may fail in any way
        raise ConfigError(
            f"network={type(getattr(side, 'network', side)).__name__}: torch.export cannot follow its {name} "
            f"({type(error).__name__}: {first_line(error)}); format=safetensors needs no graph"
        ) from error


@torch.no_grad()
def differences(vae: VAE, encode: Encode, decode: Decode, x: Tensor) -> tuple[float, float]:
    """The largest differences of an encoder and of a decoder from torch's, on one image and on all of them.

    The difference of a value beyond 1 is relative to the value. It is nan if a value is not a number.
    """
    ours, decoder = Encoder(vae).eval(), Decoder(vae).eval()
    encoders, decoders = [], []
    for part in (x[:1], x):
        mean, log_var = ours(part)
        encoders += [apart(a, b) for a, b in zip((mean, log_var), encode(part), strict=True)]
        decoders.append(apart(decoder(mean), decode(mean)))
    return largest(encoders), largest(decoders)


def apart(ours: Tensor, theirs: Any) -> float:
    """The largest difference of two arrays; infinite if their shapes differ."""
    other = torch.as_tensor(theirs).double()
    if other.shape != ours.shape:
        return float("inf")
    return float(((ours.double() - other).abs() / ours.double().abs().clamp(min=1)).max())


def largest(values: Sequence[float]) -> float:
    """The largest of some numbers; nan if one of them is."""
    return float(torch.tensor(values).max())
