"""Full variational Bayes: a Gaussian over the weights of the decoder as well as over z.

B batch, L samples, J latent dims. Nats.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vae_lightning import equations
from vae_lightning.errors import ConfigError
from vae_lightning.model import Model
from vae_lightning.network import Network
from vae_lightning.paper.drawing import DrawingVAE
from vae_lightning.rules import Count, Positive, check
from vae_lightning.sums import REDUCE, sums_of


class FullVB(DrawingVAE):
    """Implements Appendix F, Algorithm 2: q(theta) = N(mean, sigma^2 I) over the decoder's weights, p(theta) = N(0, I).

    A step draws one theta for the batch and one z for each data point. It maximises the bound of log p(X) per point,

        L(x) - KL( q(theta) || p(theta) ) / N,  N = `num_data`, the number of training images.

    The KL of the weights is the closed form of Appendix B in place of the appendix's samples; the expectation is the
    same. `sigma` is the first standard deviation of each weight. Outside of training theta is its mean. The weights of
    `decoder` in the network are the means. Raises ConfigError when a number breaks its rule, and for a network without
    a module `decoder`.
    """

    key: ClassVar[str] = "theta"

    def __init__(self, num_data: Count = 50_000, sigma: Positive = 0.01, **options: Any) -> None:
        self.num_data, self.sigma = num_data, sigma
        check(self, "paper")
        super().__init__(**options)
        if not isinstance(getattr(self.network, "decoder", None), nn.Module):
            name = type(self.network).__name__
            raise ConfigError(
                f"paper=full_vb: network {name} has no module `decoder`, whose weights theta are; add one"
            )
        self.save_hyperparameters({"num_data": num_data, "sigma": sigma})
        log_var = 2 * math.log(sigma)
        self.weight_log_var = nn.ParameterList(torch.full_like(mean, log_var) for mean in self.means().values())

    def means(self) -> dict[str, nn.Parameter]:
        """{name: mean of q(theta)}, the weights of the decoder."""
        decoder: Any = self.network.decoder  # type: ignore[attr-defined]
        return dict(decoder.named_parameters())

    def objective(self, x: Tensor, eps: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
        """Minus the bound with theta ~ q(theta), and the batch's sums. Without gradients: the ELBO of the mean."""
        if not torch.is_grad_enabled():
            return super().objective(x, eps, beta)
        model = Model(Drawn(self.network, self.theta()), self.latent, self.loss)
        terms = self.bound(model.draw(x, eps, self.bound.chunk), beta)
        objective = terms.objective + self.weight_kl() / self.num_data
        return REDUCE[self.reduction](objective), sums_of(replace(terms, objective=objective))

    def theta(self) -> dict[str, Tensor]:
        """theta = mean + sigma * zeta, Eq. (4) for the weights."""
        noise = self.further()
        drawn = {}
        for (name, mean), log_var in zip(self.means().items(), self.weight_log_var, strict=True):
            zeta = torch.randn(mean.shape, generator=noise, device=mean.device)
            drawn[name] = mean + (0.5 * log_var).exp() * zeta
        return drawn

    def weight_kl(self) -> Tensor:
        """KL( q(theta) || N(0, I) ), the sum over all weights."""
        pairs = zip(self.means().values(), self.weight_log_var, strict=True)
        return torch.stack(
            [equations.kl_standard_normal(mean.view(1, -1), log_var.view(1, -1)).sum() for mean, log_var in pairs]
        ).sum()


class Drawn:
    """A network whose decoder has other weights."""

    def __init__(self, network: Network, weights: Mapping[str, Tensor]) -> None:
        self.network, self.decoding = network, Decoding(network)
        self.weights = {f"network.decoder.{name}": value for name, value in weights.items()}

    def encode(self, x: Tensor) -> Tensor:
        return self.network.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        return functional_call(self.decoding, self.weights, (z,))


class Decoding(nn.Module):
    """The decoder of a network as a module of its own."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> Tensor:
        return self.network.decode(z)
