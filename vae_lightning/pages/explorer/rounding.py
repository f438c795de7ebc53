"""Weights in half precision, rounded so that their errors cancel in the layer's output."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

SMALL = 20_480  # numbers; a tensor of this size or smaller stays in float32
DAMPING = 1e-4  # of the inputs' mean square


def is_small(weight: Tensor) -> bool:
    """Whether a weight stays in float32."""
    return weight.numel() <= SMALL


@torch.no_grad()
def in_half(layers: Sequence[nn.Module], x: Tensor | None) -> list[nn.Module]:
    """Copies of the layers with their large weights rounded to fp16 and held as float32, for inputs like x.

    The nearest fp16 of a weight changes a pixel by up to 2e-3; with feedback the change is a tenth of that. Feedback
    needs x.
    """
    copies = []
    for layer in layers:
        copied = copy.deepcopy(layer).eval()
        weight = getattr(copied, "weight", None)
        if isinstance(weight, Tensor) and not is_small(weight):
            fed_back = x is not None and isinstance(copied, nn.Linear)
            weight.data = with_feedback(weight, x) if fed_back else weight.half().float()  # type: ignore[arg-type]
        x = copied(x) if x is not None else None
        copies.append(copied)
    return copies


def with_feedback(weight: Tensor, x: Tensor) -> Tensor:
    """Follows Frantar et al. (2023), GPTQ: weight [O, I] in fp16, inputs x [N, I].

    The columns are rounded in order. The columns to the right take up the error of a rounded one, so that the squared
    error of the layer's output on x is smallest. If x has no usable second moment, as in a diverged model, each weight
    becomes the nearest fp16.
    """
    left, x = weight.double().clone(), x.flatten(0, -2).double()
    hessian = x.T @ x / len(x)
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean() + 1e-12)
    inverse, failed = torch.linalg.cholesky_ex(torch.linalg.inv_ex(hessian).inverse, upper=True)
    if failed or not inverse.isfinite().all():
        return weight.half().float()
    rounded = torch.empty_like(left)
    for i in range(left.shape[1]):
        rounded[:, i] = left[:, i].half().double()
        left[:, i:] -= torch.outer((left[:, i] - rounded[:, i]) / inverse[i, i], inverse[i, i:])
    return rounded.float()
