"""Operation: what a node of a graph does, as plans, workers and checkpoints see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from cext import head
from cext.chain import Operator
from cext.guard import Guard
from cext.head import Head
from cext.waker import Waker
from engine.naming import function_name

if TYPE_CHECKING:
    from engine.event_time import Time
    from engine.graph import Input

Role = Literal["source", "head", "chain", "router", "sink"]


@dataclass(frozen=True)
class Aside:
    """What leaves an operation beside its results: its name, and its type and event time where these are known."""

    name: str
    type: Any = None
    time: Time | None = None


def late(record_type: Any, time: Time | None) -> tuple[Aside, ...]:
    """What leaves windows and joins aside."""
    return (Aside("late", record_type, time),)


@dataclass(frozen=True, eq=False)
class Operation:
    """The base. `role` is the place that its native piece has in a task.

    "source" and "sink" have a task of their own; a "head" begins one, since it may give more records than
    it takes; a "chain" operation joins the task of what feeds it; a "router" ends one.
    """

    role: ClassVar[Role]
    kind: ClassVar[str]
    keeps_records: ClassVar[bool] = False
    """Whether it gives only records that it took, unchanged."""

    @property
    def function(self) -> Callable[..., Any] | None:
        """The user's function, if there is one: errors name it."""
        return getattr(self, "f", None)

    @property
    def default_name(self) -> str:
        """What its node is called unless the user names it."""
        name = "" if self.function is None else function_name(self.function)
        return f"{self.kind} {name}" if name not in {"", "lambda"} else self.kind

    @property
    def time(self) -> Time | None:
        """Where the event time stands in what it gives, if it says so itself."""
        return None

    @property
    def asides(self) -> tuple[Aside, ...]:
        """Its outputs aside, by number: of graph.ASIDE the first."""
        return ()

    @property
    def waits_for_time(self) -> bool:
        """Whether it keeps records, or what they came to, until event time has passed them."""
        return False

    @property
    def delay(self) -> int:
        """By how many milliseconds its head holds back the event time that it passes on."""
        return 0

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        """What the meaning of its state hangs on beside its kind, by what that is called: texts, and types, None where
        that is not known."""
        return {}

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what it keeps, where each may come and go by itself."""
        return ()

    def describe(self) -> str:
        """What it does, in a word or two."""
        return self.kind if self.function is None else f"{self.kind} {function_name(self.function)}"

    def prepare(self, name: str) -> Self:
        """This operation with all that its instances in this process share; called once a job."""
        return self

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        """The native head of a task that begins with this operation."""
        return head.Pass(name, guard)

    def build_merging(self, name: str, guard: Guard) -> Head:
        """The same where some of its records come as partial results (see engine.combining)."""
        raise NotImplementedError

    def build_operator(self, name: str, guard: Guard) -> Operator:
        """The native operator of a "chain" operation."""
        raise NotImplementedError
