"""Where each term of the bound stands in the paper and in the code."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vae_lightning import equations
from vae_lightning.module import VAE
from vae_lightning.pages.run.facts import class_of
from vae_lightning.runs.readings import mapping, text
from vae_lightning.runs.run import Run


@dataclass(frozen=True)
class Reference:
    """`term` is a key of the page's words, `code` a dotted name, `says` the first paragraph of its docstring.

    `cited` is the place in a paper: "" if there is none, None if it is unknown.
    """

    term: str
    cited: str | None
    code: str
    says: str


def fixed(term: str, cited: str, code: Any) -> Reference:
    """The reference of a term that every run has."""
    says = " ".join((inspect.getdoc(code) or "").partition("\n\n")[0].split())
    return Reference(term, cited, f"{code.__module__}.{code.__qualname__}", says)


def chosen(term: str, run: Run, parts: Mapping[str, Any], part: str) -> Reference:
    """The reference of a term whose class the run chose, as the facts of the run say it."""
    facts = mapping(parts.get(part))
    cited = facts.get("cited")
    return Reference(
        term, cited if isinstance(cited, str) else None, class_of(run, part), text(facts.get("says")) or ""
    )


ELBO = fixed("term_elbo", "Eq. (3)", equations.lower_bound)
KL = fixed("term_kl", "Appendix B", equations.kl_standard_normal)
POSTERIOR = fixed("term_posterior", "Eq. (9)", equations.log_qz_x)
SAMPLE = fixed("term_sample", "Eq. (4)", equations.reparameterise)
TRAINING = fixed("term_training", "Algorithm 1", VAE)


def references(run: Run, parts: Mapping[str, Any]) -> list[tuple[str, Reference]]:
    """(the metric that is its value, or "", reference) in the order of the page. `parts` are the facts of the parts."""
    return [
        ("elbo", ELBO),
        ("recon", chosen("term_likelihood", run, parts, "loss")),
        ("kl", KL),
        ("", POSTERIOR),
        ("", SAMPLE),
        ("bound", chosen("term_bound", run, parts, "bound")),
        ("loss", TRAINING),
    ]
