"""Processing: the operations that run a KeyedProcess, and the stream of what it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from cext import keyed_process
from cext.guard import Guard
from cext.head import Head
from cext.waker import Waker
from engine.checks import check_function
from engine.errors import GraphError
from engine.event_time import Time
from engine.graph import ASIDE, Input, Key, users_place
from engine.keyed_process import KeyedProcess, SideOutput, Timer, Timers
from engine.operation import Aside, Operation, Role, late
from engine.state import ValueState
from engine.stream import Stream
from engine.types import did_you_mean, first_returned_by
from engine.windowed import WindowedResults

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Processed(Operation):
    """Records and timers of each key become what a KeyedProcess makes of them."""

    role: ClassVar[Role] = "head"
    kind = "process"
    key: Key
    clock: Time | None
    """Where the event time of the records stands; None: they have none."""
    make: Callable[[], KeyedProcess[Any, Any]]
    cls: type[KeyedProcess[Any, Any]]
    """What it makes an object of."""
    in_order: bool
    """Whether records are given in order of event time."""
    record_type: Any

    @property
    def function(self) -> Callable[..., Any]:
        return self.cls.on_record

    @property
    def default_name(self) -> str:
        return f"{self.kind} {self.cls.__name__}"

    @property
    def asides(self) -> tuple[Aside, ...]:
        return (*late(self.record_type, self.clock), *(Aside(each.name, each.record_type) for each in self.cls._sides))

    @property
    def waits_for_time(self) -> bool:
        return self.in_order

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        order, waiting = ("of time", self.record_type) if self.in_order else ("as they come", None)
        return {**self.key.meaning, "order of records": order, "records that wait": waiting}

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(each.title() for each in self.cls._states)

    def describe(self) -> str:
        return f"{self.cls.__name__}{' in order' if self.in_order else ''} by {self.key}"

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return head_of(name, guard, self.make(), self.key, self.clock, in_order=self.in_order)


@dataclass(frozen=True, eq=False)
class AgeingStatefulMap(Operation):
    """As StatefulMap, but state that is not written for so long is forgotten."""

    role: ClassVar[Role] = "head"
    kind = "stateful_map"
    key: Key
    clock: Time | None
    f: Callable[[Any, Any], tuple[Any, Any]]
    initial: Callable[[], Any] | None
    ttl: int
    """Milliseconds."""

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**self.key.meaning, "state": first_returned_by(self.f), "time to live": "some"}

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return head_of(name, guard, _mapping(self.f, self.initial, self.ttl), self.key, self.clock)


def _mapping(
    function: Callable[[Any, Any], Any], initial: Callable[[], Any] | None, ttl: int
) -> KeyedProcess[Any, Any]:
    class Mapping(KeyedProcess[Any, Any]):
        state = ValueState[Any](None, ttl=ttl)

        def on_record(self, record: Any) -> list[Any]:
            state = self.state
            result = function(initial() if state is None and initial is not None else state, record)
            if type(result) is not tuple or len(result) != 2:
                raise TypeError(f"wanted a pair (new state, record) from the function, got {result!r}")
            if result[0] is None:
                del self.state
            else:
                self.state = result[0]
            return [result[1]]

    return Mapping()


def head_of(
    name: str,
    guard: Guard,
    process: KeyedProcess[Any, Any],
    key: Key,
    clock: Time | None,
    *,
    in_order: bool = False,
) -> Head:
    """The native head that runs `process`."""
    instant = None if clock is None else clock.instant()
    states = type(process)._states
    return keyed_process.KeyedProcess(name, guard, process, key.getter(), instant, states, Timers, Timer, in_order)


def process_class(make: Any, place: str) -> type[KeyedProcess[Any, Any]]:
    """The class of what `make` makes; GraphError where that cannot run."""
    if isinstance(make, KeyedProcess):
        name = type(make).__name__
        raise GraphError(
            f"{place}: process wants a class or a function that makes a process, since each instance of the operator "
            f"has one of its own, got a {name}",
            hint=f"write {name} without calling it, or lambda: {name}(...)",
        )
    if not callable(make):
        raise GraphError(f"{place}: process wants a KeyedProcess, got {make!r}", hint="write a class on KeyedProcess")
    made = make if isinstance(make, type) else type(_made(make, place))
    if not issubclass(made, KeyedProcess):
        raise GraphError(
            f"{place}: process wants a KeyedProcess, got {made.__name__}",
            hint="write a class on KeyedProcess, with on_record; for a function of one record use map or flat_map",
        )
    if made.on_record is KeyedProcess.on_record:
        raise GraphError(f"{place}: {made.__name__} has no on_record, so it does nothing with its records")
    for method in (made.on_record, made.on_timer):
        check_function(method, "process", place)
    if isinstance(make, type):
        _made(make, place)
    return made


def _made(make: Callable[[], Any], place: str) -> Any:
    try:
        return make()
    except TypeError as error:
        hint = f"write lambda: {getattr(make, '__name__', 'Process')}(...) if it wants arguments"
        raise GraphError(f"{place}: process cannot make its process: {error}", hint=hint) from error


class ProcessResults(WindowedResults[U, T]):
    """What a KeyedProcess makes, its side outputs and, where it is `in_order`, what came too `late` for that."""

    def side(self, output: SideOutput[V]) -> Stream[V]:
        """The stream of a side output of its class; what goes to one that nobody reads is dropped.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, KeyedProcess, SideOutput
        >>> class Doubled(KeyedProcess[int, int]):
        ...     odd = SideOutput(int)
        ...     def on_record(self, number):
        ...         yield self.odd(number) if number % 2 else 2 * number
        >>> flow, doubled, odd = Dataflow("odd"), [], []
        >>> results = flow.source(from_iterable(range(5))).key_by().process(Doubled)
        >>> results.sink(collect(doubled), name="doubled")
        >>> results.side(Doubled.odd).sink(collect(odd), name="odd")
        >>> _ = flow.run()
        >>> doubled, odd
        ([0, 4, 8], [1, 3])
        """
        node = self._inputs[0].node
        assert node is not None
        operation = node.operation
        assert isinstance(operation, Processed)
        names = [each.name for each in operation.asides]
        name = getattr(output, "name", repr(output))
        if not isinstance(output, SideOutput) or name not in names:
            raise GraphError(
                f"{users_place()}: {operation.cls.__name__} has no side output {name!r}", hint=did_you_mean(name, names)
            )
        return Stream(self._flow, (Input(node, ASIDE - names.index(name)),), output.record_type)
