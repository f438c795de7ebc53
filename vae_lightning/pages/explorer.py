"""What the latent explorer needs: decoder and encoder as numbers, encoded test points, pictures to pick, or a plane.

N images, J latent dims, C H W image. Nats.
"""

import io
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vae_lightning.errors import DataError
from vae_lightning.evaluation.latent_space import posterior_of
from vae_lightning.latent import Posterior, active_units
from vae_lightning.model import Model
from vae_lightning.noise import generator
from vae_lightning.pages import export
from vae_lightning.pages.layers import Inexpressible, packed
from vae_lightning.pages.run_data import as_uri

MOST_POINTS, MOST_NUMBERS = 1000, 60_000  # encoded test points, and their coordinates in all
NUM_PICKS = 12
PLANE = 17  # pictures along each side of a plane that was drawn beforehand
LIMIT = 4.0  # how far sliders and planes go, in sigmas of the prior


@dataclass(frozen=True)
class Images:
    """Of the test set x [N, C, H, W], its labels [N] or None, the names of the classes, and how drawings become x:

    None where nothing can be drawn, else whether they are black and white and the side of the box they are fitted into.
    """

    x: Tensor
    labels: Tensor | None
    classes: list[str]
    drawn_as: dict[str, Any] | None


def images_of(data: Any) -> Images:
    """The first test images of a data module. Labels and class names where it has them.

    Raises DataError where it is one of somebody else's that has no `images(split)`.
    """
    if not hasattr(data, "images"):
        raise DataError(f"{type(data).__name__} has no method images(split).")
    x = data.images("test")[:MOST_POINTS]
    labels = data.labels("test")[:MOST_POINTS] if hasattr(data, "labels") else None
    if labels is not None and int(labels.max()) == 0:
        labels = None
    binary = str(getattr(data, "protocol", "grey")) in ("threshold", "static", "dynamic")
    drawable = x.shape[1] == 1 and min(x.shape[2:]) >= 16 and bool(x.min() >= 0 and x.max() <= 1)
    box = 20 if getattr(data, "name", "") == "mnist" else min(x.shape[2:])  # LeCun et al.: 20 x 20, centre of mass
    drawn_as = {"binary": binary, "box": box, "centred": box == 20} if drawable else None
    return Images(x, labels, list(getattr(data, "class_names", [])), drawn_as)


@torch.no_grad()
def explorer(model: Model, images: Images | None, kl: list[float] | None, image_shape: list[int]) -> dict[str, Any]:
    """Everything as plain values. `kl` of each unit where there are no images to measure it on."""
    dims = model.latent.dim
    posterior = posterior_of(model, images.x) if images else None
    nats = posterior.kl().mean(0).tolist() if posterior else (kl or [0.0] * dims)
    order = sorted(range(dims), key=lambda unit: -nats[unit])
    active = active_units(posterior.mean).tolist() if posterior else [value > 0.01 for value in nats]
    found: dict[str, Any] = {"dims": dims, "order": order, "kl": nats, "active": active, "shape": image_shape}
    found |= {"limit": LIMIT, "range": value_range(model, images)}
    z = some_points(posterior, dims)
    found |= decoder_or_plane(model, z, order, found["range"])
    if images is not None and posterior is not None:
        found |= points(images, posterior) | picks(images, posterior) | encoder_or_reason(model, images, found)
    return found


def some_points(posterior: Posterior | None, dims: int) -> Tensor:
    """Points at which the page's decoder must agree with torch: around the prior, encoded images, corners."""
    prior = 1.5 * torch.randn(1024, dims, generator=generator("cpu", "report", "agreement"))
    corners = LIMIT * torch.tensor([[-1.0], [1.0]]).repeat(1, dims) / math.sqrt(max(1, dims / 2))
    return torch.cat([prior, torch.zeros(1, dims), corners, *([posterior.mean[:64]] if posterior else [])])


