"""Choices of a config group that there are not: why, what installs them, or which one was meant."""

import re
from collections.abc import Sequence
from pathlib import Path

from lth.cli.config.conf import CONF, LISTS
from lth.store.names import did_you_mean, similar

# Optimizers of PyTorch that no training here can use.
REFUSED = {
    "optimizer/lbfgs": "LBFGS computes the loss several times within a step, and a step here computes it once",
    "optimizer/sparseadam": "SparseAdam takes sparse gradients only, and those here are dense",
    "optimizer/muon": "Muon trains matrices only, and nets have biases too (for one that has none: "
    "optimizer._target_=torch.optim.Muon)",
}
# Launchers of Hydra that are packages of their own -> what installs them.
LAUNCHERS = {
    "submitit_slurm": "'lth[slurm]'",
    "submitit_local": "'lth[slurm]'",
    "ray": "'lth[ray]'",
    "ray_aws": "'lth[ray]'",
    "rq": "hydra-rq-launcher",
}
MESSAGE = re.compile(
    r"Could not find '(?P<group>[\w/]+)/(?P<name>[^/']+)'\s*Available options in '[\w/]+':(?P<known>.*)", re.S
)
# An option of a list, such as branch=[shuffle], of which Hydra does not say what there is.
OF_A_LIST = re.compile(r"Could not load '(?P<group>\w+)/(?P<name>[^/']+)'")
# A launcher of lth's on top of one that is not installed.
ON_TOP = re.compile(r"In 'hydra/launcher/(?P<name>\w+)': Could not load 'hydra/launcher/(?P<missing>\w+)'")


def choice(message: str, folders: Sequence[str] = ()) -> str:
    """A sentence in the place of Hydra's message on an option that a group does not have; "" for other messages.
    folders: of the configuration, the user's own among them.
    """
    if (found := ON_TOP.search(message)) and found["missing"] in LAUNCHERS:
        return f"hydra/launcher={found['name']}: pip install {LAUNCHERS[found['missing']]} installs what it needs"
    if one := MESSAGE.search(message):
        group, name, known = one["group"], one["name"], one["known"].split()
    elif (found := OF_A_LIST.search(message)) and (CONF / found["group"]).is_dir():
        group, name = found["group"], found["name"]
        known = options(group, [CONF, *map(Path, folders)])
    else:
        return ""
    if why := REFUSED.get(f"{group}/{_plain(name)}"):
        return f"{group}={name}: {why}; choose {', '.join(known)}"
    if group == "hydra/launcher" and name in LAUNCHERS:
        return f"{group}={name}: pip install {LAUNCHERS[name]} installs it; else choose {', '.join(known)}"
    plain = {_plain(each): each for each in known}
    same = [plain[_plain(name)]] if _plain(name) in plain else []
    close = same or [plain[each] for each in similar(_plain(name), plain)]
    close = close or [each for each in known if each.startswith(name)]
    also = "; torchvision's nets are model=torchvision model.name=resnet18" if group == "model" else ""
    return f"there is no {group}={name}{did_you_mean(close) or '.'} Choose {', '.join(known)}{also}{_own(group, name)}"


def _own(group: str, name: str) -> str:
    """Words on options of the user's own, behind those that there are."""
    if group.startswith("hydra"):
        return ""
    function = name if "." in name else "module.function"
    target = "" if group in (*LISTS, "experiment") else f", or {group}._target_={function}"
    return f"; one of your own needs --config-dir DIR{target}"


def options(group: str, folders: Sequence[Path]) -> list[str]:
    """The names of the options of a config group, in alphabetical order. folders: of the configuration."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def _plain(name: str) -> str:
    """A name as AdamW, adam_w and adamw have it in common."""
    return re.sub(r"[_-]", "", name).lower()
