"""Launchers of a sweep: what installs them, how they share a machine, and how a job begins where it was launched."""

import logging
import os
import platform
import re
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from math import prod
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lth import UserError
from lth.cli.config.compose import composed
from lth.cli.config.machine import at_once, granted, worker
from lth.cli.config.overrides import expand
from lth.cli.override import PATHS, key_of

log = logging.getLogger("lth")
# Plugins of Hydra that are packages of their own -> what installs them.
PLUGINS = {"hydra_plugins.hydra_ray_launcher": "lth[ray]", "hydra_plugins.hydra_submitit_launcher": "lth[slurm]"}
OF_LAUNCHER = re.compile(r"[+~]*hydra[/.]launcher\b")
CLUSTER = "`ray start --head` starts one, and RAY_ADDRESS=HOST:PORT names it"
CHOSEN = "a launcher is chosen by its name, as in hydra/launcher=slurm"
HERE = ("basic", "joblib")  # launchers whose jobs run on this machine, as a single job does

OmegaConf.register_new_resolver("gpus_for", lambda device, devices: devices * (device in ("gpu", "cuda")), replace=True)
OmegaConf.register_new_resolver("cores_for", lambda threads, devices: threads * devices, replace=True)
# Evaluated on the machine of a job, whose working directory may be another than that of the sweep.
OmegaConf.register_new_resolver("within", lambda folder, path: str(Path(str(folder), str(path))), replace=True)


def prepared(overrides: Sequence[str], folder: Path | None = None) -> list[str]:
    """The overrides of a sweep, with those that its launcher needs. Raises UserError if its plugin is not installed, or
    if a cluster does not answer. A plan, which only looks, is made in this process.

    joblib gets as many processes as suit this machine, unless a number is given, and none for a single job. They take
    one job at a time: stored ones end fast, and a long one must not wait behind another.
    """
    cfg = composed(overrides, folder)
    launcher = cfg.hydra.launcher
    if not isinstance(launcher, DictConfig):
        raise UserError(f"hydra.launcher={launcher}: {CHOSEN}")
    if cfg.plan:
        return [*(each for each in overrides if not OF_LAUNCHER.match(each)), "hydra/launcher=basic"]
    check_installed(str(launcher.get("_target_")), overrides)
    if (address := OmegaConf.select(launcher, "ray.init.address")) is not None:
        check_answers(str(address))
    if "joblib" not in str(launcher.get("_target_")):
        return [*overrides]
    if launcher.n_jobs == 0:
        raise UserError(
            "hydra.launcher.n_jobs=0: give the number of jobs at once, or -1 for as many as suit this machine"
        )
    processes = 1 if _is_single(cfg, overrides) else at_once(cfg.threads, cfg.device, cfg.devices)
    wanted = {"n_jobs": (-1, processes), "batch_size": ("auto", 1)}
    return [*overrides, *(f"hydra.launcher.{key}={value}" for key, (usual, value) in wanted.items()
                          if launcher[key] == usual)]  # fmt: skip


def check_single(overrides: Sequence[str]) -> None:
    """Raise UserError for a launcher that a single job would not be run by: it runs here, in this process."""
    for word in overrides:
        if key_of(word) == "hydra.launcher":
            raise UserError(f"{word}: {CHOSEN}")
        if key_of(word) == "hydra/launcher" and word.partition("=")[2] not in HERE:
            raise UserError(f"{word}: a job without -m runs on this machine; add -m, which hands it to the launcher")


def _is_single(cfg: DictConfig, overrides: Sequence[str]) -> bool:
    """True for a sweep of one job; how many another sweeper makes is not known."""
    known = str(cfg.hydra.sweeper.get("_target_")).endswith((".lth_sweep.Sweeper", ".BasicSweeper"))
    return known and prod(len(values) for values in expand(overrides)) == 1


def check_installed(target: str, overrides: Sequence[str] = ()) -> None:
    """Raise UserError that names what installs the plugin of a launcher."""
    for plugin, package in PLUGINS.items():
        if target.startswith(f"{plugin}.") and not _is_installed(plugin):
            chosen = next((each for each in overrides if each.startswith("hydra/launcher=")), "hydra/launcher")
            raise UserError(f"{chosen}: pip install '{package}' installs it; else choose joblib or basic")


def check_answers(address: str) -> None:
    """Raise UserError if there is no Ray cluster at HOST:PORT, which Ray would try for minutes."""
    named = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if found := re.fullmatch(r"(?:ray://)?(?P<host>.+):(?P<port>\d+)", named):
        try:
            socket.create_connection((found["host"], int(found["port"])), timeout=10).close()
        except OSError as error:
            raise UserError(
                f"no Ray cluster answers at {named} ({error.strerror or error}): {CLUSTER}", code=1
            ) from error


def arrive(here: str, cfg: DictConfig) -> None:
    """Go to the folder in which a sweep was launched, where its relative paths and the user's own modules are. Raises
    UserError if this machine does not have that folder and the job needs it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not take a neighbor's core
    try:
        os.chdir(here)
    except OSError as error:
        for key in PATHS:
            if isinstance(path := OmegaConf.select(cfg, key), str) and not Path(path).expanduser().is_absolute():
                raise UserError(
                    f"{key}={path}: {platform.node()} has no folder {here}, in which the sweep was launched "
                    f"({error.strerror}); give an absolute path that all machines share"
                ) from error


def check_threads(threads: int) -> None:
    """Warn of more threads than cores that a scheduler gave to this job, and say if it gave more than are used."""
    if worker() is not None or (given := granted()) is None:
        return
    name, number = given
    if threads > number:
        log.warning("threads=%d, but the job has %d cores (%s): the threads wait for each other", threads, number, name)
    elif number > threads and name == "SLURM_CPUS_PER_TASK":
        log.info("threads=%d of %d cores (%s) are used; a sweep (-m) takes them all", threads, number, name)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not
        return False
