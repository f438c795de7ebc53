"""Weights in half precision, rounded so that their errors cancel in the layer's output."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_lightning.network.residual import Residual

SMALL = 20_480  # numbers; a tensor of this size or smaller stays in float32
DAMPING = 1e-4  # of the inputs' mean square
PATCHES = 8192  # inputs of a convolution that are enough for their second moment


def is_small(weight: Tensor) -> bool:
    """Whether a weight stays in float32."""
    return weight.numel() <= SMALL


@torch.no_grad()
def in_half(layers: Sequence[nn.Module], x: Tensor | None) -> list[nn.Module]:
    """Copies of the layers with their large weights rounded to fp16 and held as float32, for inputs like x.

    The nearest fp16 of a weight changes a pixel by up to 2e-3; with feedback the change is a tenth of that. Feedback
    needs x.
    """
    copies: list[nn.Module] = []
    for layer in layers:
        copied = Residual(*in_half(list(layer), x)) if isinstance(layer, Residual) else copy.deepcopy(layer).eval()
        weight = getattr(copied, "weight", None)
        if isinstance(weight, Tensor) and not is_small(weight):
            weight.data = weight.half().float() if x is None else rounded(copied, weight, x)
        x = copied(x) if x is not None else None
        copies.append(copied)
    return copies


def rounded(layer: nn.Module, weight: Tensor, x: Tensor) -> Tensor:
    """The weight of a layer in fp16, rounded with feedback for inputs like x. A convolution is a matrix of its patches.

    A transposed convolution is the matrix that makes a patch from a pixel.
    """
    if isinstance(layer, nn.Linear):
        return with_feedback(weight, x.flatten(0, -2))
    if isinstance(layer, nn.ConvTranspose2d):
        matrix, rows = weight.flatten(1).T, x.flatten(2).transpose(1, 2).flatten(0, 1)
        return with_feedback(matrix, some(rows)).T.reshape(weight.shape)
    if isinstance(layer, nn.Conv2d):
        few = x[: 1 + PATCHES // x[0, 0].numel()]
        patches = functional.unfold(few, layer.kernel_size, padding=layer.padding, stride=layer.stride)  # type: ignore
        rows = patches.transpose(1, 2).flatten(0, 1)
        return with_feedback(weight.flatten(1), some(rows)).reshape(weight.shape)
    return weight.half().float()


def some(rows: Tensor) -> Tensor:
    """Some of the rows, evenly spaced."""
    return rows[:: 1 + len(rows) // PATCHES]


def with_feedback(weight: Tensor, x: Tensor) -> Tensor:
    """Follows Frantar et al. (2023), GPTQ: weight [O, I] in fp16, inputs x [N, I].

    The columns are rounded in order. The columns to the right take up the error of a rounded one, so that the squared
    error of the layer's output on x is smallest. If x has no usable second moment, as in a diverged model, each weight
    becomes the nearest fp16.
    """
    left, x = weight.double().clone(), x.double()
    hessian = x.T @ x / len(x)
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean() + 1e-12)
    inverse, failed = torch.linalg.cholesky_ex(torch.linalg.inv_ex(hessian).inverse, upper=True)
    if failed or not inverse.isfinite().all():
        return weight.half().float()
    nearest = torch.empty_like(left)
    for i in range(left.shape[1]):
        nearest[:, i] = left[:, i].half().double()
        left[:, i:] -= torch.outer((left[:, i] - nearest[:, i]) / inverse[i, i], inverse[i, i:])
    return nearest.float()
