"""The data of the latent explorer: decoder and encoder as numbers, encoded test points, images to pick, or a plane.

N images, J latent dims, C H W image. Nats.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vae_lightning.data.images import first_images
from vae_lightning.errors import DataError
from vae_lightning.evaluation.latent_space import Codes, posterior_of
from vae_lightning.latent import active_units
from vae_lightning.latent.common import has_closed_kl
from vae_lightning.latent.vamp import Mixture
from vae_lightning.model import Model
from vae_lightning.noise import generator
from vae_lightning.pages.explorer import beforehand, export
from vae_lightning.pages.explorer.layers import Inexpressible, packed
from vae_lightning.pages.explorer.prior import LIMIT, exported_prior, mixture, reach
from vae_lightning.pages.explorer.ranges import fits_half, is_vector, tolerated, undo, value_range

MOST_POINTS, MOST_NUMBERS = 1000, 60_000  # encoded test points, and all their coordinates
NUM_PICKS = 12
KEYS = ("decoder", "encoder", "plane", "stills", "pictures", "points", "picks")  # None where there is no such thing
KEYS += ("why", "why_encoder", "drawn_as", "undo", "prior")


@dataclass(frozen=True)
class Images:
    """Test images x [N, C, H, W], their labels [N] or None, the names of the classes, and how a drawing becomes x.

    `drawn_as` is None if nothing can be drawn. Else it says whether x is black and white, and the side of the box that
    a drawing is fitted into. `undo` maps standardised vectors back, and `standard` is the mean and the scale of that.
    """

    x: Tensor
    labels: Tensor | None
    classes: list[str]
    drawn_as: dict[str, Any] | None
    standard: Any = None


def images_of(data: Any) -> Images:
    """The first test images of a data module, with labels and class names if it has them.

    Raises DataError if the data module has no `images(split)`.
    """
    if not hasattr(data, "images"):
        raise DataError(f"{type(data).__name__} has no method images(split).")
    x = first_images(data, "test", MOST_POINTS)
    labels = data.labels("test")[:MOST_POINTS] if hasattr(data, "labels") else None
    if labels is not None and int(labels.max()) == 0:
        labels = None
    binary = str(getattr(data, "protocol", "grey")) in ("threshold", "static", "dynamic")
    drawable = x.shape[1] == 1 and min(x.shape[2:]) >= 16 and bool(x.min() >= 0 and x.max() <= 1)
    box = 20 if getattr(data, "name", "") == "mnist" else min(x.shape[2:])  # LeCun et al.: 20 x 20, centre of mass
    drawn_as = {"binary": binary, "box": box, "centred": box == 20} if drawable else None
    standard = getattr(data, "standard", None) if getattr(data, "standardise", False) is True else None
    return Images(x, labels, list(getattr(data, "class_names", [])), drawn_as, standard)


@torch.no_grad()
def explorer(model: Model, images: Images | None, kl: list[float] | None, image_shape: list[int]) -> dict[str, Any]:
    """All data as plain values. `kl` is the KL of each unit; it is measured anew if there are images."""
    dims = model.latent.dim
    posterior = posterior_of(model, images.x) if images else None
    nats = posterior.kl().mean(0).tolist() if posterior else (kl or [0.0] * dims)
    order = sorted(range(dims), key=lambda unit: -nats[unit])
    active = active_units(posterior.mean).tolist() if posterior else [value > 0.01 for value in nats]
    values: dict[str, Any] = {"dims": dims, "order": order, "kl": nats, "active": active, "shape": image_shape}
    prior, closed = mixture(model), has_closed_kl(model.latent)
    values |= {
        "limit": reach(prior),
        "closed_kl": closed,
        **exported_prior(prior, exact=isinstance(model.prior, Mixture)),
    }
    z = some_points(posterior, dims, values["limit"])
    values |= {"range": value_range(model, images.x if images else None, z)}
    values |= {"bits": 32 if is_vector(image_shape) and not fits_half(*values["range"]) else 16}
    values |= {"undo": undo(images.x, images.standard) if images else None}
    values |= decoder_or_plane(model, z, order, values["range"])
    means = None
    if images is not None and posterior is not None:
        chosen = chosen_images(images, NUM_PICKS if "decoder" in values else beforehand.ends(image_shape))
        means = posterior.mean[chosen]
        values |= points(images, posterior) | picks(images, posterior, values["bits"], chosen)
        values |= encoder_or_reason(model, images, values, closed or posterior.is_gaussian)
    if "plane" in values:
        values |= {"stills": beforehand.stills(model, means, values["range"])}
        values |= {"pictures": beforehand.PLANE**2 + values["stills"]["n"]}
    return dict.fromkeys(KEYS) | values


@torch.no_grad()
def all_finite(model: Model) -> bool:
    """Whether every weight is a finite number; after a divergence it may not be."""
    parts = [part for part in (model.network, model.latent) if isinstance(part, nn.Module)]
    return all(bool(weight.isfinite().all()) for part in parts for weight in part.parameters())


def some_points(posterior: Codes | None, dims: int, limit: float) -> Tensor:
    """Points where the page's decoder must agree with torch: around the prior, encoded images, corners."""
    prior = 1.5 * limit / LIMIT * torch.randn(1024, dims, generator=generator("cpu", "report", "agreement"))
    corners = limit * torch.tensor([[-1.0], [1.0]]).repeat(1, dims) / math.sqrt(max(1, dims / 2))
    return torch.cat([prior, torch.zeros(1, dims), corners, *([posterior.mean[:64]] if posterior else [])])


