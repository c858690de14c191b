"""What Weights & Biases sees of a job; the only door to wandb. A mirror: the store is the truth."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import wandb

from lth.store.table import early_stop, origin
from lth.ticket import Ticket, Trained

CURVES = ("train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")
RESULTS = ("early_stop_step", "early_stop_test_accuracy", "final_test_accuracy")


class Silent:
    """No tracking."""

    def __init__(self, *, group: str, name: str, folder: Path, config: Mapping[str, Any]) -> None:
        """Takes what `Wandb` takes."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """An evaluation, while it happens."""

    def trained(self, trained: Trained) -> None:
        """A trained ticket, fresh or from the store."""

    def figures(self, files: Mapping[str, Path]) -> None:
        """Figures as images, by name."""


class Wandb(Silent):
    """One run per job, grouped by experiment. `mode` offline needs no key and no network and never asks for them; the
    files lie in folder/wandb, `wandb sync` uploads them. Results have sparsity (%) as their x axis, learning curves the
    optimizer step. A job that fails marks its run as failed.
    """

    def __init__(
        self,
        *,
        group: str,
        name: str,
        folder: Path,
        config: Mapping[str, Any],
        mode: str = "offline",
        project: str = "lth",
    ) -> None:
        self.run = wandb.init(
            project=project,
            group=group,
            name=name,
            dir=folder.resolve(),
            config=dict(config),
            mode=mode,  # type: ignore[arg-type]
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        self.run.define_metric("sparsity")
        self.run.define_metric("step")
        self.run.define_metric("result/*", step_metric="sparsity")
        self.run.define_metric("curve/*", step_metric="step")
        self.logged: dict[str, int] = {}

    def __enter__(self) -> "Wandb":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.run.finish(exit_code=0 if kind is None else 1)

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """A point of the learning curve of this ticket."""
        prefix = _prefix(ticket)
        self.logged[prefix] = int(row["step"])
        self.run.log({"step": int(row["step"]), **{f"{prefix}/{name}": row[name] for name in CURVES}})

    def trained(self, trained: Trained) -> None:
        """The rest of the learning curve (a stored training has none yet), and a point of the results."""
        seen = self.logged.get(_prefix(trained.ticket), -1)
        for values in trained.evaluations.to_dict("records"):
            if values["step"] > seen:
                self.evaluated(trained.ticket, {str(key): value for key, value in values.items()})
        facts = {**origin(trained), **early_stop(trained.evaluations)}
        branch = _branch(trained.ticket)
        results = {f"result/{branch}/{name}": facts[name] for name in RESULTS}
        self.run.log({"sparsity": 100 * (1 - facts["density"]), **results})

    def figures(self, files: Mapping[str, Path]) -> None:
        """Figures as images, by name."""
        self.run.log({f"figure/{name}": wandb.Image(str(file)) for name, file in files.items()})


def _prefix(ticket: Ticket) -> str:
    return f"curve/{_branch(ticket)}/level_{ticket.level:02d}"


def _branch(ticket: Ticket) -> str:
    return f"{ticket.branch}{ticket.draw or ''}" + ("" if ticket.bits is None else f"_{ticket.bits}")
