"""A network as numbers and names that the page's script can run: layers, with weights as fp16 in base64.

J latent dims, P parameters per pixel, C H W image. `Inexpressible` says why a network cannot be exported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vae_lightning.network.residual import Residual
from vae_lightning.pages.explorer.layers import Inexpressible, bits_of, described, plain_layers
from vae_lightning.pages.explorer.rounding import in_half

MOST_PARAMETERS = 2_000_000  # 5.3 MB of base64
MOST_OPERATIONS = 20_000_000  # multiplications of one pass: about 40 ms in a browser
PIXEL_TOLERANCE = 5e-4  # half of the page's promise
CODE_TOLERANCE = 0.01  # of a mean or log variance; the prior's sigma is 1
LINKS = ("sigmoid", "identity", "continuous_bernoulli")  # the means that the page's script can compute


@dataclass(frozen=True)
class Exported:
    """Layers as plain values for the page, and their cost."""

    layers: list[dict[str, Any]]
    parameters: int
    operations: int
    bits: int


def link_of(loss: Any) -> str:
    """The name of the function that turns the decoder's first C H W numbers into E[x|z]. Raises Inexpressible."""
    link = getattr(loss, "link", "")
    if link not in LINKS:
        raise Inexpressible("why_likelihood", name=type(loss).__name__)
    return link


def decoder(network: Any, loss: Any, z: Tensor, span: float = 1.0) -> tuple[Exported, str]:
    """The decoder up to E[x|z], and its link; at the points z [N, J] the export must agree with the network.

    `span` is the distance from black to white. Raises Inexpressible.
    """
    link, name = link_of(loss), f"{type(network).__name__}.decode"
    layers = layers_of(network, "decoder")
    check_cost(layers, tuple(z.shape[1:]), name)
    with torch.no_grad():
        params = network.decode(z)  # [N, P, C, H, W]
        expected = loss.mean(params)
    size = expected[0].numel()
    layers = first_outputs(layers, size, params[0].numel())

    def agrees(run: nn.Module) -> bool:
        head = run(z).flatten(1)[:, :size].reshape(len(z), *params.shape[2:])
        again = torch.cat([head.unsqueeze(1)] * params.shape[1], dim=1)  # the mean reads only the first of P
        return bool((loss.mean(again) - expected).abs().max() <= PIXEL_TOLERANCE * span)

    return exported(layers, tuple(z.shape[1:]), agrees, name, z), link


def encoder(network: Any, x: Tensor) -> Exported:
    """The encoder, from x [N, C, H, W] to mean and log variance side by side. Raises Inexpressible."""
    with torch.no_grad():
        expected = network.encode(x)
    layers = layers_of(network, "encoder")
    if isinstance(layers[0], nn.Linear):
        layers = [nn.Flatten(), *layers]
    name = f"{type(network).__name__}.encode"
    close = lambda run: bool((run(x) - expected).abs().max() <= CODE_TOLERANCE)  # noqa: E731
    return exported(layers, tuple(x.shape[1:]), close, name)


def layers_of(network: Any, side: str) -> list[nn.Module]:
    """The layers of `network.encoder` or `network.decoder`, in order. Raises Inexpressible."""
    layers = plain_layers(getattr(network, side, None))
    if not layers:
        raise Inexpressible("why_no_layers", name=f"{type(network).__name__}.{side}")
    return layers


def exported(
    layers: Sequence[nn.Module],
    shape: tuple[int, ...],
    agrees: Callable[[nn.Module], bool],
    name: str,
    like: Tensor | None = None,
) -> Exported:
    """The layers as values: in fp16 if these layers pass `agrees`, else in float32. `name` is the network's method.

    Weights are rounded for inputs that are `like` the given ones. Raises Inexpressible.
    """
    parameters, operations = check_cost(layers, shape, name)
    if not all(weight.isfinite().all() for layer in layers for weight in layer.parameters()):
        raise Inexpressible("why_not_finite")
    for bits, tried in ((16, in_half(layers, like)), (32, list(layers))):
        with torch.no_grad():
            try:
                same = agrees(nn.Sequential(*tried))
            except RuntimeError as error:  # the layers do not fit each other: the forward pass does more than they say
                raise Inexpressible("why_forward", name=name) from error
        if same:
            values = [described(layer, bits) for layer in tried]
            return Exported(values, parameters, operations, bits_of(values))
    raise Inexpressible("why_forward", name=name)


def check_cost(layers: Sequence[nn.Module], shape: tuple[int, ...], name: str) -> tuple[int, int]:
    """Parameters and operations of one pass.

    Raises Inexpressible if they are too many for a page, or the layers do not fit each other.
    """
    parameters = sum(weight.numel() for layer in layers for weight in layer.parameters())
    try:
        operations = cost(layers, shape)
    except RuntimeError as error:
        raise Inexpressible("why_forward", name=name) from error
    if parameters > MOST_PARAMETERS or operations > MOST_OPERATIONS:
        raise too_costly(parameters, operations)
    return parameters, operations


def too_costly(parameters: int, operations: int) -> Inexpressible:
    """The refusal of a network that a page should not carry."""
    most = {"most_parameters": f"{MOST_PARAMETERS:,}", "most_operations": f"{MOST_OPERATIONS:,}"}
    return Inexpressible("why_cost", parameters=f"{parameters:,}", operations=f"{operations:,}", **most)


def first_outputs(layers: list[nn.Module], size: int, outputs: int) -> list[nn.Module]:
    """The same layers; a linear last layer keeps only the outputs that E[x|z] needs."""
    last = layers[-1]
    if size == outputs or not isinstance(last, nn.Linear):
        return layers
    smaller = nn.Linear(last.in_features, size, bias=last.bias is not None)
    smaller.weight.data = last.weight.detach()[:size]
    if last.bias is not None:
        smaller.bias.data = last.bias.detach()[:size]
    return [*layers[:-1], smaller]


def cost(layers: Sequence[nn.Module], shape: tuple[int, ...]) -> int:
    """The multiplications of one pass, counted on a zero. Raises RuntimeError if the layers do not fit each other."""
    state, operations = torch.zeros(1, *shape), 0
    with torch.no_grad():
        for layer in layers:
            before, state = state, layer.eval()(state)
            if isinstance(layer, Residual):
                operations += cost(list(layer), tuple(before.shape[1:]))
            elif isinstance(layer, nn.ConvTranspose2d):
                operations += before[0, 0].numel() * layer.weight.numel()
            elif isinstance(layer, nn.Conv2d):
                operations += state[0, 0].numel() * layer.weight.numel()
            elif isinstance(layer, nn.Linear):
                operations += layer.weight.numel()
    return operations
