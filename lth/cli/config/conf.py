"""Where the configuration is, and what can be read off it."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from lth.analysis.registry import CONF
from lth.cli.config.check import leaves

__all__ = ["CONF", "branches", "plain", "reductions"]

# ${scaled:full,reduced} in a config: the first value as the paper has it, the second under scale=reduced.
OmegaConf.register_new_resolver(
    "scaled", lambda full, reduced, *, _root_: full if _root_.scale == "full" else reduced, replace=True
)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as mappings, lists and values, everything resolved."""
    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    return resolved  # type: ignore[no-any-return]


def reductions(cfg: DictConfig) -> str:
    """What scale=reduced changes, such as "steps 4000 of 20000"; nothing at full scale."""
    unscaled = cfg.copy()
    unscaled.scale = "full"
    now, full = leaves(plain(cfg)), leaves(plain(unscaled))
    idle = tuple(f"branch.{name}." for name in (cfg.get("branch") or {}) if name not in branches(cfg))
    changed = [key for key in now if now[key] != full[key] and key != "scale" and not key.startswith(idle)]
    return ", ".join(f"{key} {now[key]} instead of {full[key]}" for key in changed)


def branches(cfg: DictConfig) -> dict[str, DictConfig]:
    """The controls that were chosen; an experiment says of its own at which levels, also if branch= chooses others."""
    return {str(name): node for name, node in (cfg.get("branch") or {}).items() if "transform" in node}
