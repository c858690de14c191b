"""Storage as a decorator on the verb `train`: what is stored is read, what is not is trained and stored.

    root/trained/<digest>/result.json              written last: an entry with it is complete
                          evaluations.parquet      one row per evaluation
                          mask.safetensors         m_T, bit-packed
                          step-<k>.safetensors     W_k as far as kept, W_T among them
                          pruned-<key>.safetensors masks made from this training, bit-packed
                          partial.safetensors      the state of an interrupted training
    root/experiments/<experiment>/<job>.json       the trainings of a job, and how it ended

Files are written atomically and carry a checksum; a corrupt one is named, and its content is computed again. No pickle
is ever written or read.
"""

import contextlib
import hashlib
import io
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout

from lth.recipe import Recipe
from lth.store.digest import describe, digest
from lth.store.environment import environment
from lth.store.file import Corrupt, make_folder, write_json, write_whole
from lth.store.result import read_result
from lth.store.tensors import read_mask, read_tensors, write_mask, write_tensors
from lth.ticket import Mask, Ticket, Trained, Weights, masked

log = logging.getLogger("lth")
T = TypeVar("T")
Keep = Literal["all", "last", "none"]
Train = Callable[..., list[Trained]]
POLL = 0.2  # seconds between two looks at a lock of another process


