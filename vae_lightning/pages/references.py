"""Where each term of the bound stands in the paper and in the code; a test holds this against the docstrings."""

from dataclasses import dataclass

from vae_lightning.runs.run import Run


@dataclass(frozen=True)
class Reference:
    """`term` is a string of the page, `cited` what the docstring of `code` cites ("" where it is not from a paper)."""

    term: str
    cited: str
    code: str


ELBO = Reference("term_elbo", "Eq. (3)", "vae_lightning.equations.lower_bound")
KL = Reference("term_kl", "Appendix B", "vae_lightning.equations.kl_standard_normal")
POSTERIOR = Reference("term_posterior", "Eq. (9)", "vae_lightning.equations.log_qz_x")
SAMPLE = Reference("term_sample", "Eq. (4)", "vae_lightning.equations.reparameterise")
TRAINING = Reference("term_training", "Algorithm 1", "vae_lightning.module.VAE")

CITED = {
    "vae_lightning.loss.Bernoulli": "Eq. (11)",
    "vae_lightning.loss.BernoulliLogits": "Eq. (11)",
    "vae_lightning.loss.ContinuousBernoulli": "Loaiza-Ganem & Cunningham (2019)",
    "vae_lightning.loss.DiscretizedLogistic": "Salimans et al. (2017)",
    "vae_lightning.loss.FixedGaussian": "Eq. (12)",
    "vae_lightning.loss.Gaussian": "Eq. (12)",
    "vae_lightning.loss.Laplace": "",
    "vae_lightning.loss.OptimalGaussian": "Rybkin et al. (2021)",
    "vae_lightning.loss.SharedGaussian": "Eq. (12)",
    "vae_lightning.loss.SquaredError": "Eq. (12)",
    "vae_lightning.loss.UnboundedGaussian": "Eq. (12)",
    "vae_lightning.bound.Capacity": "Burgess et al. (2018)",
    "vae_lightning.bound.Elbo": "Eq. (7)",
    "vae_lightning.bound.ElboA": "Eq. (6)",
    "vae_lightning.bound.FreeBits": "Kingma et al. (2016)",
    "vae_lightning.bound.Iwae": "Burda et al. (2016)",
    "vae_lightning.bound.IwaeDreg": "Tucker et al. (2019)",
    "vae_lightning.bound.IwaeStl": "Roeder et al. (2017)",
    "vae_lightning.bound.Miwae": "Rainforth et al. (2018)",
}  # likelihood and bound by their class; one of somebody else's is named without a citation


def target(run: Run, part: str) -> str:
    """The class of a part of the run: `vae_lightning.loss.Bernoulli`."""
    return str((run.config.get(part) or {}).get("_target_", ""))


def references(run: Run) -> list[tuple[str, Reference]]:
    """(name of the metric it has a value in, or "", reference) in the order of the page."""
    likelihood, bound = (target(run, part) for part in ("loss", "bound"))
    return [
        ("elbo", ELBO),
        ("recon", Reference("term_likelihood", CITED.get(likelihood, ""), likelihood)),
        ("kl", KL),
        ("", POSTERIOR),
        ("", SAMPLE),
        ("bound", Reference("term_bound", CITED.get(bound, ""), bound)),
        ("loss", TRAINING),
    ]
