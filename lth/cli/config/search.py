"""A search by Optuna: a sweep whose jobs are chosen, a few at a time, by how earlier ones ended.

A trial is a function of the seed, its number and the trials before it. So the same command chooses the same trials, and
those that are stored are read: it continues a search that was stopped, with and without a storage of Optuna's.
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lth import UserError
from lth.cli.config.overrides import searches, swept_keys, values
from lth.cli.config.plugins import register
from lth.cli.config.search_space import check_study, distribution
from lth.cli.config.sweep import Sweeper
from lth.cli.console import csv_text, number_of
from lth.cli.ending import Ending, objectives
from lth.file import write_text

MOST = 10_000  # trials of a seed


def check(overrides: Sequence[str], first: DictConfig) -> None:
    """Raise UserError if a search is asked for that can't begin. first: a configuration of it."""
    if not searches(overrides):
        return
    if importlib.util.find_spec("optuna") is None:
        raise UserError("hydra/sweeper=optuna: Optuna is not installed: pip install 'lth[optuna]'")
    if first.objective is None:
        raise UserError("hydra/sweeper=optuna: say what to optimize, such as objective=early_stop_val_accuracy")
    if not swept_keys(overrides):
        raise UserError("hydra/sweeper=optuna: nothing is searched; give a key an interval or values, such as "
                        "'optimizer.lr=tag(log,interval(1e-4,1e-2))' rewind.step=0,50,100")  # fmt: skip


class Search(Sweeper):
    """Trials that Optuna chooses by its tree-structured Parzen estimator (TPE); see conf/hydra/sweeper/optuna.yaml."""

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        seed: int,
        startup: int,
        direction: str | Sequence[str] | None,
        storage: str | None,
        study: str | None,
        params: Mapping[str, str] | None,
    ) -> None:
        super().__init__()
        self.trials, self.jobs, self.seed, self.startup = n_trials, n_jobs, seed, startup
        self.direction, self.storage, self.study = direction, storage, study

    def run(self, arguments: Sequence[str]) -> None:
        """Ask for trials, run them, tell how they ended."""
        import optuna

        self._check()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        parsed = OverridesParser.create().parse_overrides([*arguments])
        fixed = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
        space = {str(o.get_key_element()): distribution(o) for o in parsed if o.is_sweep_override()}
        file = Path(self.task.folder).parent / "trials.csv"
        study = self._study()
        check_study(study, _places(study).values(), space, self._directions())
        if len(_places(study)) >= self.trials and not study.best_trials:
            raise UserError("hydra.sweeper.storage: no trial of this search has finished; take another study, such as "
                            "hydra.sweeper.study=second", code=1)  # fmt: skip
        self.task.tolerant = True
        self.task.steps = [int(v) for o in parsed if o.get_key_element() == "rewind.step" and o.is_choice_sweep()
                           for v in values(o)]  # fmt: skip
        unknown = False  # in a plan: the objectives of trials that are not stored
        while (done := len(_places(study))) < self.trials and not (unknown and done >= self.startup):
            asked = self._asked_for(study, space, min(self.jobs, self.trials - done))
            jobs = [[*fixed, *(f"{key}={value}" for key, value in params.items())] for params in asked]
            for place, params, ended in zip(range(done, self.trials), asked, self.finish(jobs), strict=False):
                _add(study, place, params, space, ended)
                unknown |= bool(self.config.plan) and ended.objective is None
            if not self.config.plan:
                _write(file, study, objectives(self.config.objective), [*space])
        if self.config.plan:
            left = self.trials - len(_places(study))
            self.task.said = f"{number_of(left, 'more trial')}, chosen by what these give\n" if left else ""
        else:
            self.task.said = f"{_best(study, objectives(self.config.objective))}trials  {file}\n"

    def _study(self) -> Any:
        """The study, which is stored if there is a storage. A plan, which changes nothing, has a copy."""
        import optuna

        name, directions = self.study or str(self.config.name), self._directions()
        if not self.config.plan:
            given: Any = {"study_name": name, "storage": _storage(self.storage), "load_if_exists": True}
            return optuna.create_study(**given, directions=directions)
        copy = optuna.create_study(directions=directions)
        file = (self.storage or "").removeprefix("sqlite:///")
        storage = _storage(self.storage) if self.storage and ("://" in file or Path(file).exists()) else None
        if storage is not None and name in optuna.get_all_study_names(storage):
            stored = optuna.load_study(study_name=name, storage=storage)
            copy = optuna.create_study(study_name=name, directions=stored.directions)
            copy.add_trials(stored.get_trials())
        return copy

    def _check(self) -> None:
        """Raise UserError for a number of trials that can't be."""
        given = {"n_trials": self.trials, "n_jobs": self.jobs, "seed": self.seed, "startup": self.startup}
        for name, value in given.items():
            bound = int(name.startswith("n_"))
            if type(value) is not int or not bound <= value <= MOST:
                raise UserError(f"hydra.sweeper.{name}={value}: give a whole number from {bound} to {MOST}")

    def _asked_for(self, study: Any, space: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
        """The values of the next trials, which depend on the seed, their places and the trials before them alone: they
        are asked of a study that has those, and none that another process began.
        """
        import optuna

        known = _places(study)
        copy, asked = optuna.create_study(directions=study.directions), []
        copy.add_trials([known[place] for place in sorted(known)])
        for place in range(len(known), len(known) + count):
            given: Any = {"seed": self.seed * MOST + place, "n_startup_trials": self.startup}
            copy.sampler = optuna.samplers.TPESampler(**given, constant_liar=self.jobs > 1)
            asked.append(copy.ask(dict(space)).params)
        return asked

    def _directions(self) -> Any:
        """One for each column of the objective."""
        names, given = objectives(self.config.objective), self.direction
        if given is None:
            return ["maximize" if name.endswith("_accuracy") else "minimize" for name in names]
        directions = [given] if isinstance(given, str) else [*given]
        if len(directions) != len(names) or {*directions} - {"minimize", "maximize"}:
            raise UserError(f"hydra.sweeper.direction={given}: give minimize or maximize for each column of objective")
        return directions


def _storage(text: str | None) -> Any:
    """Optuna's storage: in memory, a database by its address, or a journal in a file."""
    if text is None or "://" in text:
        return text
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    Path(text).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(text))


