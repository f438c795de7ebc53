"""The equations of *Auto-Encoding Variational Bayes* (Kingma & Welling, arXiv:1312.6114), one function each.

B batch (M in the paper), L samples of z per datapoint, J latent dims, D data dims. All values are in nats, one per
datapoint: sums run over D and J, never over B. Gradients flow through every argument.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def lower_bound(log_px_z: Float[Tensor, " B"], kl: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Implements Eq. (3): the evidence lower bound (ELBO), -KL( q(z|x) || p(z) ) + E_q[ log p(x|z) ].

    `log_px_z` is the expectation itself; `sgvb_b` estimates it from samples. Never weighted by beta.
    """
    return -kl + log_px_z


def reparameterise(
    mean: Float[Tensor, "B J"], log_var: Float[Tensor, "B J"], eps: Float[Tensor, "L B J"]
) -> Float[Tensor, "L B J"]:
    """Implements Eq. (4): z = g(eps, x) = mean + sigma * eps with eps ~ N(0, I), as in Eq. (10).

    All randomness is in `eps`, so z has gradients with respect to mean and log_var.
    """
    return mean + (0.5 * log_var).exp() * eps


def sgvb_a(
    log_px_z: Float[Tensor, "L B"], log_pz: Float[Tensor, "L B"], log_qz_x: Float[Tensor, "L B"]
) -> Float[Tensor, " B"]:
    """Implements Eq. (6): SGVB estimator A of the lower bound, 1/L sum_l [ log p(x, z_l) - log q(z_l|x) ].

    Needs no closed-form KL. With a closed form, `sgvb_b` has the same expectation and usually less variance.
    """
    return (log_px_z + log_pz - log_qz_x).mean(0)


def sgvb_b(log_px_z: Float[Tensor, "L B"], kl: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Implements Eq. (7): SGVB estimator B of the lower bound, -KL( q(z|x) || p(z) ) + 1/L sum_l log p(x|z_l)."""
    return lower_bound(log_px_z.mean(0), kl)


def full_data_bound(bound: Float[Tensor, " B"], num_data: int) -> Float[Tensor, ""]:
    """Implements Eq. (8): the bound of a data set of N points from a minibatch of M, N/M sum_i L(x_i).

    Raises ValueError when `num_data` < 1.
    """
    if num_data < 1:
        raise ValueError(f"num_data={num_data}: must be >= 1")
    return num_data * bound.mean()


def normal_log_density(
    value: Float[Tensor, "..."], mean: Float[Tensor, "..."], log_var: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """log N(value; mean, sigma^2) of each element, -1/2 ( log 2 pi + log sigma^2 + (value - mean)^2 / sigma^2 ).

    Eqs. (9) and (12) are products of this factor. The arguments broadcast.
    """
    return -0.5 * (LOG_2PI + log_var + (value - mean).square() * (-log_var).exp())


def log_qz_x(
    z: Float[Tensor, "L B J"], mean: Float[Tensor, "B J"], log_var: Float[Tensor, "B J"]
) -> Float[Tensor, "L B"]:
    """Implements Eq. (9): the posterior's log density, log q(z|x) = log N(z; mean, sigma^2 I)."""
    return normal_log_density(z, mean, log_var).sum(-1)


def log_pz(z: Float[Tensor, "L B J"]) -> Float[Tensor, "L B"]:
    """Implements the prior of Sec. 3: log p(z) = log N(z; 0, I)."""
    return normal_log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(-1)


def gaussian_sgvb(
    mean: Float[Tensor, "B J"],
    log_var: Float[Tensor, "B J"],
    log_px_z: Float[Tensor, "L B"],
    beta: float | Tensor = 1.0,
) -> Float[Tensor, " B"]:
    """Implements Eq. (10): the estimator of the VAE, Eq. (7) with the KL of Appendix B in closed form.

    beta/2 sum_j (1 + log sigma_j^2 - mean_j^2 - sigma_j^2) + 1/L sum_l log p(x|z_l)

    The paper has beta = 1. Any other beta weights the KL (Higgins et al. 2017), and the value is no lower bound.
    """
    return sgvb_b(log_px_z, beta * kl_standard_normal(mean, log_var).sum(-1))


def bernoulli_log_px_z(x: Float[Tensor, "B D"], y: Float[Tensor, "L B D"]) -> Float[Tensor, "L B"]:
    """Implements Eq. (11): log p(x|z) = sum_i x_i log y_i + (1 - x_i) log(1 - y_i), y the probabilities.

    y lies strictly between 0 and 1: at y_i = 0 it is -inf for x_i > 0 and NaN for x_i = 0. For x strictly inside (0, 1)
    it is minus the cross entropy, the convention for grey MNIST, not a log-probability.
    """
    return (x * y.log() + (1 - x) * (1 - y).log()).sum(-1)


def bernoulli_log_px_z_from_logits(x: Float[Tensor, "B D"], logits: Float[Tensor, "L B D"]) -> Float[Tensor, "L B"]:
    """Implements Eq. (11) with its sigmoid, y = 1 / (1 + exp(-logits)): sum_i x_i logits_i - log(1 + exp(logits_i)).

    Finite for every finite logit; the form on probabilities is not. Each pixel is written as the log-probability of
    its likelier value, which is at least log 1/2, plus (x_i - that value) logits_i. This needs no log1p, which costs
    as much as a matrix product on a processor without a fast one.
    """
    sign = torch.ones_like(logits).copysign(logits.detach())  # the likelier value is (sign + 1) / 2
    return torch.addcmul((sign * logits).sigmoid().log(), x - (sign + 1) / 2, logits).sum(-1)


def gaussian_log_px_z(
    x: Float[Tensor, "B D"], mean: Float[Tensor, "L B D"], log_var: Float[Tensor, "..."]
) -> Float[Tensor, "L B"]:
    """Implements Eq. (12): log p(x|z) = log N(x; mean, sigma^2 I). `log_var` is [L, B, D], or broadcasts to it."""
    return normal_log_density(x, mean, log_var).sum(-1)


def expected_log_pz(mean: Float[Tensor, "B J"], log_var: Float[Tensor, "B J"]) -> Float[Tensor, " B"]:
    """Implements Appendix B, first integral: E_q[ log p(z) ] = -J/2 log 2 pi - 1/2 sum_j (mean_j^2 + sigma_j^2)."""
    return -0.5 * (LOG_2PI + mean.square() + log_var.exp()).sum(-1)


def expected_log_qz_x(log_var: Float[Tensor, "B J"]) -> Float[Tensor, " B"]:
    """Implements Appendix B, second integral: E_q[ log q(z|x) ] = -J/2 log 2 pi - 1/2 sum_j (1 + log sigma_j^2).

    Minus the entropy of q(z|x).
    """
    return -0.5 * (LOG_2PI + 1 + log_var).sum(-1)


def kl_standard_normal(mean: Float[Tensor, "B J"], log_var: Float[Tensor, "B J"]) -> Float[Tensor, "B J"]:
    """Implements Appendix B: KL( N(mean, sigma^2) || N(0, 1) ) of each latent unit.

    -1/2 (1 + log sigma^2 - mean^2 - sigma^2)

    The KL of Eqs. (3), (7) and (10) is its sum over J. Not the KL to a learned prior.
    """
    return -0.5 * (1 + log_var - mean.square() - log_var.exp())
