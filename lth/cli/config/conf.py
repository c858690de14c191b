"""The location of the configuration files, and views of a composed configuration."""

from collections.abc import Mapping
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from lth.analysis.full import said
from lth.analysis.registry import CONF
from lth.cli.config.keys import leaves

__all__ = ["CONF", "LISTS", "Scale", "active", "chosen", "idle", "plain", "reductions"]

Scale = Literal["full", "reduced"]
LISTS = ("branch", "quantization", "stop")  # groups of which several options are chosen, by name

# ${scaled:full,reduced} in a config: the paper's value, or the second one under scale=reduced.
OmegaConf.register_new_resolver(
    "scaled", lambda full, reduced, *, _root_: full if _root_.scale == "full" else reduced, replace=True
)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as mappings, lists and values, with all interpolations resolved."""
    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    return resolved  # type: ignore[no-any-return]


def reductions(cfg: DictConfig) -> str:
    """Changes made by scale=reduced, such as "steps 4000 instead of 20000"; empty at full scale."""
    unscaled = cfg.copy()
    unscaled.scale = "full"
    now, full = leaves(plain(cfg)), leaves(plain(unscaled))
    unused = tuple(f"{entry}." for entry in idle(plain(cfg)))
    changed = [key for key in now if now[key] != full[key] and key != "scale" and not key.startswith(unused)]
    return ", ".join(f"{key} {now[key]} instead of {said(full[key])}" for key in changed)


def chosen(config: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The entries of a group that have a function, by name: the options that were chosen."""
    return {str(name): node for name, node in (config.get(group) or {}).items() if _has_function(group, node)}


def active(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without idle entries."""
    return {**config, **{group: chosen(config, group) for group in LISTS}}


def idle(config: Mapping[str, Any]) -> list[str]:
    """The entries that have values and no function, such as branch.shuffle: an experiment sets levels of its own
    controls even if branch= chooses others.
    """
    return [
        f"{group}.{name}" for group in LISTS for name in config.get(group) or {} if name not in chosen(config, group)
    ]


def _has_function(group: str, node: Any) -> bool:
    holder = node if group == "stop" or not isinstance(node, Mapping) else node.get("transform", {})
    return not isinstance(holder, Mapping) or "_target_" in holder  # what is no mapping is refused as a value
