"""`debug=true`: the same job on few examples for few steps, under a name of its own, to try all of its paths."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lth.cli.config.conf import chosen
from lth.cli.config.signature import arguments
from lth.schedule import rungs

STEPS, EXAMPLES, BATCH, LEVELS, QUEUE = 10, 100, 20, 2, 2
# Keys that count steps of a training, beside `steps`; they shrink as it does.
IN_STEPS = ("lr.at", "lr.warmup", "lr.steps", "rewind.step", "rewind.steps")
OF_BRANCHES = (".transform.steps", ".transform.step", ".transform.images")  # ends of keys that shrink too
LISTS = (list, ListConfig)  # interpolations give plain ones
REDUCED = f"debug=true: {STEPS} steps, {EXAMPLES} examples"


def trial(cfg: DictConfig) -> DictConfig:
    """The configuration of a trial if debug=true, else the same."""
    if not cfg.debug:
        return cfg
    small, steps = cfg.copy(), min(cfg.steps, STEPS)
    OmegaConf.set_struct(small, False)
    for key in IN_STEPS:
        if (value := _given(cfg, key)) is not None:
            OmegaConf.update(small, key, _shrunk(value, steps / cfg.steps))
    if (more := small.rewind.get("steps")) is not None:
        small.rewind.steps = min(more, steps)
    _shrink_updater(small, steps / cfg.steps)
    levels = _few(cfg.levels)
    first = min(cfg.train_from, max(levels, default=0) if isinstance(levels, LISTS) else levels)
    small.merge_with({"name": f"{cfg.name}-debug", "steps": steps, "levels": levels, "train_from": first})
    small.evaluate_every, small.batch_size = min(cfg.evaluate_every, STEPS // 2), min(cfg.batch_size, BATCH)
    small.data.limit = min(cfg.data.get("limit") or EXAMPLES, EXAMPLES)
    for entry in [*chosen(small, "branch").values(), *chosen(small, "quantization").values()]:
        _shrink_branch(entry, small.levels, steps / cfg.steps)
    OmegaConf.set_struct(small, True)
    return small


def shrinks(key: str) -> bool:
    """True for the key of a number that is smaller in a trial."""
    return key in IN_STEPS or (key.startswith(("branch.", "quantization.")) and key.endswith(OF_BRANCHES))


def _given(cfg: DictConfig, key: str) -> Any:
    """A value that does not follow `steps` by itself; None if there is none."""
    group, _, name = key.partition(".")
    raw: Any = OmegaConf.to_container(cfg[group])
    return None if raw.get(name) in (None, "${steps}") else cfg[group][name]


def _shrunk(value: Any, share: float) -> Any:
    """A number of steps, or each of a list, times the share; at least 1, unless it was 0."""
    if isinstance(value, LISTS):
        return [_shrunk(each, share) for each in value]
    return value if isinstance(value, bool) or not isinstance(value, int) else min(value, max(1, int(value * share)))


def _few(levels: Any) -> Any:
    return list(levels)[:LEVELS] if isinstance(levels, LISTS) else min(levels, LEVELS)


def _shrink_updater(small: DictConfig, share: float) -> None:
    """Keep the end of gradual pruning a multiple of `every` steps after its begin, and one update of SET and RigL."""
    node = small.updater
    if node["_target_"] in ("lth.updater.set", "lth.updater.rigl"):
        node.every = max(1, int(node.every * share))
        node.end = max(node.every + 1, int(node.end * share))
    if node["_target_"] == "lth.updater.gradual":
        begin, every = int(node.begin * share), max(1, int(node.every * share))
        node.begin, node.end, node.every = (
            begin,
            begin + max(1, int((node.end - begin) * share) // every) * every,
            every,
        )


def _shrink_branch(entry: DictConfig, levels: Any, share: float) -> None:
    """Let a control or a quantization branch off at every level once, or twice to compare what it gives."""
    dense = "draws" in entry and 0 in (entry.levels or ())  # of a control, null is all levels but the dense one
    entry.levels = rungs(levels) if dense else None
    if "draws" in entry:
        entry.draws = 2 if entry.get("compare") else 1
    for key, most in (("steps", STEPS), ("images", EXAMPLES)):
        if key in entry.transform:
            entry.transform[key] = min(entry.transform[key], most)
    raw: Any = OmegaConf.to_container(entry.transform)
    if raw.get("step") not in (None, "${steps}", "${rewind.step}"):  # those have shrunk
        entry.transform.step = _shrunk(entry.transform.step, share)
    if entry.transform["_target_"] == "lth.branch.early_bird":
        (queue,) = arguments(entry.transform, "queue")
        entry.transform.every, entry.transform.queue = 1, min(queue, QUEUE)
    if entry.get("compare") and entry.compare["_target_"] == "lth.connectivity.compare":
        entry.compare.examples = min(entry.compare.get("examples", EXAMPLES), EXAMPLES)
