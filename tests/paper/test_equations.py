"""Each equation against torch.distributions, a closed form, a limit, and against the others."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from vae_lightning import equations as eq

L, B, J, D = 5, 7, 3, 11


@pytest.fixture
def q():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(B, J, generator=generator, dtype=torch.float64)
    log_var = torch.randn(B, J, generator=generator, dtype=torch.float64)
    return mean, log_var


def draws(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_distribution(mean, log_var):
    return Independent(Normal(mean, (0.5 * log_var).exp()), 1)


def test_eq_3_is_log_likelihood_minus_kl():
    assert eq.lower_bound(torch.tensor([-80.0]), torch.tensor([25.0])).item() == -105.0


def test_eq_4_moves_and_stretches_the_noise(q):
    mean, log_var = q
    z = eq.reparameterise(mean, log_var, draws(L, B, J))
    expected = mean + torch.sqrt(torch.exp(log_var)) * draws(L, B, J)
    torch.testing.assert_close(z, expected)


def test_eq_4_has_the_moments_of_q(q):
    mean, log_var = q
    z = eq.reparameterise(mean, log_var, draws(200_000, B, J))
    torch.testing.assert_close(z.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(0), log_var.exp(), atol=0.02, rtol=0.02)


def test_eq_9_is_the_density_of_a_diagonal_gaussian(q):
    z = draws(L, B, J)
    torch.testing.assert_close(eq.log_qz_x(z, *q), as_distribution(*q).log_prob(z))


def test_the_prior_is_standard_normal():
    z = draws(L, B, J)
    torch.testing.assert_close(eq.log_pz(z), Normal(0, 1).log_prob(z).sum(-1))


def test_appendix_b_is_the_kl_of_torch(q):
    zero = torch.zeros(B, J, dtype=torch.float64)
    expected = kl_divergence(as_distribution(*q), as_distribution(zero, zero))
    torch.testing.assert_close(eq.kl_standard_normal(*q).sum(-1), expected)


def test_appendix_b_integrals_add_up_to_the_kl(q):
    mean, log_var = q
    kl = eq.expected_log_qz_x(log_var) - eq.expected_log_pz(mean, log_var)
    torch.testing.assert_close(kl, eq.kl_standard_normal(mean, log_var).sum(-1))


def test_appendix_b_integrals_are_expectations_and_entropy(q):
    mean, log_var = q
    z = eq.reparameterise(mean, log_var, draws(200_000, B, J))
    torch.testing.assert_close(eq.expected_log_pz(mean, log_var), eq.log_pz(z).mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(eq.expected_log_qz_x(log_var), -as_distribution(mean, log_var).entropy())


def test_the_kl_of_the_prior_to_itself_is_zero_and_of_nothing_else():
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert eq.kl_standard_normal(zero, zero).item() == 0
    assert eq.kl_standard_normal(zero + 0.1, zero).item() == pytest.approx(0.005)
    assert eq.kl_standard_normal(zero, zero + 0.1).item() > 0


def test_eq_6_and_eq_7_agree_in_expectation(q):
    mean, log_var = q
    z = eq.reparameterise(mean, log_var, draws(100_000, B, J))
    log_px_z = -(z - 0.3).square().sum(-1)
    a = eq.sgvb_a(log_px_z, eq.log_pz(z), eq.log_qz_x(z, mean, log_var))
    b = eq.sgvb_b(log_px_z, eq.kl_standard_normal(mean, log_var).sum(-1))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0)


def test_eq_6_is_exact_for_a_linear_gaussian_model():
    """p(x|z) = N(x; z, 1): with q the true posterior N(x/2, 1/2), every single draw gives log p(x) = log N(x; 0, 2)."""
    x = draws(B, 1)
    mean, log_var = x / 2, torch.full_like(x, math.log(0.5))
    z = eq.reparameterise(mean, log_var, draws(1, B, 1, seed=2))
    log_px_z = Normal(z, 1.0).log_prob(x).sum(-1)
    bound = eq.sgvb_a(log_px_z, eq.log_pz(z), eq.log_qz_x(z, mean, log_var))
    torch.testing.assert_close(bound, Normal(0.0, math.sqrt(2)).log_prob(x).sum(-1).double())


def test_eq_10_is_eq_7_with_the_closed_form(q):
    mean, log_var = q
    log_px_z = draws(L, B)
    expected = 0.5 * (1 + log_var - mean**2 - torch.exp(log_var)).sum(1) + log_px_z.mean(0)
    torch.testing.assert_close(eq.gaussian_sgvb(mean, log_var, log_px_z), expected)


def test_eq_8_scales_a_minibatch_to_the_data_set():
    assert eq.full_data_bound(torch.tensor([-1.0, -3.0]), num_data=10).item() == -20.0
    with pytest.raises(ValueError, match="num_data=0"):
        eq.full_data_bound(torch.tensor([-1.0]), num_data=0)


def test_eq_8_is_unbiased_over_all_minibatches():
    bounds = draws(12)
    estimates = [eq.full_data_bound(batch, num_data=12) for batch in bounds.split(4)]
    torch.testing.assert_close(torch.stack(estimates).mean(), bounds.sum())


def test_eq_11_is_torchs_bernoulli():
    logits, x = draws(L, B, D), torch.bernoulli(torch.full((B, D), 0.5, dtype=torch.float64))
    expected = Bernoulli(logits=logits).log_prob(x.expand(L, B, D)).sum(-1)
    torch.testing.assert_close(eq.bernoulli_log_px_z(x, logits.sigmoid()), expected)
    torch.testing.assert_close(eq.bernoulli_log_px_z_from_logits(x, logits), expected)


def test_eq_11_on_grey_values_is_minus_the_cross_entropy():
    logits, x = draws(L, B, D), torch.rand(B, D, dtype=torch.float64)
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x.expand(L, B, D), reduction="none").sum(
        -1
    )
    torch.testing.assert_close(eq.bernoulli_log_px_z_from_logits(x, logits), expected)
    torch.testing.assert_close(eq.bernoulli_log_px_z(x, logits.sigmoid()), expected)


def test_eq_11_on_logits_stays_finite_where_probabilities_do_not():
    x, logits = torch.ones(1, 1), torch.full((1, 1, 1), -200.0, requires_grad=True)
    value = eq.bernoulli_log_px_z_from_logits(x, logits)
    assert value.item() == pytest.approx(-200.0)
    assert eq.bernoulli_log_px_z(x, logits.sigmoid()).item() == -math.inf
    value.backward()
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(1.0)


def test_eq_11_sums_to_one_over_all_binary_images():
    logits = draws(1, 1, 4)
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)
    total = eq.bernoulli_log_px_z_from_logits(images, logits.expand(1, len(images), 4)).exp().sum()
    assert total.item() == pytest.approx(1.0)


def test_eq_12_is_torchs_gaussian():
    x, mean, log_var = draws(B, D), draws(L, B, D, seed=2), draws(L, B, D, seed=3)
    expected = Normal(mean, (0.5 * log_var).exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(eq.gaussian_log_px_z(x, mean, log_var), expected)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (eq.reparameterise, [(B, J), (B, J), (L, B, J)]),
        (eq.sgvb_a, [(L, B), (L, B), (L, B)]),
        (eq.sgvb_b, [(L, B), (B,)]),
        (eq.log_qz_x, [(L, B, J), (B, J), (B, J)]),
        (eq.log_pz, [(L, B, J)]),
        (eq.gaussian_sgvb, [(B, J), (B, J), (L, B)]),
        (eq.bernoulli_log_px_z_from_logits, [(B, D), (L, B, D)]),
        (eq.gaussian_log_px_z, [(B, D), (L, B, D), (L, B, D)]),
        (eq.expected_log_pz, [(B, J), (B, J)]),
        (eq.expected_log_qz_x, [(B, J)]),
        (eq.kl_standard_normal, [(B, J), (B, J)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_gradients_against_finite_differences(function, shapes):
    arguments = [draws(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(function, arguments)


def test_gradient_of_eq_11_on_probabilities():
    x, y = (
        torch.rand(B, D, dtype=torch.float64),
        (0.1 + 0.8 * torch.rand(L, B, D, dtype=torch.float64)).requires_grad_(),
    )
    assert torch.autograd.gradcheck(lambda y: eq.bernoulli_log_px_z(x, y), [y])


def test_a_wrong_shape_is_caught_by_the_shapes_in_the_signature():
    with pytest.raises(Exception, match=r"log_var|mean"):
        eq.kl_standard_normal(torch.zeros(2, 3), torch.zeros(3, 2))
