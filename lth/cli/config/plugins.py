"""Plugins of Hydra's that are lth's own."""

import sys
from typing import Any

from hydra.core.plugins import Plugins

# The launcher of the plugin for Slurm, in whose place `lth.cli.config.slurm.Launcher` is used.
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
OWN: list[type[Any]] = []  # plugins of lth's


def own_plugins() -> None:
    """Let Hydra find the sweepers of lth's, and the launcher of Slurm, if it is installed, wait for all jobs. Hydra
    forgets both when a launcher runs a job in this process.
    """
    for plugin in OWN:
        Plugins.instance().register(plugin)
    known = Plugins.instance().class_name_to_class
    if SLURM in known:
        from lth.cli.config.slurm import Launcher

        known[SLURM] = Launcher


def register(plugin: type[Any]) -> None:
    """Give a plugin of lth's a name that Hydra takes: it must be of a package hydra_plugins."""
    name = f"hydra_plugins.lth_{plugin.__module__.rpartition('.')[2]}"
    sys.modules[name], plugin.__module__ = sys.modules[plugin.__module__], name
    OWN.append(plugin)
