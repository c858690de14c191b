"""Origins of the tensors of a forward pass: which weights they are computed from, by the memory that views share."""

from collections.abc import Iterable

from torch import Tensor, nn

from lth import UserError
from lth.quantization.layer import Quantized
from lth.quantization.layout import orientations
from lth.weights import memory


class Origins:
    """Tensors computed from parameters and constants alone; data, and what is computed from them, are not among them.

    weights: memory -> names of the weights that it is computed from, none for other parameters and constants.
    wholes: memory -> tensors of the shape of a weight or of its transpose, and the weight that they are computed from.
    alive: tensors whose memory must not be given to another while they are followed.
    """

    def __init__(self, net: nn.Module, layers: Iterable[Quantized]) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.weights = {memory(t): frozenset[str]() for t in (*net.parameters(), *net.buffers())}
        self.weights.pop(0, None)
        self.wholes: dict[int, list[tuple[Tensor, Quantized]]] = {}
        self.alive: list[Tensor] = []
        for layer in self.layers.values():
            if not memory(layer.weight):
                raise UserError(f"{layer.name} has no memory of its own (torch.func.vmap), so its products can't be "
                                "followed: compute quantized nets one by one")  # fmt: skip
            self.note(layer.weight, frozenset({layer.name}), layer)

    @property
    def made(self) -> list[tuple[Tensor, Quantized]]:
        """Tensors that were computed from a weight, and have its shape or that of its transpose."""
        return [pair for pairs in self.wholes.values() for pair in pairs if pair[0] is not pair[1].weight]

    def of(self, x: Tensor) -> frozenset[str] | None:
        """Names of the weights that a tensor is computed from; None if data take part."""
        return self.weights.get(memory(x))

    def is_shaped(self, x: Tensor, names: frozenset[str]) -> bool:
        """True if a product with constants has the shape of one of these weights, or there are none. Else it is no
        weight, but such as learned queries that a layer projects.
        """
        return not names or any(orientations(x, self.layers[each].weight) for each in names)

    def follow(self, names: frozenset[str], made: Iterable[Tensor], *, in_place: bool) -> None:
        """Note what is computed from parameters alone. names: of the weights among them."""
        for x in made:
            same = [layer for each in names if orientations(x, (layer := self.layers[each]).weight)]
            if in_place:  # what the whole is of other weights, or of other places, is no longer what it was
                self.wholes[memory(x)] = [
                    (whole, layer)
                    for whole, layer in self.wholes.pop(memory(x), [])
                    if names <= {layer.name} and (whole is layer.weight or not same)
                ]
            self.note(x, names, same[0] if len(same) == 1 else None)

    def note(self, x: Tensor, names: frozenset[str], layer: Quantized | None) -> None:
        """Note a tensor that is computed from these weights. layer: the one whose shape it has."""
        place = memory(x)
        if not place:
            return
        self.weights[place] = self.weights.get(place, frozenset()) | names
        if layer is not None and (x is layer.weight or not self.wholes.get(place)):
            self.wholes.setdefault(place, []).append((x, layer))
        self.alive.append(x)

    def forget(self, x: Tensor) -> None:
        """Data are written into a tensor."""
        self.weights.pop(memory(x), None)
