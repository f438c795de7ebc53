"""Pictures drawn beforehand, for a network that the page cannot run: a plane, walks between images, samples.

J latent dims, N pictures, C H W image.
"""

import io
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vae_lightning.callbacks.pictures import grid
from vae_lightning.model import Model
from vae_lightning.noise import generator
from vae_lightning.pages.base.pictures import png_uri
from vae_lightning.pages.explorer.layers import packed
from vae_lightning.pages.explorer.ranges import is_vector

PLANE = 17  # pictures along each side of a plane of pictures
MOST_COLUMNS = 400  # numbers of a vector in such a plane
STOPS = 11  # pictures of a walk between two images, with its ends
SAMPLES = 24  # draws of the prior
ENDS, FEW = 6, 3  # images to walk between; of large images
LARGE = 4_000  # numbers of an image: 3 x 32 x 32 is smaller
ACROSS = 24  # pictures in a row of the sheet
AT_ONCE = PLANE  # codes that are decoded together, to save memory


def plane(model: Model, order: Sequence[int], limits: Sequence[float]) -> dict[str, Any]:
    """PLANE x PLANE decoded pictures over the two most informative units, the others at 0, as one PNG."""
    axis = torch.special.ndtri((torch.arange(PLANE) + 0.5) / PLANE)
    z = torch.zeros(PLANE, PLANE, model.latent.dim)
    z[:, :, order[0]] = axis
    if len(order) > 1:
        z[:, :, order[1]] = axis.flip(0).unsqueeze(1)  # upwards
    return {"sheet": sheet(model, z.flatten(0, 1), PLANE, limits), "size": PLANE, "axis": axis.tolist()}


def ends(shape: Sequence[int]) -> int:
    """The number of test images to walk between: each pair has pictures of its own."""
    return ENDS if torch.Size(shape).numel() <= LARGE else FEW


def stills(model: Model, chosen: Tensor | None, limits: Sequence[float]) -> dict[str, Any]:
    """Pictures of the codes [N, J] `chosen`, of the walks between each two of them, and of samples of the prior.

    `z` is where they are, row by row. The last `samples` of them are the samples.
    """
    walks = [chosen] if chosen is not None else []
    if chosen is not None:
        share = torch.linspace(0, 1, STOPS)[1:-1].unsqueeze(1)
        walks += [a + share * (b - a) for a, b in combinations(chosen, 2)]
    draws = model.prior.draw(SAMPLES, 1, generator("cpu", "report", "samples")).squeeze(1)
    z = torch.cat([*walks, draws])
    shown = {"sheet": sheet(model, z, ACROSS, limits), "columns": ACROSS, "n": len(z), "samples": len(draws)}
    return {**shown, "z": packed(z, torch.float32)}


def sheet(model: Model, z: Tensor, columns: int, limits: Sequence[float]) -> str:
    """The decoded pictures of the codes z [N, J] in rows, black and white at the ends of the range, as a data URI."""
    low, high = limits
    decoded = torch.cat(
        [(model.loss.mean(model.network.decode(part)) - low) / (high - low) for part in z.split(AT_ONCE)]
    )
    if is_vector(decoded.shape[1:]):
        kept = torch.linspace(0, decoded.shape[-1] - 1, min(MOST_COLUMNS, decoded.shape[-1])).round().long()
        decoded = decoded[..., kept]
    content = io.BytesIO()
    Image.fromarray(grid(decoded, columns, scale=1, gap=0)).save(content, format="PNG")
    return png_uri(content.getvalue())