class Store:
    """Results under `root`. keep: the W_T that stay on the disk, "all", "last" (of the levels) or "none"; an entry
    remembers it. `wait` is called again and again while another process holds what is needed.
    """

    def __init__(self, root: str | Path, *, keep: Keep = "all", wait: Callable[[], None] = lambda: None) -> None:
        self.root, self.keep, self.wait = Path(root), keep, wait

    def cached(
        self, train: Train, recipe: Recipe, finished: Callable[[Trained], None] | None = None
    ) -> Callable[[list[Ticket]], list[Trained]]:
        """Decorate `train` for lists of tickets: read what is stored, store what is not, resume what was interrupted.

        Trainings that another process is at are waited for. `finished` is called with each as soon as it is there.
        """
        return partial(self._get, train, recipe, finished)

    def find(self, train: Train, recipe: Recipe, ticket: Ticket) -> Trained | None:
        """The stored training of this ticket, or None."""
        return self._read(self._entry(recipe, ticket), train, recipe, ticket)

    def mask(self, trained: Trained, key: str, make: Callable[[], Mask]) -> Mask:
        """The mask that `make` computes, once per trained ticket and key."""
        file = self.root / "trained" / str(trained.facts["digest"]) / f"pruned-{key}.safetensors"
        if (stored := _intact(read_mask, file)) is not None:
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
                (self.root / "trained" / name / f"step-{each.steps}.safetensors").unlink(missing_ok=True)

    def _get(
        self, train: Train, recipe: Recipe, finished: Callable[[Trained], None] | None, tickets: list[Ticket]
    ) -> list[Trained]:
        entries = {ticket: self._entry(recipe, ticket) for ticket in tickets}
        missing, found = dict(entries), dict[Ticket, Trained]()

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
            with self._claimed(missing.values()) as locks:
                own = {entry: ticket for ticket, entry in reversed([*missing.items()]) if entry in locks}
                todo = {t: e for t, e in missing.items() if own.get(e) is t and not (e / "result.json").exists()}
                self._train(train, recipe, todo, locks, done)
            for ticket in todo:
                missing.pop(ticket, None)  # one whose training diverged

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
            self._write(entry, recipe, trained)
            if (stored := self._read(entry, train, recipe, trained.ticket, stored=False)) is None:
                raise OSError(f"{entry} was written and can't be read back: is the disk in order?")
            locks[entry].release()
            done(stored)

        if not entries:
            return
        for entry in entries.values():
            for left in entry.glob(".*"):  # by a process that was killed while it wrote
                left.unlink(missing_ok=True)
        states = {ticket: _intact(read_tensors, _partial(entry)) for ticket, entry in entries.items()}
        train(
            [*entries],
            states={ticket: state for ticket, state in states.items() if state is not None},
            save=lambda ticket, state: write_tensors(_partial(entries[ticket]), state),
            finished=finished,
        )

    def _write(self, entry: Path, recipe: Recipe, trained: Trained) -> None:
        for step in trained.facts["kept"]:
            write_tensors(entry / f"step-{step}.safetensors", trained.at(step))
        write_mask(entry / "mask.safetensors", trained.mask)
        table = io.BytesIO()
        trained.evaluations.to_parquet(table, index=False)
        write_whole(entry / "evaluations.parquet", table.getvalue())
        ticket = trained.ticket
        sizes = {name: [int(m.sum()), m.numel()] for name, m in ticket.mask.items()}
        write_json(
            entry / "result.json",
            {
                "digest": entry.name,
                "recipe": describe(recipe),
                "ticket": {"step": ticket.step, "replicate": ticket.replicate, "layers": sizes},
                "steps": trained.steps,
                "facts": {k: v for k, v in trained.facts.items() if k != "kept"},
                "evaluations_sha256": hashlib.sha256(table.getvalue()).hexdigest(),
                "keep": self.keep,
                "environment": environment(),
            },
        )
        _partial(entry).unlink(missing_ok=True)

    def _read(
        self, entry: Path, train: Train, recipe: Recipe, ticket: Ticket, *, stored: bool = True
    ) -> Trained | None:
        if not (entry / "result.json").exists():
            return None
        try:
            result, mask = read_result(entry), read_mask(entry / "mask.safetensors")
            for file in sorted(entry.glob("*.safetensors")):
                _verify(file, optional=file.name.startswith("pruned-"))
        except Corrupt as error:
            log.warning("%s; it is trained again", error)
            with contextlib.suppress(FileNotFoundError):
                (entry / "result.json").unlink()
            return None
        facts = {**result["facts"], **{key: result[key] for key in ("digest", "environment", "keep")}, "stored": stored}
        at = self._weights_at(entry, train, ticket)
        final = mask if recipe.moves_mask else ticket.mask
        return Trained(ticket, result["evaluations"], at, result["steps"], final, facts)

    def _weights_at(self, entry: Path, train: Train, ticket: Ticket) -> Callable[[int], Weights]:
        def at(step: int) -> Weights:
            if step == ticket.step:
                return masked(ticket.weights, ticket.mask)
            file = entry / f"step-{step}.safetensors"
            weights: Weights | None = _intact(read_tensors, file)
            if weights is None:
                with self._claimed([entry]):
                    weights = _intact(read_tensors, file)
                    if weights is None:
                        log.info("the weights of step %d were not kept: %s is trained again up to there", step, ticket)
                        weights = train([ticket], until=step)[0].at(step)
                        write_tensors(file, weights)
            return weights

        return at

    def _entry(self, recipe: Recipe, ticket: Ticket) -> Path:
        return self.root / "trained" / digest(recipe, ticket)

    @contextlib.contextmanager
    def _claimed(self, entries: Iterable[Path]) -> Iterator[dict[Path, FileLock]]:
        """Lock as many of the entries as no other process holds; wait until there is at least one."""
        with contextlib.ExitStack() as stack:
            locks: dict[Path, FileLock] = {}
            told = False
            while not locks:
                for entry in dict.fromkeys(entries):
                    make_folder(entry)
                    lock = FileLock(entry / "lock")
                    with contextlib.suppress(Timeout):
                        lock.acquire(timeout=0)
                        stack.callback(lock.release)
                        locks[entry] = lock
                if not locks:
                    if not told:
                        names = ", ".join(entry.name for entry in dict.fromkeys(entries))
                        log.info("another process is training %s: waiting for it", names)
                    told = True
                    self.wait()
                    time.sleep(POLL)
            yield locks


def _partial(entry: Path) -> Path:
    return entry / "partial.safetensors"


def _verify(file: Path, *, optional: bool) -> None:
    """Delete a corrupt file; raise Corrupt unless it is optional."""
    try:
        read_tensors(file)
    except Corrupt as error:
        file.unlink(missing_ok=True)
        if not optional:
            raise
        log.warning("%s; it is computed again", error)


def _intact(read: Callable[[Path], T], file: Path) -> T | None:
    """The content of a file; None if it is absent or, after a warning, corrupt."""
    try:
        return read(file) if file.exists() else None
    except Corrupt as error:
        log.warning("%s; it is computed again", error)
        return None
