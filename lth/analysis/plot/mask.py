"""Where the weights of a ticket are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

from lth.analysis.plot.style import COLORS, STYLE

if TYPE_CHECKING:
    from lth.ticket import Ticket


def mask(ticket: "Ticket", shape: Sequence[int], title: str = "") -> Figure:
    """Where a ticket's weights are: the density of each layer, and how many connections of the first layer, if it is a
    linear one, each pixel of an image (shape: channels, height, width) has left.
    """
    first = next(iter(ticket.mask.values()))
    pixels = first.sum(0).reshape(tuple(shape)).sum(0) if first.dim() == 2 else None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4) if pixels is not None else (5, 4), layout="constrained")
        panels = figure.subplots(1, 2 if pixels is not None else 1, squeeze=False)[0]
        densities = {name.removesuffix(".weight"): 100 * float(m.float().mean()) for name, m in ticket.mask.items()}
        panels[0].barh(list(densities), list(densities.values()), color=COLORS["ticket"])
        panels[0].invert_yaxis()
        panels[0].set_xlabel("percent of weights remaining")
        panels[0].set_ylabel("layer")
        if pixels is not None:
            image = panels[1].imshow(pixels.numpy(), cmap="viridis")
            panels[1].grid(False)
            panels[1].set_title("connections left of each pixel", fontsize=9)
            figure.colorbar(image, ax=panels[1])
        figure.suptitle(title or str(ticket))
    return figure
