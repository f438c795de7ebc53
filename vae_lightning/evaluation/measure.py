"""All the numbers of one model on one set of images, each as a `Result`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import linear_gaussian
from vae_lightning.evaluation.annealed import ais_log_px
from vae_lightning.evaluation.appendix_d import appendix_d_log_px, check_dims
from vae_lightning.evaluation.importance import ImportanceWeighted, importance_weighted
from vae_lightning.evaluation.latent_space import Surgery, posterior_of, surgery
from vae_lightning.evaluation.quantised import factorised_bits, quantised_bits
from vae_lightning.evaluation.result import Result, Source, bootstrap, sha256
from vae_lightning.latent import active_units
from vae_lightning.latent.common import has_closed_kl
from vae_lightning.loss import bits_per_dimension
from vae_lightning.model import Model

BITS = "bits per dimension"


@dataclass(frozen=True)
class Measured:
    """The results, and the values per image and per unit for the figures."""

    results: list[Result]
    importance: ImportanceWeighted
    kl_units: Float[Tensor, " J"]
    active: Tensor
    surgery: Surgery | None  # None: the mixture of the posteriors has no density that can be computed
    source: Source

    def __getitem__(self, name: str) -> Result:
        return next(result for result in self.results if result.name == name)

    def __contains__(self, name: str) -> bool:
        return any(result.name == name for result in self.results)


@torch.no_grad()
def measure(
    model: Model,
    x: Float[Tensor, "N C H W"],
    source: Source,
    num_samples: int = 5000,
    curve: Sequence[int] = (1, 10, 100, 1000),
    rows: int = 512,
) -> Measured:
    """The numbers that every model has: ELBO, its terms, importance-weighted bounds, active units, information."""
    checksum, images, seed = sha256(x), len(x), source.seed
    posterior = posterior_of(model, x)
    weighted = importance_weighted(model, x, num_samples, curve, seed, rows, progress=True)
    closed, units, active = has_closed_kl(model.latent), posterior.kl(), active_units(posterior.mean)
    kl, parts = units.sum(1) if closed else weighted.kl, None
    if closed or posterior.is_gaussian:
        parts = surgery(posterior, seed, prior=None if closed else model.prior)

    def result(name: str, value: Any, error: float | None, unit: str, samples: int | None) -> Result:
        return Result(name, value, error, unit, samples, images, checksum, source)

    def mean(name: str, values: Tensor, samples: int | None) -> Result:
        return result(name, float(values.double().mean()), bootstrap(values, seed), "nats", samples)

    nll = mean("nll", -weighted.bounds[num_samples], num_samples)
    results = [
        mean("elbo", -(weighted.recon + kl), num_samples),
        mean("recon", weighted.recon, num_samples),
        mean("kl", kl, None if closed else num_samples),
        nll,
        *(mean(f"iwae_{k}", values, k) for k, values in weighted.bounds.items()),
        result("effective_samples", float(weighted.effective_samples.median()), None, "samples", num_samples),
        result("active_units", int(active.sum()), None, "units", None),
        result("kl_per_unit", units.mean(0).tolist(), None, "nats", None),
    ]
    if parts:
        results += [mean("mutual_information", parts.information, 1), mean("marginal_kl", parts.marginal_kl, 1)]
    levels, dims = getattr(model.loss, "levels", None), x[0].numel()
    if levels:  # a mass function; a density has no bits
        bits, error = (bits_per_dimension(each, dims) for each in (nll.value, nll.standard_error or 0.0))
        results.append(result("bits_per_dimension", bits, error, BITS, num_samples))
    truth = linear_gaussian.of(model.network, model.loss, model.latent)
    if truth:
        results.append(mean("exact_log_px", truth.log_px(x.flatten(1).cpu()), None))
    return Measured(results, weighted, units.mean(0), active, parts, source)


@dataclass(frozen=True)
class Estimate:
    """An estimate that is asked for, of the first `num_images` images, and its settings."""

    name: str
    estimator: Callable[..., Tensor]
    num_images: int
    settings: dict[str, int]
    unit: str = "nats"


ESTIMATORS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "ais": (ais_log_px, "nats"),
    "appendix_d": (appendix_d_log_px, "nats"),
    "quantised": (quantised_bits, BITS),
}


def chosen(asked: Mapping[str, Mapping[str, int]], latent_dim: int) -> list[Estimate]:
    """The estimates with `num_images` > 0. Raises ConfigError where the latent space is too large for one."""
    estimates = []
    for name, options in asked.items():
        (estimator, unit), settings = ESTIMATORS[name], dict(options)
        if number := settings.pop("num_images"):
            estimates.append(Estimate(name, estimator, number, settings, unit))
    if any(estimate.name == "appendix_d" for estimate in estimates):
        check_dims(latent_dim)
    return estimates


def estimated(estimate: Estimate, model: Model, x: Float[Tensor, "N C H W"], source: Source) -> Result:
    """The result of one such estimate."""
    x, settings = x[: estimate.num_images], estimate.settings
    values = estimate.estimator(model, x, **settings, seed=source.seed, progress=True)
    samples = settings["num_samples"] if "num_samples" in settings else settings["num_chains"]
    return averaged(estimate.name, values, estimate.unit, samples, x, source, settings)


def factorised(train: Tensor, x: Float[Tensor, "N C H W"], source: Source) -> Result:
    """The bits of one Gaussian per pixel, which `quantised` is held against."""
    return averaged("factorised", factorised_bits(train, x), BITS, None, x, source, {})


def averaged(
    name: str,
    values: Float[Tensor, " N"],
    unit: str,
    samples: int | None,
    x: Tensor,
    source: Source,
    settings: dict[str, int],
) -> Result:
    """The mean over the images x of what was estimated for each of them."""
    value, error = float(values.double().mean()), bootstrap(values, source.seed)
    return Result(name, value, error, unit, samples, len(x), sha256(x), source, settings)
