"""The location of the configuration files, and views of a composed configuration."""

from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from lth.analysis.full import said
from lth.analysis.registry import CONF
from lth.cli.config.keys import leaves

__all__ = ["CONF", "Scale", "branches", "plain", "reductions"]

Scale = Literal["full", "reduced"]

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
    idle = tuple(f"branch.{name}." for name in (cfg.get("branch") or {}) if name not in branches(cfg))
    changed = [key for key in now if now[key] != full[key] and key != "scale" and not key.startswith(idle)]
    return ", ".join(f"{key} {now[key]} instead of {said(full[key])}" for key in changed)


def branches(cfg: DictConfig) -> dict[str, DictConfig]:
    """The selected controls. An experiment sets levels of its own controls even if branch= selects others."""
    return {str(name): node for name, node in (cfg.get("branch") or {}).items() if "transform" in node}
