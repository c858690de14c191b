"""Remaining weights of a ticket."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lth.analysis.plot.style import LOOKS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lth.ticket import Ticket


def mask(ticket: "Ticket", shape: Sequence[int], title: str = "") -> "Figure":
    """Density of each layer and, if the first layer is linear, the remaining connections of each pixel of an image
    (shape: channels, height, width).
    """
    first = next(iter(ticket.mask.values()))
    pixels = first.sum(0).reshape(tuple(shape)).sum(0) if first.dim() == 2 else None
    with new_figure(5 if pixels is None else 10, 4, 1, 1 if pixels is None else 2) as (figure, ((layers, *rest),)):
        densities = {name.removesuffix(".weight"): 100 * float(m.float().mean()) for name, m in ticket.mask.items()}
        layers.barh(list(densities), list(densities.values()), color=LOOKS["ticket"][0])
        layers.invert_yaxis()
        layers.set_xlabel("percent of weights remaining")
        layers.set_ylabel("layer")
        if pixels is not None:
            (axes,) = rest
            image = axes.imshow(pixels.numpy(), cmap="viridis")
            axes.grid(False)
            axes.set_title("connections left of each pixel", fontsize=9)
            figure.colorbar(image, ax=axes)
        figure.suptitle(title or str(ticket))
    return figure
