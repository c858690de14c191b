"""What `compile=true` puts in place of autograd: the passes of a fully connected net, written out.

They are a few matrix products, so autograd's own share of a step falls away, and on a CPU oneDNN computes them. It is
twice as fast as MKL, which PyTorch takes by default, where MKL does without AVX-512 (on AMD). `torch.compile` gained 8%
for a minute of warm-up, since it leaves the products to MKL too. Only the order in which sums are added is another.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lth import regularization
from lth.recipe import Recipe, describe

# Elements of the second factor below which oneDNN's set-up, 10 microseconds, is more than it saves.
SMALL = 10_000


def compilable(recipe: Recipe, net: nn.Module) -> list[nn.Linear]:
    """The linear layers of the recipe's net; raises ValueError if its passes are not written out here."""
    layers = list(net) if type(net) is nn.Sequential else []
    pattern = [nn.Flatten, nn.Linear, *[nn.ReLU, nn.Linear] * (len(layers) // 2 - 1)]
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    trained = {p for layer in linears for p in layer.parameters() if p.requires_grad}
    if [*map(type, layers)] != pattern or len(trained) != 2 * len(linears):
        raise ValueError(
            f"compile=true: {describe(recipe.model)['function']} is no sequence of Flatten and Linear layers with ReLU "
            "between them, each with a weight and a bias of its own that are trained; use compile=false, or a model "
            "that is, such as lenet_300_100 or mlp"
        )
    if getattr(recipe.regularization, "func", recipe.regularization) is not regularization.none:
        raise ValueError("compile=true has no regularization: take compile=false, or regularization=none")
    if recipe.precision != "fp32":
        raise ValueError(f"compile=true computes in float32: precision={recipe.precision} needs compile=false")
    return linears


class Compiled:
    """x_i = ReLU(x_(i-1) W_i^T + b_i), the last without ReLU, and the gradients of its mean cross-entropy."""

    def __init__(self, linears: list[nn.Linear]) -> None:
        self.layers = [(layer.weight, layer.bias) for layer in linears]
        self.linear = _linear(self.layers[0][0].device)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Images float32, B x channels x height x width -> float32, B x C."""
        return self._activations(images)[-1]

    @torch.no_grad()
    def gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Set the gradient of every weight and bias to that of this batch, and return its loss, in nats."""
        *inputs, logits = self._activations(images)
        log_p = logits.log_softmax(1)
        loss = nn.functional.nll_loss(log_p, labels)
        # delta_i is dL/dz_i, z_i being what goes into the i-th ReLU; the last is (p - one-hot(label)) / B.
        target = labels[:, None]
        delta = log_p.exp_().scatter_add_(1, target, log_p.new_full(target.shape, -1)).div_(len(labels))
        for (weight, bias), x in zip(reversed(self.layers), reversed(inputs), strict=True):
            weight.grad, bias.grad = self.linear(delta.t(), x.t()), delta.sum(0)
            if x is not inputs[0]:
                delta = torch.ops.aten.threshold_backward(self.linear(delta, weight.t()), x, 0)
        return loss

    def _activations(self, images: Tensor) -> list[Tensor]:
        """The input of each layer, B x its width, and the logits."""
        made = [images.flatten(1)]
        for weight, bias in self.layers[:-1]:
            made.append(self.linear(made[-1], weight, bias).relu_())
        return [*made, self.linear(made[-1], *self.layers[-1])]


def _linear(device: torch.device) -> Callable[..., Tensor]:
    """(x, w, b) -> x w^T + b. The operator of oneDNN is the one that PyTorch's own compiler calls; it has no other
    name, and not every build has it.
    """
    plain: Callable[..., Tensor] = nn.functional.linear
    if device.type != "cpu" or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return plain
    onednn = torch.ops.mkldnn._linear_pointwise.default

    def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return onednn(x, w, b, "none", [], "") if w.numel() >= SMALL else plain(x, w, b)

    return linear
