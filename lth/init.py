"""Initializations: (net, seed) -> theta_0. The net is not modified.

Weights of prunable layers are drawn and their biases start at 0; normalization, what is fixed (requires_grad=False),
parameters of a parametrization that does not keep zeros (orthogonal) and all other tensors are copied from the net.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lth import UserError
from lth.layer import bias_of, only_computed, outputs_first, prunable
from lth.model import named
from lth.weights import weights_of

ITERATIONS = 15  # of a spectral norm when it is made


def glorot_normal(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Gaussian Glorot (Glorot & Bengio 2010, Eq. 12): N(0, 2 / (fan_in + fan_out)), not truncated; biases 0.

    Used by Frankle & Carbin 2019 (Figure 2).
    """
    return _draw(net, seed, nn.init.xavier_normal_)


def glorot_uniform(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Uniform Glorot (Glorot & Bengio 2010, Eq. 16): U(-a, a), a = sqrt(6 / (fan_in + fan_out)); biases 0.

    The default of Keras.
    """
    return _draw(net, seed, nn.init.xavier_uniform_)


def kaiming_normal(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Gaussian He for ReLU (He et al. 2015, Eq. 10): N(0, 2 / fan_in); biases 0."""
    return _draw(net, seed, lambda w, generator: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=generator))


def gaussian(net: nn.Module, seed: int, *, std: float) -> dict[str, Tensor]:
    """N(0, std ** 2) for every weight, whatever its layer, not truncated; biases 0.

    Varied by Frankle & Carbin 2019, Appendix G.
    """
    return _draw(net, seed, partial(nn.init.normal_, std=std))


def signed_constant(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """The deviation of `kaiming_normal` with a random sign for each weight; biases 0 (Ramanujan et al. 2020)."""
    return _draw(net, seed, _signs)


def pretrained(net: nn.Module, seed: int, *, weights: str) -> dict[str, Tensor]:
    """Weights that torchvision has of this net, by their full name, such as ResNet18_Weights.IMAGENET1K_V1. A layer for
    another number of classes is left as the net was made, drawn from the replicate.

    Inputs are scaled as the data set says, by its own statistics (data=image_folder: by those of ImageNet). Raises
    UserError for weights of another net.
    """
    found, own = named.weights(weights), weights_of(net)
    counters = {name for name in own if name.endswith("num_batches_tracked")}  # older files have none
    missing = own.keys() - found.keys() - counters
    more = {name for name in found.keys() - net.state_dict().keys() if not name.lower().startswith("aux")}
    other = {name for name in own.keys() & found.keys() if own[name].shape != found[name].shape}
    heads = {name.rpartition(".")[0] for name in other}
    if missing or more or len(heads) > 1 or any(own[name].shape[1:] != found[name].shape[1:] for name in other):
        first = min(missing | more | other)
        raise UserError(
            f"init.weights={weights}: they are not those of this {type(net).__name__} ({first} does not fit); choose "
            "its own, such as model=torchvision model.name=resnet18"
        )
    fit = own.keys() & found.keys() - other
    return {name: found[name].to(w.dtype).clone() if name in fit else w.detach().clone() for name, w in own.items()}


def _signs(weight: Tensor, generator: torch.Generator) -> Tensor:
    drawn = nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    deviation = (2 / weight[0].numel()) ** 0.5  # of every output there are as many inputs
    return weight.copy_(torch.where(drawn < 0, -deviation, deviation))


def _draw(net: nn.Module, seed: int, fill: Callable[..., Tensor]) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    weights = {name: value.detach().clone() for name, value in weights_of(net).items()}
    fixed = {name for name, value in net.named_parameters(remove_duplicate=False) if not value.requires_grad}
    drawn = set[str]()
    for name in prunable(net):
        if name not in fixed and not only_computed(net, name):
            outputs = outputs_first(net, name, weights[name])  # by which a transposed convolution has its fan-in too
            weights[name] = outputs_first(net, name, fill(outputs, generator=random))
            drawn.add(name)
        if (bias := bias_of(name)) in weights and bias not in fixed:
            weights[bias].zero_()
    for direction, size in _norms(net):
        if direction in drawn and size not in fixed:
            shape = weights[size].shape  # () of one norm for all
            axes = [axis for axis, length in enumerate(shape) if length == 1] or None
            weights[size] = torch.linalg.vector_norm(weights[direction], dim=axes, keepdim=True).reshape(shape)
    for spectral in _spectral(net):
        if spectral[0] not in fixed:
            _settle(weights, *spectral)
    return weights


def _norms(net: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of direction and norm of every normalized weight (Salimans & Kingma 2016), in PyTorch's two ways of writing
    one. The norm is that of what is drawn as the direction.
    """
    for path, part in net.named_modules():
        if isinstance(part, _WeightNorm):
            weight = path.rpartition(".")[0]
            yield f"{weight}.original1", f"{weight}.original0"
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                name = f"{path}.{hook.name}".lstrip(".")
                yield f"{name}_v", f"{name}_g"


def _spectral(net: nn.Module) -> Iterator[tuple[str, str, str, int]]:
    """Names of every weight with a spectral norm and of its two singular vectors, and the dimension of its outputs; in
    PyTorch's two ways of writing one.
    """
    for path, part in net.named_modules():
        if path.endswith(".0") and {"_u", "_v"} <= part._buffers.keys():
            yield f"{path[:-2]}.original", f"{path}._u", f"{path}._v", int(getattr(part, "dim", 0))
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                name = f"{path}.{hook.name}".lstrip(".")
                yield f"{name}_orig", f"{name}_u", f"{name}_v", hook.dim


def _settle(weights: dict[str, Tensor], weight: str, u: str, v: str, dim: int) -> None:
    """Give a spectral norm (Miyato et al. 2018) the singular vectors of what was drawn, by as many power iterations as
    PyTorch takes when it makes one.
    """
    matrix = weights[weight].movedim(dim, 0).flatten(1)
    for _ in range(ITERATIONS):
        weights[v] = nn.functional.normalize(matrix.mT @ weights[u], dim=0)
        weights[u] = nn.functional.normalize(matrix @ weights[v], dim=0)
