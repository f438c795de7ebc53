"""The card of an exported model, README.md: data, protocol, likelihood, ELBO, and ten lines that use the files."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vae_lightning.errors import printable
from vae_lightning.formats.common import Exported
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss.common import UNIT_INTERVAL
from vae_lightning.parts import facts
from vae_lightning.runs.configuration import NOT_THE_RUN, among, key_of
from vae_lightning.runs.readings import finite, mapping
from vae_lightning.runs.run import Run
from vae_lightning.version import __version__

PARTS = {"loss": "likelihood p(x|z)", "latent": "latent", "network": "network"}
METRICS = {"test/elbo": "test ELBO", "val/elbo": "validation ELBO"}
MEASURED = {"elbo": "ELBO", "nll": "NLL, importance-weighted"}
UNITS = [("units of x", "(data - mean) / scale; standard.json holds both, one number for each place of the vector")]
NORMAL = "N(0, I)"  # what the lines of `USE` that draw from a standard normal prior say


def card(
    model: Exported, run: Run | None, checkpoint: Mapping[str, str], check: str, use: str, standardised: bool
) -> str:
    """The text of the card. `check` says what the files were compared with, `use` are the lines of the format.

    `standardised` vectors come with a file of their mean and scale.
    """
    rows = [*of_model(model), *(UNITS if standardised else []), *(of_run(run, checkpoint) if run else [])]
    table = "".join(f"| {cell(name)} | {cell(value)} |\n" for name, value in rows)
    return (
        f"# {cell(run.name) if run else 'A variational auto-encoder'}\n\n"
        "A variational auto-encoder ([Kingma & Welling 2013](https://arxiv.org/abs/1312.6114)), exported by "
        f"vae_lightning {__version__}.\n\n"
        f"| | |\n|---|---|\n{table}\n"
        "The encoder maps x to the mean and the log variance of q(z|x), the decoder z to the mean of p(x|z).\n"
        f"{check}\n\n## Use\n\n```python\n{lines(model, use)}```\n"
    )


def of_model(model: Exported) -> Iterator[tuple[str, object]]:
    """What the parts of the model say of themselves, and the shape of its images."""
    for name, label in PARTS.items():
        yield label, title_of(getattr(model.vae, name))
    yield "x", f"float32 [B, {', '.join(map(str, model.image_shape))}], {values(model)}"
    yield "z", f"float32 [B, {model.vae.latent.dim}]"


def of_run(run: Run, checkpoint: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    """What the record and the evaluation of the run say, as far as they say it. ELBO and NLL are nats per image.

    A card is for others: it names no folder of this machine.
    """
    data = run.data
    named = [str(data[key]) for key in ("title", "protocol") if data.get(key)]
    yield "data", ", ".join([*named, *(["a subset"] if data.get("subset") else [])])
    for key, label in METRICS.items():
        if key in run.metrics:
            yield f"{label}, at the end of the training", f"{run.metrics[key]:.2f} nats per image"
    for row in run.evaluation:
        if row.get("name") in MEASURED and row.get("checkpoint_sha256") == checkpoint.get("sha256"):
            yield measured(row)
    words = [word for word in run.overrides if not among(key_of(word), (*NOT_THE_RUN, "logger"))]
    yield "trained by", f"`python -m vae_lightning.train {' '.join(words)}`"
    yield "epochs, seed", f"{run.epochs_done}, {run.seed}"
    yield "commit", mapping(run.record.get("git")).get("commit") or "unknown"
    yield "checkpoint", f"{checkpoint.get('name')}, SHA-256 {checkpoint.get('sha256')}"


def measured(row: Mapping[str, Any]) -> tuple[str, object]:
    """One number of `evaluate`: ("test NLL, importance-weighted, K = 5000", "91.72 ± 0.23 nats per image")."""
    value, error, samples = finite(row.get("value")), finite(row.get("standard_error")), row.get("num_samples")
    spread = "" if error is None else f" ± {error:.2f}"
    label = f"{row.get('split')} {MEASURED[row['name']]}, K = {samples}, {row.get('num_images')} images"
    return label, f"{value if value is None else f'{value:.2f}'}{spread} nats per image"


def title_of(part: object) -> str:
    """The title of a part, with its numbers in place of {braces}."""
    return re.sub(r"\{(\w+)\}", lambda found: str(getattr(part, found[1], found[0])), facts(part)["title"])


def values(model: Exported) -> str:
    """The values that x has."""
    loss: Any = model.vae.loss
    bounded = getattr(loss, "support", "") == UNIT_INTERVAL or getattr(loss, "link", "") == "sigmoid"
    return "in [0, 1]" if bounded else "numbers as in the training data"


def lines(model: Exported, use: str) -> str:
    """The lines of a format for this model. A learned prior is not in the files, so nothing is drawn from N(0, I)."""
    drawn = type(model.vae.latent) is DiagonalGaussian
    kept = "".join(line for line in use.splitlines(keepends=True) if drawn or NORMAL not in line)
    shape = ", ".join(map(str, model.image_shape))
    return kept.format(shape=shape, dim=model.vae.latent.dim, values=f"images, {values(model)}")


def cell(value: object) -> str:
    """A value in a table of Markdown: one line, and no mark that would end the cell or open a tag."""
    return re.sub(r"[|<>]", lambda found: f"\\{found[0]}", printable(value))
