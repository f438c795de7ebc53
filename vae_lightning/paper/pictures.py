"""What the models of a row draw themselves: manifolds (Fig. 4) and samples (Fig. 5)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_lightning.app import restore
from vae_lightning.callbacks.pictures import captioned
from vae_lightning.callbacks.sheet import sheet
from vae_lightning.module import VAE
from vae_lightning.paper.figures import fingerprint
from vae_lightning.paper.plan import Planned
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.run import COMPLETED

SIZE, GAP = 20, 12


def draw(done: Sequence[Planned], result: Mapping[str, Any], kind: str, path: Path) -> None:
    """One picture: a sheet for each run of the first seed, side by side. Runs that did not end well have none."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    first = [one for one in done if one.seed == done[0].seed and one.run.status == COMPLETED]
    path.unlink(missing_ok=True)  # it may be of other runs
    if not first:
        return
    modules = [restore.load(one.run, one.run.checkpoint(), "cpu") for one in first]
    captions = [f"{one.name}: {module.latent.dim}-D latent space" for one, module in zip(first, modules, strict=True)]
    sheets = [np.asarray(captioned(KINDS[kind](module), text)) for module, text in zip(modules, captions, strict=True)]
    height, width = max(s.shape[0] for s in sheets), sum(s.shape[1] + GAP for s in sheets) - GAP
    canvas, left = torch.full((height, width, 3), 255, dtype=torch.uint8).numpy(), 0
    for one in sheets:
        canvas[: one.shape[0], left : left + one.shape[1]] = one
        left += one.shape[1] + GAP
    source = PngInfo()
    source.add_text("Source", fingerprint(result))
    with atomically(path) as temporary:
        Image.fromarray(canvas).save(temporary, format="png", pnginfo=source)


@torch.no_grad()
def manifold(module: VAE) -> Any:
    """The unit square through the inverse of the normal distribution function, decoded: E[x|z], z_1 right, z_2 up."""
    return sheet(module.decode(plane(SIZE).to(module.device)), SIZE, "manifold", scale=1, gap=0)[0]


def plane(size: int) -> Tensor:
    """A grid of z [size^2, 2] at the middles of cells of equal probability, top row first."""
    axis = torch.special.ndtri((torch.arange(size, dtype=torch.float32) + 0.5) / size)
    return torch.cartesian_prod(axis.flip(0), axis).flip(1)


def samples(module: VAE) -> Any:
    """E[x|z] of a hundred z ~ p(z)."""
    return sheet(module.sample(100, seed=0), 10, "samples", scale=1, gap=0)[0]


KINDS: dict[str, Callable[[VAE], Any]] = {"manifold": manifold, "samples": samples}