def value_range(model: Model, images: Images | None) -> list[float]:
    """What is black and what is white: 0 and 1, or the range of data that are no images."""
    if images is None or (images.x.min() >= 0 and images.x.max() <= 1):
        return [0.0, 1.0]
    return [float(images.x.min()), float(images.x.max())]


def decoder_or_plane(model: Model, z: Tensor, order: list[int], limits: list[float]) -> dict[str, Any]:
    """The decoder's layers; where they cannot be said, a plane of pictures and the reason."""
    try:
        layers, mean = export.decoder(model.network, model.loss, z)
    except Inexpressible as reason:
        return {"plane": plane(model, order, limits), "why": {"key": reason.key, "values": reason.values}}
    facts = {"parameters": layers.parameters, "operations": layers.operations, "bits": layers.bits}
    return {"decoder": {"layers": layers.layers, "mean": mean, **facts}}


def encoder_or_reason(model: Model, images: Images, found: dict[str, Any]) -> dict[str, Any]:
    """The encoder's layers, where they and the decoder's together are not too large; else the reason."""
    try:
        layers = export.encoder(model.network, images.x[:64])
        both = layers.parameters + found.get("decoder", {}).get("parameters", 0)
        if both > export.MOST_PARAMETERS:
            raise Inexpressible("why_cost", parameters=f"{both:,}", operations=f"{layers.operations:,}")
    except Inexpressible as reason:
        return {"why_encoder": {"key": reason.key, "values": reason.values}}
    return {"encoder": {"layers": layers.layers, "bits": layers.bits}, "drawn_as": images.drawn_as}


def points(images: Images, posterior: Posterior) -> dict[str, Any]:
    """The posterior means of the test images, as fp16, and their classes."""
    n = min(len(images.x), max(100, MOST_NUMBERS // posterior.mean.shape[1]))
    labels = images.labels[:n].tolist() if images.labels is not None else None
    return {"points": {"n": n, "mean": packed(posterior.mean[:n]), "labels": labels}, "classes": images.classes}


def picks(images: Images, posterior: Posterior) -> dict[str, Any]:
    """A few test images, one of each class first, with mean and log variance of their posterior."""
    labels = images.labels.tolist() if images.labels is not None else [0] * len(images.x)
    first: dict[int, int] = {}
    for i, label in enumerate(labels):
        first.setdefault(label, i)
    chosen = [first[label] for label in sorted(first)][:NUM_PICKS] if images.labels is not None else []
    chosen += [i for i in range(len(labels)) if i not in chosen][: max(0, NUM_PICKS - len(chosen))]
    return {
        "picks": [
            {
                "x": packed(images.x[i]),
                "label": labels[i] if images.labels is not None else None,
                "index": i,
                "mean": [round(value, 5) for value in posterior.mean[i].tolist()],
                "log_var": [round(value, 5) for value in posterior.log_var[i].tolist()],
            }
            for i in chosen
        ]
    }


def plane(model: Model, order: list[int], limits: list[float]) -> dict[str, Any]:
    """PLANE x PLANE decoded pictures over the two most informative units, the others at 0, as one PNG."""
    from PIL import Image

    from vae_lightning.callbacks.pictures import grid

    axis = torch.special.ndtri((torch.arange(PLANE) + 0.5) / PLANE)
    z = torch.zeros(PLANE, PLANE, model.latent.dim)
    z[:, :, order[0]] = axis
    if len(order) > 1:
        z[:, :, order[1]] = axis.flip(0).unsqueeze(1)  # upwards
    low, high = limits
    decoded = [(model.loss.mean(model.network.decode(row)) - low) / (high - low) for row in z]  # row by row: memory
    sheet = io.BytesIO()
    Image.fromarray(grid(torch.cat(decoded), PLANE, scale=1, gap=0)).save(sheet, format="PNG")
    return {"sheet": as_uri(sheet.getvalue()), "size": PLANE, "axis": axis.tolist()}
