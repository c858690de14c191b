"""A branch off the main line of a job, and the places of its tickets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from lth import UserError, early_bird
from lth.job.guard import Guarded, guarded
from lth.keywords import arguments, takes
from lth.quantization.scheme import Scheme, WeightBits
from lth.recipe import Recipe
from lth.seed import seeded
from lth.store.digest import describe, short, sources
from lth.ticket import Ticket, Trained

if TYPE_CHECKING:
    from lth.job.values import Job


class Place(NamedTuple):
    """The place of a ticket in a job."""

    replicate: int
    level: int
    branch: str = "ticket"
    draw: int = 0
    bits: int | str | None = None


class Past(NamedTuple):
    """The past of a trained ticket, by the keyword of a transform that takes it.

    line: the trained tickets that each was pruned from, from the dense net to this one. inverse: makes the ticket of a
    level by the opposite criterion, of the one that it is pruned from. drawn: gives masks of the training before.
    """

    line: Sequence[Trained]
    inverse: Callable[[Trained, int], Ticket]
    drawn: Callable[[], early_bird.Drawn]


@dataclass(frozen=True)
class Branch:
    """A branch off the main line: transform: Trained -> (Recipe, Ticket), called with `draw`, `recipe` and `init`, and
    with those of `Past` that it takes, or, for a quantization, with `bits` and `recipe`.

    levels: None for all levels, of controls all but the dense one. draws: independent draws per level. bits: widths
    that weights are quantized to; None for a control. compare: measures the nets of the draws beside each other, such
    as `lth.connectivity.compare`; None: they are not compared.
    """

    transform: Callable[..., tuple[Recipe, Ticket]]
    levels: Sequence[int] | None = None
    draws: int = 1
    bits: Sequence[WeightBits] | None = None
    compare: Callable[..., list[dict[str, Any]]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform", guarded("branch", self.transform))
        if self.compare is not None:
            guarded("compare", self.compare)  # what it returns is checked beside the nets that it is for
        if self.bits is not None and len({*self.bits}) < len(self.bits):
            raise UserError(f"bits={[*self.bits]}: give different widths to quantize weights to, such as [8, 4]")

    def at(self, level: int) -> bool:
        """True if tickets of this level branch off."""
        return level in self.levels if self.levels is not None else level > 0 or self.bits is not None

    def takes(self, keyword: str) -> bool:
        """True if the transform has this keyword, which the job gives it."""
        return takes(self.transform, keyword)

    @property
    def code(self) -> str:
        """The function of its transform, such as "branch.shuffle"; behind colons a digest for each function of the
        user's own: "mine.noisy:3ac1" or, of functions beside the transform, "branch.connect:mine.measure=9f02".
        """
        described = [describe(self.transform), describe(self.compare)]
        name, own = described[0]["function"], dict(sources(described))
        digests = {function: short({function: files}) for function, files in sorted(own.items())}
        return ":".join([name, *(each if of == name else f"{of}={each}" for of, each in digests.items())])

    def argument(self, name: str) -> Any:
        """An argument of the transform: as it is bound, or its default; None if it has neither."""
        return arguments(self.transform)[1].get(name)

    def scheme(self, bits: int | str) -> Scheme:
        """Settings by which a quantization rounds weights to this width, inputs in float; of a function of the user's,
        whose arguments may mean something else, the defaults.
        """
        if isinstance(self.transform, Guarded):
            return Scheme(activation_bits=None)
        given = {name: self.argument(name) for name in ("per_channel", "symmetric", "calibration")}
        return Scheme(bits, None, **{name: value for name, value in given.items() if value is not None})

    def epochs(self, recipe: Recipe) -> list[int]:
        """Steps of the training before at which epochs end that the transform looks at; none if it looks at none."""
        if not self.takes("drawn"):
            return []
        epoch = -(-len(recipe.data.train) // recipe.batch_size)
        return early_bird.epochs(recipe.steps, self.argument("every") or epoch)

    def tickets(self, name: str, past: Past, job: "Job") -> Iterator[tuple[Recipe, Ticket]]:
        """The tickets that branch off a trained one, the last of its line, each with its recipe."""
        trained = past.line[-1]
        recipe = job.recipe_of(trained.ticket)
        given: dict[str, Any] = {keyword: each for keyword, each in past._asdict().items() if self.takes(keyword)}
        if "drawn" in given:
            given["drawn"] = past.drawn()
        for bits in self.bits or ():
            with seeded("branch", trained.ticket.replicate, trained.ticket.level, str(bits)):
                new, ticket = self.transform(trained, bits=bits, recipe=recipe)
            yield new, replace(ticket, branch=name, bits=bits)
        for draw in range(self.draws if self.bits is None else 0):
            with seeded("branch", trained.ticket.replicate, trained.ticket.level, draw):
                new, ticket = self.transform(trained, draw=draw, recipe=recipe, init=job.init, **given)
            yield new, replace(ticket, branch=name, draw=draw)

    def places(self, name: str, replicate: int, level: int) -> list[Place]:
        """The places of its tickets beside one of the main line."""
        if not self.at(level):
            return []
        if self.bits is not None:
            return [Place(replicate, level, name, bits=bits) for bits in self.bits]
        return [Place(replicate, level, name, draw) for draw in range(self.draws)]


def place(ticket: Ticket) -> Place:
    """The place of a ticket in its job."""
    return Place(ticket.replicate, ticket.level, ticket.branch, ticket.draw, ticket.bits)
