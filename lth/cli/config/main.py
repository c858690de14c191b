"""`lth run`: from the command line to its exit code."""

import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import lth
from lth import UserError
from lth.cli.config import apart, reference, search
from lth.cli.config.accepted import fitted
from lth.cli.config.compose import sweeper_params, validated
from lth.cli.config.conf import CONF, plain
from lth.cli.config.contexts import announced, hydra_folder_overrides, hydra_quiet, hydra_raises, signals_handled
from lth.cli.config.explain import explanation
from lth.cli.config.flags import HELP, PRINTS, SHOWS, SWEEP, parted
from lth.cli.config.launcher import CLUSTER, arrive, check_single, check_threads, prepared
from lth.cli.config.literal import literal
from lth.cli.config.machine import take_gpu
from lth.cli.config.overrides import swept_keys, swept_with_groups, with_params
from lth.cli.config.own import see_own_modules, workers_as_here
from lth.cli.config.plugins import own_plugins
from lth.cli.config.task import JobFailed, Task, failures, summary
from lth.cli.config.trial import trial
from lth.cli.ending import FAILED, INTERRUPTED, Ending
from lth.cli.handlers import outlived
from lth.store.file import make_folder

if TYPE_CHECKING:
    from lth.job import Job


def main(arguments: Sequence[str]) -> int:
    """Run `lth run` with these arguments; returns the exit code."""
    given = parted(arguments)
    if given.has(HELP):
        names = [word for word in given.overrides if "=" not in word]
        print(reference.of_groups(names, given.folder) if names else reference.text(given.folder))
        return 0
    if given.has(("--version",)):
        print(f"lth {lth.__version__}")
        return 0
    if given.has(PRINTS):
        return _run([*given.flags, *given.overrides], False, Task(_job))
    sweeping = given.has(SWEEP) or "hydra.mode=MULTIRUN" in given.overrides
    words = with_params(given.overrides, sweeper_params(given.overrides, given.folder)) if sweeping else given.overrides
    overrides = literal(words, sweeping=sweeping, folder=given.folder)
    with announced("checking the configurations of the sweep ..." if sweeping else ""):
        checked = validated(overrides, given.folder)
    first = checked[0]
    search.check(overrides, first)
    if not sweeping and not given.has(SHOWS):
        check_single(overrides)
    if not given.has(SHOWS) and not first.plan:
        make_folder(Path(str(first.root)))
    see_own_modules()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not take a neighbor's core
    with hydra_folder_overrides(planning=bool(first.plan)) as folder, workers_as_here():
        keys = swept_keys(overrides) if sweeping else []
        launched = prepared(overrides, given.folder) if sweeping else overrides
        task = Task(partial(_job, here=os.getcwd(), swept=keys, typed=arguments))
        code = _run([*given.flags, *swept_with_groups(launched), *folder], sweeping, task)
    if sweeping and not first.plan:
        _report(checked, arguments)
    print(end=summary(task))
    print(end=failures(task), file=sys.stderr)
    return code


def _run(arguments: Sequence[str], sweeping: bool, task: Task) -> int:
    """Hand arguments to Hydra, which calls the task; returns the highest exit code of its jobs."""
    sys.argv = ["lth run", *arguments]
    try:
        with signals_handled(sweeping), hydra_raises(), hydra_quiet():
            own_plugins()
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (JobFailed, BrokenProcessPool):  # of a launcher's own process, or of this one
        return FAILED
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explanation(error)) from error
    except ConnectionError as error:
        if "running Ray instance" not in str(error):
            raise
        raise UserError(f"this machine belongs to no Ray cluster: {CLUSTER}", code=FAILED) from error
    except KeyboardInterrupt as stop:  # with words where the jobs themselves run on
        words = str(stop) or "stopped; the same command continues from here"
        raise UserError(words, code=INTERRUPTED) from None
    return task.code


def _report(checked: Sequence[DictConfig], typed: Sequence[str]) -> None:
    """Print and draw the experiments of a sweep. None of its jobs does, wherever its launcher ran them."""
    from lth.cli.results import Results, show

    names = dict.fromkeys(str(cfg.name) for cfg in checked)
    for root, name in product(dict.fromkeys(Path(str(cfg.root)) for cfg in checked), names):
        show(Results(root, name), typed)


def _job(cfg: DictConfig, *, here: str, **given: Any) -> Ending:
    """Run one job, in this process or in one of its own. here: folder in which it was launched. given: as for
    `_ended`.
    """
    cfg = trial(cfg)
    arrive(here, cfg)
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    job: apart.Job = partial(_ended, **given)
    try:
        return apart.ended(job, cfg) if sweeping and apart.is_worker() else job(cfg)
    except apart.Killed as how:
        line = f"{how}; the same command continues it"
        print(f"job {shlex.join(HydraConfig.get().overrides.task)}: {line}", file=sys.stderr)
        return Ending(FAILED, line)


def _ended(cfg: DictConfig, **given: Any) -> Ending:
    """Run one job in this process. given: swept, typed, patience and steps of `lth.cli.setting.Setting`."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    take_gpu(cfg.device, cfg.devices)
    see_own_modules()
    with outlived():  # in a process of a launcher, too
        return _outcome(cfg, sweeping=sweeping, **given)


def _outcome(cfg: DictConfig, *, sweeping: bool, **given: Any) -> Ending:
    with announced("" if sweeping else "loading PyTorch and Lightning ..."):
        from lth.cli import imports_done, run
        from lth.cli.config.values import instantiate, started
        from lth.cli.setting import Setting

        imports_done()
    overrides = HydraConfig.get().overrides.task
    setting = Setting(
        root=Path(str(cfg.root)),
        tracking=lambda **given: instantiate(fitted(cfg, overrides).tracking)(**given),
        config=plain(cfg),
        keep=cfg.store.keep,
        threads=cfg.threads,
        plan=cfg.plan,
        overrides=overrides,
        debug=cfg.traceback or cfg.debug,
        objective=plain(cfg)["objective"],
        sweeping=sweeping,
        **given,
    )

    def build() -> "Job":
        check_threads(cfg.threads)
        return started(cfg, overrides, parted(given["typed"]).folder, writes=not cfg.plan)

    return run.run(build, setting)
