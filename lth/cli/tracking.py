"""Trackers mirror a job elsewhere (the store is the truth). The only door to wandb."""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from lth import UserError
from lth.cli import failure, variables
from lth.cli.tracked import Outcome, line
from lth.ticket import Ticket, Trained

Mode = Literal["offline", "online", "disabled"]


class Silent:
    """No tracking."""

    def __init__(self, **given: Any) -> None:
        """Accepts the arguments of any tracker."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """Log an evaluation of a ticket that is being trained."""

    def trained(self, trained: Trained) -> None:
        """Log a trained ticket, fresh or from the store."""

    def figures(self, draw: Callable[[], Mapping[str, Path]]) -> None:
        """Log figures as images by name; they are drawn only if a tracker wants them."""

    def forget(self) -> None:
        """Leave nothing behind, once an error came up."""


class Wandb(Silent):
    """One Weights & Biases run per job, grouped by experiment.

    identity: the id of the run, the same whenever the job is started again, "" for a random one. A start logs all that
    is stored and takes the place of what an earlier one logged, so that nothing is there twice.
    mode: offline needs neither key nor network and never asks for them; its files are in folder/wandb, and `wandb sync`
    uploads them. Offline and disabled, nothing is sent. What is None is taken from wandb's environment variables, such
    as WANDB_MODE, else offline and the project "lth"; those for entity, folder, group, name, tags and so on hold as
    well; tags are added to those of WANDB_TAGS. The x axis of results is sparsity (%), that of learning curves the
    optimizer step. The summary is that of the sparsest level reached; the table "results" has a row for each trained
    ticket. A job that fails marks its run as failed. Raises UserError if wandb can't start a run, and ConnectionError
    if its process on this machine is killed meanwhile.
    """

    def __init__(
        self,
        *,
        group: str,
        name: str,
        folder: Path,
        config: Mapping[str, Any],
        identity: str = "",
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        project: str | None = None,
    ) -> None:
        mode = mode or variables.mode()
        variables.keep_silent(mode)
        logging.raiseExceptions = False  # a log that can't be written, as on a full disk, prints no traceback a line
        import wandb  # a job without tracking does without it

        self.place = place = Path(os.environ.get("WANDB_DIR") or folder).resolve()
        try:
            place.mkdir(parents=True, exist_ok=True)  # else wandb would write to a temporary folder
            self.run = _started(
                project=project or variables.project(),
                group=os.environ.get("WANDB_RUN_GROUP") or group,
                name=os.environ.get("WANDB_NAME") or name,
                id=os.environ.get("WANDB_RUN_ID") or identity or None,
                tags=variables.tags(tags),
                dir=place,
                config=dict(config),
                mode=mode,
                settings=wandb.Settings(**variables.quiet()),
            )
        except (UserError, ConnectionError):
            raise
        except Exception as error:
            remedy = "tracking.mode=offline needs no account and no network, tracking=none no wandb"
            raise UserError(f"tracking=wandb: {failure.words(error).rstrip('.')}. {remedy}", code=1) from error
        for axis in ("level", "density", "sparsity", "step"):
            self.run.define_metric(axis, summary="none")
        self.run.define_metric("result/*", step_metric="sparsity", summary="none")
        self.run.define_metric("curve/*", step_metric="step", summary="none")
        replicates = config.get("replicate")
        self.outcome = Outcome(len(replicates) if isinstance(replicates, list) else 1)
        self.logged: dict[str, set[int]] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._log_table()
        finally:
            self.run.finish(exit_code=0 if kind is None else 1)

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """Log a point of the learning curve of this ticket."""
        curve = self._curve(ticket)
        self.logged.setdefault(curve, set()).add(int(row["step"]))
        self.run.log(
            {"step": int(row["step"]), **{f"{curve}/{name}": value for name, value in row.items() if name != "step"}}
        )

    def trained(self, trained: Trained) -> None:
        """Log what is missing of the learning curve (all of it, if it comes from the store; its begin, if the training
        was resumed), points of results, and the summary.
        """
        seen = self.logged.get(self._curve(trained.ticket), set())
        for values in trained.evaluations.to_dict("records"):
            if values["step"] not in seen:
                self.evaluated(trained.ticket, {str(key): value for key, value in values.items()})
        for point in self.outcome.add(trained):
            self.run.log(point)
        self.run.summary.update(self.outcome.summary)

    def figures(self, draw: Callable[[], Mapping[str, Path]]) -> None:
        """Log figures as images by name."""
        import wandb

        self.run.log({f"figure/{name}": wandb.Image(str(file)) for name, file in draw().items()})

    def forget(self) -> None:
        """End wandb's process, or forget it if it was killed: later runs, and Python's end, would look for it."""
        import wandb

        with contextlib.suppress(Exception, SystemExit):
            wandb.teardown()

    def _curve(self, ticket: Ticket) -> str:
        return f"curve/{self._line(ticket)}/level_{ticket.level:02d}"

    def _line(self, ticket: Ticket) -> str:
        name = line(ticket)
        return f"replicate_{ticket.replicate}/{name}" if self.outcome.replicates > 1 else name

    def _log_table(self) -> None:
        """Log a table with a row for each trained ticket; until it is synced, it is kept beside the run."""
        columns, rows = self.outcome.table
        if rows:
            import wandb

            with variables.data_in(self.place):
                self.run.log({"results": wandb.Table(columns=[*columns], data=rows)})


def _started(**given: Any) -> Any:
    """A run, in a new process of wandb's if that of an earlier job was killed."""
    import wandb

    try:
        return wandb.init(**given)
    except ConnectionError:
        with contextlib.suppress(Exception, SystemExit):
            wandb.teardown()
        return wandb.init(**given)
