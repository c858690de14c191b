"""Pictures of the concepts, as SVG: `python docs/pictures.py`. The numbers are those of `lth.schedule` and others."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lth import distribution, schedule

FOLDER = Path(__file__).parent / "pictures"
INK, KEPT, GONE, OTHER = "#333", "#1f77b4", "#e3e3e3", "#d95f02"
LAYERS = {"300 x 784": (300, 784), "100 x 300": (100, 300), "10 x 100": (10, 100)}  # LeNet-300-100


def svg(width: int, height: int, *parts: str) -> str:
    """A drawing on white, so that it is readable on a dark page too."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = 'font-family="sans-serif" font-size="13"'
    return "\n".join([f"{head} {style}>", f'<rect width="{width}" height="{height}" fill="#fff"/>', *parts, "</svg>\n"])


def box(x: float, y: float, width: float, height: float, color: str) -> str:
    """A filled rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{color}" stroke="#fff"/>'


def text(x: float, y: float, words: str, anchor: str = "middle", color: str = INK) -> str:
    """Words at a place; anchor: start, middle or end."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def line(points: Sequence[tuple[float, float]], color: str = INK, dash: str = "") -> str:
    """A line through points."""
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{where}" fill="none" stroke="{color}" stroke-width="2"{dashed}/>'


def arrow(x: float, y: float, to: float, color: str = INK) -> str:
    """A horizontal arrow."""
    return line([(x, y), (to, y)], color) + line([(to - 7, y - 5), (to, y), (to - 7, y + 5)], color)


def levels() -> str:
    """Levels 0 to 3 with what remains, and a branch below each."""
    ladder, parts = schedule.iterative(3), []
    for level in range(4):
        share = sum(round(ladder.density(level, "linear" if n else "output") * size)
                    for n, size in ((1, 235_200), (1, 30_000), (0, 1_000))) / 266_200  # fmt: skip
        x = 20 + 150 * level
        parts += [box(x, 30, 100, 34, GONE), box(x, 30, 100 * share, 34, KEPT)]
        parts += [text(x + 50, 22, f"level {level}"), text(x + 6, 52, f"{share:.1%}", "start", "#fff")]
        parts += [arrow(x + 104, 47, x + 146)] if level < 3 else []
        branch = [line([(x + 50, 68), (x + 50, 92)], OTHER, "4 3"), box(x, 94, 100, 28, OTHER)]
        parts += [*branch, text(x + 50, 113, "branch", color="#fff")] if level else []
    return svg(590, 135, *parts)


def schedules() -> str:
    """Density over levels of three schedules."""
    kinds = {"iterative, one_shot": (schedule.iterative(6), KEPT, ""),
             "exponential": (schedule.exponential(6), OTHER, "6 3"),
             "cubic": (schedule.cubic(6), "#1b9e77", "2 3")}  # fmt: skip
    parts = [line([(50, 10), (50, 180), (350, 180)]), text(200, 215, "level"), text(44, 24, "100%", "end")]
    parts += [text(50 + 50 * level, 197, str(level)) for level in range(7)]
    for row, (name, (ladder, color, dash)) in enumerate(kinds.items()):
        parts += [line([(50 + 50 * n, 180 - 160 * ladder.density(n, "linear")) for n in range(7)], color, dash)]
        parts += [line([(375, 40 + 24 * row), (405, 40 + 24 * row)], color, dash)]
        parts += [text(412, 44 + 24 * row, name, "start")]
    return svg(560, 225, *parts)


def distributions() -> str:
    """Share of each layer of LeNet-300-100 that five distributions keep, asked for 10% of each."""
    mask = {name: torch.ones(shape, dtype=torch.bool) for name, shape in LAYERS.items()}
    density, kinds = dict.fromkeys(mask, 0.1), ("uniform", "er", "balanced")
    parts = []
    for column, kind in enumerate(kinds):
        share: Callable[..., dict[str, float]] = getattr(distribution, kind)
        parts += [text(180 + 170 * column, 20, kind)]
        for row, (name, value) in enumerate(share({}, mask, density).items()):
            x, y = 120 + 170 * column, 34 + 36 * row
            parts += [text(105, y + 18, name, "end")] if not column else []
            parts += [box(x, y, 110, 26, GONE), box(x, y, 110 * value, 26, KEPT)]
            parts += [text(x + 115, y + 18, f"{value:.0%}", "start")]
    return svg(620, 145, *parts)


def structures() -> str:
    """Half of an 8 x 8 matrix by weight, by neuron (a row) and 2 of every 4 along a row."""
    scores = torch.rand(8, 8, generator=torch.Generator().manual_seed(1))
    rows, fours = scores.sum(1, keepdim=True).expand(8, 8), scores.view(16, 4)
    kept = {"weight": scores > scores.flatten().sort().values[31], "neuron": rows > rows[:, 0].sort().values[3],
            "n_of_m (2:4)": (fours.argsort(1).argsort(1) >= 2).view(8, 8)}  # fmt: skip
    parts = []
    for column, (name, mask) in enumerate(kept.items()):
        parts += [text(90 + 190 * column, 20, name)]
        parts += [box(18 + 190 * column + 18 * x, 32 + 18 * y, 18, 18, KEPT if mask[y, x] else GONE)
                  for y in range(8) for x in range(8)]  # fmt: skip
    return svg(560, 190, *parts)


def rewinding() -> str:
    """What each kind of rewinding takes its weights from, and the steps that are trained again."""
    kinds = [("weights, step=0", "W_0", 0.0), ("weights, step=k", "W_k", 0.25),
             ("learning_rate, step=k", "W_T", 0.25), ("fine_tune, steps=n", "W_T", 0.7)]  # fmt: skip
    at = {0: "0", 0.25: "k", 0.7: "T - n", 1: "T"}
    parts = [text(190 + 340 * share, 20, name) for share, name in at.items()]
    parts += [line([(190 + 340 * share, 28), (190 + 340 * share, 190)], GONE, "3 3") for share in at]
    for row, (name, weights, share) in enumerate(kinds):
        y = 50 + 40 * row
        parts += [text(170, y + 5, name, "end"), arrow(190 + 340 * share, y, 530, KEPT)]
        parts += [text(545, y + 5, f"from {weights}", "start")]
    return svg(620, 200, *parts)


PICTURES = {"levels": levels, "schedule": schedules, "distribution": distributions,
            "structure": structures, "rewind": rewinding}  # fmt: skip

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")
