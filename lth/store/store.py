"""What was trained, found again by what it is: a decorator on the verb `train`, and the only door to result files.

    root/trained/<digest>/result.json              written last: an entry with it is complete
                          evaluations.parquet      one row per evaluation
                          mask.safetensors         m, bit-packed
                          step-<k>.safetensors     W_k as far as kept, W_T among them
                          pruned-<key>.safetensors the masks that were made from this training, bit-packed
                          partial.safetensors      where an interrupted training left off
    root/experiments/<experiment>/<job>.json       which trainings a job consists of, and how it ended

Every file is written aside and renamed, so it is whole or absent, and carries a checksum, so damage is found: the file
is named, and what it held is made anew. No pickle is ever written or read.
"""

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout

from lth.recipe import Recipe, describe, digest
from lth.store.environment import environment
from lth.store.file import Corrupt, make_folder, write_json, write_whole
from lth.store.result import read_result
from lth.store.tensors import read_mask, read_tensors, write_mask, write_tensors
from lth.ticket import Mask, Ticket, Trained, Weights, masked

log = logging.getLogger("lth")
T = TypeVar("T")
Keep = Literal["all", "last", "none"]


class Store:
    """Results under `root`. keep: which W_T stay on the disk, "all", "last" (of the levels) or "none"; an entry
    remembers it. `wait` is called again and again while another process holds what is needed.
    """

    def __init__(self, root: str | Path, *, keep: Keep = "all", wait: Callable[[], None] = lambda: None) -> None:
        self.root, self.keep, self.wait = Path(root), keep, wait

    def cached(self, train: Callable[..., list[Trained]], recipe: Recipe) -> Callable[[list[Ticket]], list[Trained]]:
        """`train`, but what is stored is read, what is not is stored, and what was interrupted goes on."""
        return lambda tickets: [self._get(train, recipe, ticket) for ticket in tickets]

    def find(self, train: Callable[..., list[Trained]], recipe: Recipe, ticket: Ticket) -> Trained | None:
        """The stored training of this ticket, or None."""
        return self._read(self._entry(recipe, ticket), train, ticket)

    def mask(self, trained: Trained, key: str, make: Callable[[], Mask]) -> Mask:
        """The mask that `make` gives, made once per trained ticket and key."""
        file = self.root / "trained" / str(trained.facts["digest"]) / f"pruned-{key}.safetensors"
        if (stored := _whole(read_mask, file)) is not None:
            return stored
        made = make()
        if file.parent.is_dir():
            write_mask(file, made)
        return made

    def forget_weights(self, trained: Iterable[Trained], last: Collection[str]) -> None:
        """Drop the W_T that are not to be kept, of those that were stored by jobs that don't keep all. `last` are the
        digests of the last level.
        """
        for each in trained if self.keep != "all" else ():
            digest = str(each.facts["digest"])
            temporary = each.facts["keep"] != "all"
            if temporary and (self.keep == "none" or digest not in last):
                (self.root / "trained" / digest / f"step-{each.steps}.safetensors").unlink(missing_ok=True)

    def _get(self, train: Callable[..., list[Trained]], recipe: Recipe, ticket: Ticket) -> Trained:
        entry = self._entry(recipe, ticket)
        if (found := self._read(entry, train, ticket)) is not None:
            return found
        with self._locked(entry):
            if (found := self._read(entry, train, ticket)) is None:
                self._train(entry, train, recipe, ticket)
                found = self._read(entry, train, ticket)
        if found is None:
            raise OSError(f"{entry} was written and can't be read back: is the disk in order?")
        return found

    def _train(self, entry: Path, train: Callable[..., list[Trained]], recipe: Recipe, ticket: Ticket) -> None:
        for left in entry.glob(".*"):  # by a process that was killed while it wrote
            left.unlink(missing_ok=True)
        partial = entry / "partial.safetensors"
        state = _whole(read_tensors, partial)
        trained = train([ticket], state=state, save=lambda s: write_tensors(partial, s))[0]
        for step in trained.facts["kept"]:
            write_tensors(entry / f"step-{step}.safetensors", trained.at(step))
        write_mask(entry / "mask.safetensors", ticket.mask)
        table = io.BytesIO()
        trained.evaluations.to_parquet(table, index=False)
        write_whole(entry / "evaluations.parquet", table.getvalue())
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
        partial.unlink(missing_ok=True)

    def _read(self, entry: Path, train: Callable[..., list[Trained]], ticket: Ticket) -> Trained | None:
        if not (entry / "result.json").exists():
            return None
        try:
            result = read_result(entry)
            if not (entry / "mask.safetensors").exists():
                raise Corrupt(f"{entry / 'mask.safetensors'} is missing")
            for file in sorted(entry.glob("*.safetensors")):
                _verified(file, optional=file.name.startswith("pruned-"))
        except Corrupt as damage:
            log.warning("%s; it is trained again", damage)
            with contextlib.suppress(FileNotFoundError):
                (entry / "result.json").unlink()
            return None
        facts = {**result["facts"], **{key: result[key] for key in ("digest", "environment", "keep")}}
        at = self._weights_at(entry, train, ticket)
        return Trained(ticket, result["evaluations"], at, result["steps"], facts)

    def _weights_at(self, entry: Path, train: Callable[..., list[Trained]], ticket: Ticket) -> Callable[[int], Weights]:
        def at(step: int) -> Weights:
            if step == ticket.step:
                return masked(ticket.weights, ticket.mask)
            file = entry / f"step-{step}.safetensors"
            weights: Weights | None = _whole(read_tensors, file)
            if weights is None:
                with self._locked(entry):
                    weights = _whole(read_tensors, file)
                    if weights is None:
                        log.info("the weights of step %d were not kept: %s is trained anew up to there", step, ticket)
                        weights = train([ticket], until=step)[0].at(step)
                        write_tensors(file, weights)
            return weights

        return at

    def _entry(self, recipe: Recipe, ticket: Ticket) -> Path:
        return self.root / "trained" / digest(recipe, ticket)

    @contextlib.contextmanager
    def _locked(self, entry: Path) -> Iterator[None]:
        make_folder(entry)
        lock = FileLock(entry / "lock")
        told = False
        while True:
            try:
                lock.acquire(timeout=0.2)
                break
            except Timeout:
                if not told:
                    log.info("another process is training %s: waiting for it", entry.name)
                told = True
                self.wait()
        try:
            yield
        finally:
            lock.release()


def _verified(file: Path, *, optional: bool) -> None:
    try:
        read_tensors(file)
    except Corrupt as damage:
        file.unlink(missing_ok=True)
        if not optional:
            raise
        log.warning("%s; it is made again", damage)


def _whole(read: Callable[[Path], T], file: Path) -> T | None:
    """What is in the file; None if there is no file, or, after a warning, if it is damaged."""
    try:
        return read(file) if file.exists() else None
    except Corrupt as damage:
        log.warning("%s; it is made again", damage)
        return None
