"""An evaluation for a person: the table on the terminal, and three figures."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from vae_lightning.evaluation.measure import Measured
from vae_lightning.evaluation.result import Result
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.words import fixed

FEW = 10  # effective samples; with fewer, a handful of draws carries the bound


def table(measured: Measured) -> str:
    """The table for the terminal, in 80 columns."""
    return "\n".join(lines(measured))


def lines(measured: Measured) -> Iterator[str]:
    source, nll = measured.source, measured["nll"]
    yield f"{about(measured)}: {nll.num_images:,} images, K = {nll.num_samples:,}, {source.checkpoint}"
    yield "nats per image, ± one standard error over images"
    yield ""
    yield row("ELBO = -(recon + KL)", measured["elbo"])
    yield row("  recon, distortion", measured["recon"])
    yield row("  KL, rate", measured["kl"])
    yield row("NLL, importance-weighted", nll)
    if "bits_per_dimension" in measured:
        yield row("  bits per dimension", measured["bits_per_dimension"], digits=4)
    if "quantised" in measured:
        images = f"   bits, first {measured['quantised'].num_images:,} images"
        yield row("  quantised to 256 levels", measured["quantised"], digits=4) + images
        yield row("  one Gaussian per pixel", measured["factorised"], digits=4) + images
    for k in measured.importance.bounds:
        yield row(f"  log p(x) >= L_K, K = {k:,}", measured[f"iwae_{k}"])
    for name, label in (("exact_log_px", "log p(x), exact"), ("ais", "AIS"), ("appendix_d", "Appendix D")):
        if name in measured:
            yield row(label, measured[name]) + same_images(measured, measured[name])
    yield f"{'effective samples, median':<28}{measured['effective_samples'].value:11.1f}  of {nll.num_samples:,}"
    yield f"{'active units':<28}{measured['active_units'].value:11d}  of {len(measured.kl_units)}"
    if measured.surgery:
        yield row("I(x; z)", measured["mutual_information"]) + f"   at most log N = {measured.surgery.most:.2f}"
        yield row("KL( q(z) || p(z) )", measured["marginal_kl"])
    else:
        yield f"{'I(x; z), KL( q(z) || p(z) )':<28}{'none':>11}   q(z) of a flow has no density here"
    yield from warnings(measured)


def row(label: str, result: Result, digits: int = 2) -> str:
    """A line of the table: label, value, standard error."""
    return f"{label:<28}{fixed(result.value, digits):>11} ± {result.standard_error:.{digits}f}"


def about(measured: Measured) -> str:
    """The data, their protocol and their split."""
    source = measured.source
    return f"{source.data}{' (bundled subset)' if source.subset else ''}, {source.protocol}, {source.split}"


def same_images(measured: Measured, result: Result) -> str:
    """The importance-weighted bound of the images of another, slower estimate."""
    bound = measured.importance.bounds[max(measured.importance.bounds)]
    if result.num_images == len(bound):
        return ""
    return f"   first {result.num_images} images; L_K there {float(bound[: result.num_images].mean()):.2f}"


def warnings(measured: Measured) -> Iterator[str]:
    """What a reader must know before quoting a number."""
    samples, effective = measured["nll"].num_samples or 1, measured.importance.effective_samples
    few = float(((effective < FEW) & (effective < samples / 2)).float().mean())
    if few > 0.5:
        yield from wrapped(
            f"warning: fewer than {FEW} effective samples on {few:.0%} of the images: the NLL is a loose upper bound; "
            "raise num_samples, or hold ais.num_images=100 against it"
        )
    if measured.surgery and measured["mutual_information"].value > 0.9 * measured.surgery.most:
        yield from wrapped(
            f"warning: I(x; z) is near log N, the most that {len(effective):,} images can show; any "
            "information beyond it counts as KL( q(z) || p(z) )"
        )


def wrapped(text: str) -> list[str]:
    """The text in lines of 80 columns."""
    return textwrap.wrap(text, 79, subsequent_indent="  ")


def figures(measured: Measured, folder: Path) -> None:
    """bound_over_k.png, kl_per_unit.png and effective_samples.png."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (
        ("bound_over_k", draw_bounds),
        ("kl_per_unit", draw_units),
        ("effective_samples", draw_effective_samples),
    ):
        figure = Figure(figsize=(7, 4), layout="constrained")
        draw(measured, figure.add_subplot())
        figure.suptitle(f"{about(measured)}, {measured['nll'].num_images:,} images", fontsize=10)
        with atomically(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=110)


def draw_bounds(measured: Measured, axes) -> None:
    """L_K against K, with the ELBO and every other estimate of log p(x) of the same images."""
    bounds = {k: measured[f"iwae_{k}"] for k in measured.importance.bounds}
    errors = [bound.standard_error for bound in bounds.values()]
    axes.errorbar(list(bounds), [bound.value for bound in bounds.values()], errors, marker="o", capsize=3, label="L_K")
    axes.axhline(measured["elbo"].value, color="C1", linestyle="--", label="ELBO")
    for name, label in (("exact_log_px", "exact log p(x)"), ("ais", "AIS"), ("appendix_d", "Appendix D")):
        if name in measured and measured[name].num_images == measured["nll"].num_images:
            axes.axhline(measured[name].value, color="black", linestyle=":", label=label)
    axes.set(xscale="log", xlabel="K, importance samples", ylabel="nats per image")
    axes.set_xticks(list(bounds), [f"{k:,}" for k in bounds], minor=False)
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def draw_units(measured: Measured, axes) -> None:
    """KL of each unit, largest first; inactive units are grey."""
    kl, units = measured.kl_units.sort(descending=True)
    colours = ["C0" if measured.active[unit] else "lightgrey" for unit in units]
    axes.bar(range(len(kl)), kl.tolist(), color=colours, width=0.9)
    labels = [f"z{unit + 1}" for unit in units.tolist()]
    axes.set_xticks(range(len(kl)), labels, rotation=90, fontsize=max(4, min(9, 300 // len(kl))))
    axes.set(
        ylabel="KL, nats", xlabel=f"latent units; {int(measured.active.sum())} of {len(kl)} are active, grey are not"
    )
    axes.grid(alpha=0.3, axis="y")


def draw_effective_samples(measured: Measured, axes) -> None:
    """A histogram over images: how many of the K weights carry the bound."""
    samples = measured["nll"].num_samples or 1
    effective = measured.importance.effective_samples.clamp(1, samples).log10()
    axes.hist(effective.tolist(), bins=40, color="C2")
    ticks = [k for k in (1, 10, 100, 1000, 10_000, 100_000) if k <= samples]
    axes.set_xticks([len(str(k)) - 1 for k in ticks], [f"{k:,}" for k in ticks])
    axes.set(xlabel=f"effective samples of K = {samples:,}", ylabel="images")
    axes.grid(alpha=0.3, axis="y")
