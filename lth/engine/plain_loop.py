"""A plain PyTorch training loop on a device, for the benchmark: it shares no step with the engine.

Images are scaled ahead and resident; the loop is eager, or its whole step is one CUDA graph.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lth import augment
from lth.data import normalized
from lth.recipe import Recipe
from lth.ticket import Ticket


def plain_loop(
    recipe: Recipe, ticket: Ticket, device: torch.device, *, captured: bool = False
) -> Callable[[int], None]:
    """A loop of one net: number of steps -> None."""
    step = _plain_step(recipe, ticket, device, captured)
    if captured:
        step = _graph_of(step)

    def steps(count: int) -> None:
        for _ in range(count):
            step()

    return steps


def _plain_step(recipe: Recipe, ticket: Ticket, device: torch.device, captured: bool) -> Callable[[], None]:
    half = recipe.precision == "bf16"
    images, labels = normalized(recipe.data, recipe.data.train, device)
    layout = torch.channels_last if half else torch.contiguous_format
    net: nn.Module = recipe.net().to(device, memory_format=layout)  # type: ignore[call-overload]
    optimizer = recipe.optimizer(net.parameters())
    for group in optimizer.param_groups if captured else ():
        group["capturable"] = True
    weights: list[Tensor] = [net.get_parameter(name) for name in ticket.mask]
    masks = [mask.to(device).float().contiguous(memory_format=_layout(mask, layout)) for mask in ticket.mask.values()]
    order = torch.randint(len(labels), (1000, recipe.batch_size), device=device)
    at = torch.zeros(1, dtype=torch.int64, device=device)

    def step() -> None:
        batch = order.index_select(0, at)[0]
        x, y = images.index_select(0, batch), labels.index_select(0, batch)
        if recipe.augment is not augment.none:
            x = _moved(x)
        with torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            loss = nn.functional.cross_entropy(net(x.contiguous(memory_format=layout)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            if masks:
                torch._foreach_mul_(weights, masks)
            at.add_(1).remainder_(len(order))

    return step


def _layout(mask: Tensor, layout: torch.memory_format) -> torch.memory_format:
    return layout if mask.dim() == 4 else torch.contiguous_format


def _moved(x: Tensor, pad: int = 4) -> Tensor:
    """Random flips and crops of a batch of images, B x C x H x W."""
    count, channels, height, width = x.shape
    down, right = torch.randint(2 * pad + 1, (2, count, 1, 1), device=x.device)
    column = torch.arange(width, device=x.device)
    flipped = torch.rand(count, 1, 1, device=x.device) < 0.5
    columns = right + torch.where(flipped, width - 1 - column, column)
    pixels = (down + torch.arange(height, device=x.device)[:, None]) * (width + 2 * pad) + columns
    padded = nn.functional.pad(x, (pad,) * 4).flatten(2)
    return padded.gather(2, pixels.view(count, 1, -1).expand(-1, channels, -1)).view_as(x)


def _graph_of(step: Callable[[], None]) -> Callable[[], None]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