def decoder_or_plane(model: Model, z: Tensor, order: list[int], limits: list[float]) -> dict[str, Any]:
    """The decoder's layers, else a plane of pictures and the reason."""
    try:
        layers, link = export.decoder(model.network, model.loss, z, tolerated(*limits))
    except Inexpressible as reason:
        return {"plane": beforehand.plane(model, order, limits), "why": {"key": reason.key, "values": reason.values}}
    facts = {"parameters": layers.parameters, "operations": layers.operations, "bits": layers.bits}
    return {"decoder": {"layers": layers.layers, "mean": link, **facts}}


def encoder_or_reason(model: Model, images: Images, exported: dict[str, Any], is_plain: bool) -> dict[str, Any]:
    """The encoder's layers, else the reason: a flow, or together with the decoder's they may be too large."""
    try:
        if "decoder" not in exported:
            raise Inexpressible("why_no_decoder")
        if not is_plain:
            raise Inexpressible("why_flow")
        layers = export.encoder(model.network, images.x[:64])
        both = layers.parameters + exported["decoder"]["parameters"]
        if both > export.MOST_PARAMETERS:
            raise export.too_costly(both, layers.operations)
    except Inexpressible as reason:
        return {"why_encoder": {"key": reason.key, "values": reason.values}}
    return {"encoder": {"layers": layers.layers, "bits": layers.bits}, "drawn_as": images.drawn_as}


def points(images: Images, posterior: Codes) -> dict[str, Any]:
    """The posterior means of the test images, as fp16, and their classes."""
    n = min(len(images.x), max(100, MOST_NUMBERS // posterior.mean.shape[1]))
    labels = images.labels[:n].tolist() if images.labels is not None else None
    return {"points": {"n": n, "mean": packed(posterior.mean[:n]), "labels": labels}, "classes": images.classes}


def chosen_images(images: Images, count: int) -> list[int]:
    """The numbers of test images to pick, one of each class first."""
    labels = images.labels.tolist() if images.labels is not None else []
    first: dict[int, int] = {}
    for i, label in enumerate(labels):
        first.setdefault(label, i)
    chosen = [first[label] for label in sorted(first)][:count]
    return chosen + [i for i in range(len(images.x)) if i not in chosen][: max(0, count - len(chosen))]


def picks(images: Images, posterior: Codes, bits: int, chosen: Sequence[int]) -> dict[str, Any]:
    """Test images to pick, with mean and log variance of their posterior."""
    labels = images.labels.tolist() if images.labels is not None else [None] * len(images.x)
    return {
        "picks": [
            {
                "x": packed(images.x[i], torch.float16 if bits == 16 else torch.float32),
                "label": labels[i],
                "index": i,
                "mean": [round(value, 5) for value in posterior.mean[i].tolist()],
                "log_var": [round(value, 5) for value in posterior.log_var[i].tolist()],
            }
            for i in chosen
        ]
    }
