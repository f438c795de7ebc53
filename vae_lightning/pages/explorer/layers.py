"""The layers of a network in order, as plain values that the page's script can run. Other networks are refused."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from vae_lightning.network.residual import Residual
from vae_lightning.pages.explorer.rounding import is_small

ACTIVATIONS: dict[type, Callable[[Any], dict[str, Any]]] = {
    nn.ReLU: lambda _: {"kind": "relu"},
    nn.Tanh: lambda _: {"kind": "tanh"},
    nn.Sigmoid: lambda _: {"kind": "sigmoid"},
    nn.LeakyReLU: lambda layer: {"kind": "leaky_relu", "slope": layer.negative_slope},
    nn.ELU: lambda layer: {"kind": "elu", "alpha": layer.alpha},
    nn.SiLU: lambda _: {"kind": "silu"},
    nn.Softplus: lambda layer: {"kind": "softplus", "beta": layer.beta},
}
LEFT_OUT = (nn.Identity, nn.Dropout, nn.Dropout2d)  # without effect in evaluation


class Inexpressible(Exception):
    """Why a network is not on the page: a key of the page's words, and the values of its {names}."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def plain_layers(module: nn.Module | None) -> list[nn.Module]:
    """The layers in order, with normalisation folded into them; none of None. Raises Inexpressible for other layers."""
    layers: list[nn.Module] = []
    for layer in flattened(module) if module is not None else []:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            layers[-1] = fuse_linear_bn_eval(before, layer.eval())
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.ConvTranspose2d | nn.Conv2d):
            transposed = isinstance(before, nn.ConvTranspose2d)
            layers[-1] = fuse_conv_bn_eval(before.eval(), layer.eval(), transpose=transposed)
        elif not isinstance(layer, LEFT_OUT):
            described(layer, 16)
            layers.append(layer)
    return layers


def flattened(module: nn.Module) -> list[nn.Module]:
    """The layers of nested Sequentials, in order. A residual block is one layer."""
    if isinstance(module, Residual) or not isinstance(module, nn.Sequential):
        return [module]
    return [leaf for part in module for leaf in flattened(part)]


def described(layer: nn.Module, bits: int) -> dict[str, Any]:
    """A layer as plain values. Raises Inexpressible."""
    if type(layer) in ACTIVATIONS:
        return ACTIVATIONS[type(layer)](layer)
    if isinstance(layer, nn.Flatten):
        return {"kind": "flatten"}
    if isinstance(layer, nn.Unflatten):
        return {"kind": "unflatten", "shape": list(layer.unflattened_size)}
    if isinstance(layer, nn.Linear):
        return {"kind": "linear", "inputs": layer.in_features, "outputs": layer.out_features, **weights(layer, bits)}
    if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d) and is_simple(layer):
        kind = "transposed_convolution" if isinstance(layer, nn.ConvTranspose2d) else "convolution"
        sizes = {name: list(getattr(layer, name)) for name in ("kernel_size", "stride", "padding", "output_padding")}
        channels = {"inputs": layer.in_channels, "outputs": layer.out_channels}
        return {"kind": kind, **channels, **sizes, **weights(layer, bits)}
    if isinstance(layer, nn.GroupNorm) and layer.affine:
        return {"kind": "group_norm", "groups": layer.num_groups, "eps": layer.eps, **weights(layer, bits)}
    if isinstance(layer, Residual):
        return {"kind": "residual", "layers": [described(inner, bits) for inner in flattened(nn.Sequential(*layer))]}
    raise Inexpressible("why_layer", name=in_words(layer))


def in_words(layer: nn.Module) -> str:
    """The name of a layer, and what is unusual in a convolution: Conv2d(groups=2)."""
    if not isinstance(layer, nn.ConvTranspose2d | nn.Conv2d):
        return type(layer).__name__
    given = {"groups": layer.groups, "dilation": layer.dilation, "padding_mode": layer.padding_mode}
    usual = {"groups": 1, "dilation": (1, 1), "padding_mode": "zeros"}
    odd = [f"{name}={value}" for name, value in given.items() if value != usual[name]]
    odd += [f"padding={layer.padding!r}"] if isinstance(layer.padding, str) else []
    return f"{type(layer).__name__}({', '.join(odd)})"


def bits_of(layers: Sequence[dict[str, Any]]) -> int:
    """The smallest number of bits among the weights of described layers, also of those inside a residual block."""
    return min(
        (bits_of(layer["layers"]) if "layers" in layer else layer.get("bits", 32) for layer in layers), default=32
    )


def is_simple(layer: Any) -> bool:
    """Whether a convolution is neither grouped nor dilated, and its padding is a number of zeros."""
    plain = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    return plain and not isinstance(layer.padding, str)


def weights(layer: Any, bits: int) -> dict[str, Any]:
    """Weight and bias in base64. Small weights stay in float32."""
    bits = 32 if is_small(layer.weight) else bits
    weight = packed(layer.weight, torch.float16 if bits == 16 else torch.float32)
    return {
        "bits": bits,
        "weight": weight,
        "bias": packed(layer.bias, torch.float32) if layer.bias is not None else None,
    }


def packed(values: Tensor, dtype: torch.dtype = torch.float16) -> str:
    """The numbers in base64, little endian, row by row."""
    array = values.detach().cpu().to(dtype).contiguous().numpy()
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")
