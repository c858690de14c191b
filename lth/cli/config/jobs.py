"""`lth run` overrides, or the name of an experiment -> jobs, for commands that read what such jobs have stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth import UserError
from lth.analysis.registry import names
from lth.cli.config.compose import compositions
from lth.cli.config.flags import check_folder
from lth.cli.config.literal import literal
from lth.cli.config.overrides import is_swept
from lth.cli.config.own import see_own_modules
from lth.cli.override import key_of
from lth.store.names import check_name
from lth.store.record import has_records, no_results, records

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lth.job import Job

MORE = ("levels", "replicate", "branch", "quantization")  # keys that don't tell jobs apart (`lth.job.Job.identity`)


def jobs(words: Sequence[str], folder: Path | None = None) -> "list[tuple[Job, Path]]":
    """The jobs of a sweep, or of a stored experiment, each with the folder of its store; raises UserError. words:
    overrides, or the name of the experiment and those that choose among its jobs. folder: the value of --config-dir.
    """
    folder = None if folder is None else check_folder(str(folder))
    given = [word for word in words if "=" in word or word.startswith("~")]
    if named := [word for word in words if word not in given]:
        return _stored(named, given, folder)
    return [(_job(cfg, own, folder), Path(str(cfg.root))) for cfg, own in _composed(given, folder)]


def _composed(overrides: Sequence[str], folder: Path | None) -> "list[tuple[DictConfig, tuple[str, ...]]]":
    found = compositions(literal(overrides, sweeping=True, folder=folder), folder)
    see_own_modules()
    return found


def _job(cfg: "DictConfig", overrides: Sequence[str], folder: Path | None) -> "Job":
    from lth.cli.config.values import started

    return started(cfg, overrides, folder)


def _stored(named: Sequence[str], given: Sequence[str], folder: Path | None) -> "list[tuple[Job, Path]]":
    """The jobs of a stored experiment that have these values, with the replicates and levels that are there."""
    if len(named) > 1:
        raise UserError(f"{' '.join(named)}: give the name of one stored experiment, and key=value to choose its jobs")
    (name,), root = named, next((word[5:] for word in reversed(given) if word.startswith("root=")), "runs")
    check_name(name)
    there = {record["job"]: record for record in records(Path(root), name) if "job" in record and record["rows"]}
    found: dict[str, tuple[Job, Path]] = {}
    held: dict[str, set[int]] = {}
    made = dict.fromkeys(tuple(record["overrides"]) for record in there.values() if "overrides" in record)
    for overrides in made:
        for cfg, each in _chosen(name, overrides, given, folder):
            cfg.name = name  # it may have been renamed
            job = _job(cfg, each, folder)
            if replicates := {r for r in job.replicates if f"{job.identity}-{r}" in there}:
                held.setdefault(job.identity, set()).update(replicates)
                found[job.identity] = job, Path(str(cfg.root))
    if found:
        return [(_reaching(replace(job, replicates=sorted(held[key])), there), at) for key, (job, at) in found.items()]
    if made:
        if not (chosen := " ".join(word for word in given if not word.startswith("root="))):
            raise UserError(
                f"{name}: its lth run would now train something other than its jobs under {root} did: a "
                "setting, a function of yours or the data has changed. Run it again, or undo the change"
            )
        raise UserError(f"{name}: none of its jobs under {root} has {chosen}; lth table {name} lists them")
    if there:
        raise UserError(f"{name} was stored without the overrides that made it, by an older version, from Python or by "
                        "lth unpack: write those of its lth run (name=... experiment=...)")  # fmt: skip
    if has_records(Path(root), name):
        raise UserError(no_results(Path(root), name), code=1)
    known = f"experiment={name}" if name in names() else "steps=1000"
    raise UserError(f"{name}: there is no experiment of this name under {root} (root=DIR names another folder); for "
                    f"overrides, write key=value, such as {known}")  # fmt: skip


def _chosen(
    name: str, overrides: Sequence[str], given: Sequence[str], folder: Path | None
) -> "list[tuple[DictConfig, tuple[str, ...]]]":
    """The configurations of a stored experiment, by the overrides that trained it, with others in the place of some;
    none if these can't be composed and are of another job.
    """
    keys = {key_of(word) for word in given}
    try:
        return _composed([*(word for word in overrides if key_of(word) not in keys), *given], folder)
    except UserError:
        if _is_other(overrides, given):
            return []
        if folder is None:
            _check_groups(name, overrides)
        raise


def _is_other(overrides: Sequence[str], given: Sequence[str]) -> bool:
    """True if these overrides have another value of a key than the one that is given, so that they are of another job;
    not for a key of which a job may have more than is asked for.
    """
    asked = [word for word in given if "=" in word and not key_of(word).startswith(MORE) and not is_swept(word)]
    own = {key_of(word): word.partition("=")[2] for word in overrides}
    return any(own.get(key_of(word), value) != value for word in asked for value in [word.partition("=")[2]])


def _check_groups(name: str, overrides: Sequence[str]) -> None:
    """Raise UserError if what trained an experiment is not there, such as a config group of the user's own."""
    try:
        _composed(overrides, None)
    except UserError as error:
        raise UserError(f"{name}: {error}. If it was trained with --config-dir DIR, give that here too; it was trained "
                        f"with {' '.join(overrides)}") from error  # fmt: skip


def _reaching(job: "Job", there: Mapping[str, Mapping[str, Any]]) -> "Job":
    """The job with all levels that its records have: a later run may have asked for fewer."""
    rows = [row for replicate in job.replicates for row in there[f"{job.identity}-{replicate}"]["rows"].values()]
    last = max((row["level"] for row in rows if row["branch"] == "ticket"), default=0)
    return replace(job, levels=max(job.levels, last)) if isinstance(job.levels, int) else job