def _places(study: Any) -> dict[int, Any]:
    """The trials that have ended, by their place in the search."""
    return {trial.user_attrs["place"]: trial for trial in study.get_trials() if "place" in trial.user_attrs}


def _add(study: Any, place: int, params: Mapping[str, Any], space: Mapping[str, Any], ended: Ending) -> None:
    """Add a trial that has ended, unless another process that runs the same command has added it."""
    import optuna

    found: Any = ended.objective if isinstance(ended.objective, Sequence) else [ended.objective]
    good = not ended.code and all(value is not None and math.isfinite(value) for value in found)
    state = optuna.trial.TrialState.COMPLETE if good else optuna.trial.TrialState.FAIL
    if place not in _places(study):
        given: Any = {"params": dict(params), "distributions": dict(space), "user_attrs": {"place": place}}
        study.add_trial(optuna.trial.create_trial(state=state, values=found if good else None, **given))


def _write(file: Path, study: Any, names: Sequence[str], keys: Sequence[str]) -> None:
    """Write a table of the trials."""
    rows = [
        [place, trial.state.name.lower(), *(trial.values or [""] * len(names)), *(trial.params[key] for key in keys)]
        for place, trial in sorted(_places(study).items())
    ]
    write_text(file, csv_text([["trial", "state", *names, *keys], *rows]) + "\n")


def _best(study: Any, names: Sequence[str]) -> str:
    """A line for the best trial, or, with several objectives, for each that no other one beats in all."""
    count = f"search of {len(_places(study))} trials"
    if not (best := study.best_trials):
        return f"{count}: none has finished\n"
    lines = [
        f"{', '.join(f'{name} {value:.6g}' for name, value in zip(names, trial.values, strict=True))} with "
        + " ".join(f"{key}={value}" for key, value in trial.params.items())
        for trial in best[: 1 if len(names) == 1 else None]
    ]
    return "".join([f"{count}; best:\n", *(f"  {line}\n" for line in lines)])


register(Search)
