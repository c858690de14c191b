"""Storage as a decorator on the verb `train`: what is stored is read, what is not is trained and stored.

    root/trained/<digest>/                     a training (see `lth.store.entry`)
    root/experiments/<experiment>/<job>.json   the trainings of a job, and how it ended

No pickle is ever written or read.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from filelock import FileLock

from lth.recipe import Recipe
from lth.store.digest import digest
from lth.store.entry import intact, is_complete, partial_file, read_entry, weights_file, write_entry
from lth.store.locks import claimed
from lth.store.tensors import read_mask, read_tensors, write_mask, write_tensors
from lth.ticket import Mask, Ticket, Trained, Weights, masked

log = logging.getLogger("lth")
Keep = Literal["all", "last", "none"]
Train = Callable[..., list[Trained]]
Finished = Callable[[Trained], None]


class Store:
    """Results under `root`. keep: the W_T that stay on the disk, "all", "last" (of the levels) or "none"; an entry
    remembers it. `wait` is called again and again while another process holds what is needed.
    """

    def __init__(self, root: str | Path, *, keep: Keep = "all", wait: Callable[[], None] = lambda: None) -> None:
        self.root, self.keep, self.wait = Path(root), keep, wait

    def cached(
        self, train: Train, recipe: Recipe, finished: Finished | None = None
    ) -> Callable[[list[Ticket]], list[Trained]]:
        """Decorate `train` for lists of tickets: read what is stored, store what is not, resume what was interrupted.

        train: `lth.engine.train` with the recipe bound, or a function that takes its keywords states, save, finished
        and until, and calls `finished` with every ticket that it has trained. Trainings that another process is at are
        waited for. `finished` is called with each trained ticket as soon as it is there.
        """
        return partial(self._get, train, recipe, finished)

    def find(self, train: Train, recipe: Recipe, ticket: Ticket) -> Trained | None:
        """The stored training of this ticket, or None."""
        return self._read(self._entry(recipe, ticket), train, recipe, ticket)

    def mask(self, trained: Trained, key: str, make: Callable[[], Mask]) -> Mask:
        """The mask that `make` computes, once per trained ticket and key."""
        file = self.root / "trained" / str(trained.facts["digest"]) / f"pruned-{key}.safetensors"
        if (stored := intact(read_mask, file)) is not None:
            return stored
        mask = make()
        if file.parent.is_dir():
            write_mask(file, mask)
        return mask

    def forget_weights(self, trained: Iterable[Trained], last: Collection[str]) -> None:
        """Drop the W_T that are not to be kept, of those that were stored by jobs that don't keep all. `last` are the
        digests of the last level.
        """
        for each in trained if self.keep != "all" else ():
            name = str(each.facts["digest"])
            temporary = each.facts["keep"] != "all"
            if temporary and (self.keep == "none" or name not in last):
                weights_file(self.root / "trained" / name, each.steps).unlink(missing_ok=True)

    def _get(self, train: Train, recipe: Recipe, finished: Finished | None, tickets: list[Ticket]) -> list[Trained]:
        missing = {ticket: self._entry(recipe, ticket) for ticket in tickets}
        found: dict[Ticket, Trained] = {}

        def done(trained: Trained) -> None:
            found[trained.ticket] = trained
            missing.pop(trained.ticket)
            if finished:
                finished(trained)

        while True:
            for ticket, entry in [*missing.items()]:
                if (stored := self._read(entry, train, recipe, ticket)) is not None:
                    done(stored)
            if not missing:
                return [found[ticket] for ticket in tickets if ticket in found]
            with claimed(missing.values(), self.wait) as locks:
                first = {entry: ticket for ticket, entry in reversed([*missing.items()])}
                todo = {t: e for t, e in missing.items() if e in locks and first[e] is t and not is_complete(e)}
                self._train(train, recipe, todo, locks, done)
            diverged = {entry for ticket, entry in todo.items() if ticket in missing}
            missing = {ticket: entry for ticket, entry in missing.items() if entry not in diverged}

    def _train(
        self,
        train: Train,
        recipe: Recipe,
        entries: Mapping[Ticket, Path],
        locks: Mapping[Path, FileLock],
        done: Callable[[Trained], None],
    ) -> None:
        """Train these tickets in one call; each is written, and its lock released, as soon as it is finished."""

        def finished(trained: Trained) -> None:
            entry = entries[trained.ticket]
            write_entry(entry, recipe, trained, self.keep)
            if (stored := self._read(entry, train, recipe, trained.ticket, stored=False)) is None:
                raise OSError(f"{entry} was written and can't be read back: check the disk")
            locks[entry].release()
            done(stored)

        if not entries:
            return
        for entry in entries.values():
            for left in entry.glob(".*"):  # by a process that was killed while it wrote
                left.unlink(missing_ok=True)
        states = {ticket: intact(read_tensors, partial_file(entry)) for ticket, entry in entries.items()}
        trained = train(
            [*entries],
            states={ticket: state for ticket, state in states.items() if state is not None},
            save=lambda ticket, state: write_tensors(partial_file(entries[ticket]), state),
            finished=finished,
        )
        if unreported := [each.ticket for each in trained if not is_complete(entries[each.ticket])]:
            raise TypeError(f"train did not call `finished` for {unreported[0]}, so that it can't be stored")

    def _read(
        self, entry: Path, train: Train, recipe: Recipe, ticket: Ticket, *, stored: bool = True
    ) -> Trained | None:
        if (found := read_entry(entry)) is None:
            return None
        result, mask = found
        facts = {**result["facts"], **{key: result[key] for key in ("digest", "environment", "keep")}, "stored": stored}
        at = partial(self._weights, entry, train, ticket)
        final = mask if recipe.moves_mask else ticket.mask
        return Trained(ticket, result["evaluations"], at, result["steps"], final, facts)

    def _weights(self, entry: Path, train: Train, ticket: Ticket, step: int) -> Weights:
        """W_step, read from its file, or trained up to there again if it was not kept."""
        if step == ticket.step:
            return masked(ticket.weights, ticket.mask)
        file = weights_file(entry, step)
        if (kept := intact(read_tensors, file)) is not None:
            return kept
        with claimed([entry], self.wait):
            if (kept := intact(read_tensors, file)) is not None:
                return kept
            log.info("the weights of step %d were not kept: %s is trained again up to there", step, ticket)
            trained = train([ticket], until=step)
            if not trained:
                raise OSError(f"{ticket} diverged when it was trained again up to step {step}; here it is not the same")
            write_tensors(file, trained[0].at(step))
            return trained[0].at(step)

    def _entry(self, recipe: Recipe, ticket: Ticket) -> Path:
        return self.root / "trained" / digest(recipe, ticket)
