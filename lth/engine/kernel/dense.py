"""Forward and backward pass of a fully connected net without autograd, into buffers that are allocated once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lth.recipe import Recipe


class Dense:
    """The same numbers, bit for bit, as those of autograd: the same products in the same order.

    layers: as `chain` gives them. penalized: the weights that the recipe's regularization takes. reuse: the optimizer
    keeps no gradient, so that they may be written to the same tensors in every step.
    """

    def __init__(self, layers: Sequence[nn.Linear], recipe: Recipe, penalized: list[Tensor], *, reuse: bool) -> None:
        self.reuse = reuse
        self.layers, self.task, self.penalty, self.penalized = layers, recipe.task, recipe.regularization, penalized
        self.examples = 0

    def gradients(self, x: Tensor, targets: Tensor) -> Tensor:
        """Set the gradients of a batch and return its mean loss, a scalar. x: B x shape."""
        if len(x) != self.examples:
            self._allocate(len(x))
        elif not self.reuse:
            self._allocate_gradients()
        with torch.no_grad():
            outputs = self._forward(x.flatten(1))
        loss, gradient = self._loss(outputs, targets)
        with torch.no_grad():
            self._backward(gradient)
        self._penalize()
        return loss

    def _allocate(self, examples: int) -> None:
        self.examples, kind = examples, self.layers[0].weight.dtype
        self.outputs = [torch.empty(examples, layer.out_features, dtype=kind) for layer in self.layers]
        self.deltas = [torch.empty_like(each) for each in self.outputs[:-1]]
        self._allocate_gradients()

    def _allocate_gradients(self) -> None:
        self.weight_gradients = [torch.empty_like(layer.weight) for layer in self.layers]
        self.bias_gradients = [None if layer.bias is None else torch.empty_like(layer.bias) for layer in self.layers]

    def _forward(self, x: Tensor) -> Tensor:
        self.inputs = [x, *self.outputs[:-1]]
        for number, (layer, given, out) in enumerate(zip(self.layers, self.inputs, self.outputs, strict=True)):
            if layer.bias is None:
                torch.mm(given, layer.weight.t(), out=out)
            else:
                torch.addmm(layer.bias, given, layer.weight.t(), out=out)
            if number < len(self.layers) - 1:
                out.relu_()
        return self.outputs[-1]

    def _loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        outputs = outputs.detach().requires_grad_()
        loss = self.task.loss(outputs.clone(), targets)  # which may change its argument
        (gradient,) = torch.autograd.grad(loss, outputs)
        return loss.detach(), gradient

    def _backward(self, delta: Tensor) -> None:
        for number in range(len(self.layers) - 1, -1, -1):
            layer, bias = self.layers[number], self.bias_gradients[number]
            layer.weight.grad = torch.mm(delta.t(), self.inputs[number], out=self.weight_gradients[number])
            if bias is not None:
                layer.bias.grad = torch.sum(delta, 0, out=bias)
            if number:
                torch.mm(delta, layer.weight, out=self.deltas[number - 1])
                delta = self.deltas[number - 1]
                torch.ops.aten.threshold_backward.grad_input(delta, self.inputs[number], 0, grad_input=delta)

    def _penalize(self) -> None:
        penalty = self.penalty(self.penalized)
        if isinstance(penalty, Tensor) and penalty.requires_grad:
            gradients = torch.autograd.grad(penalty, self.penalized, materialize_grads=True)
            for weight, more in zip(self.penalized, gradients, strict=True):
                assert weight.grad is not None
                weight.grad = weight.grad + more
