"""Looking up: what lookup_join is asked for, checked and made an operation of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cext import chain
from cext.chain import Operator
from cext.getter import Getter
from cext.guard import Guard
from cext.head import Head
from cext.stream_lookup import StreamLookup
from cext.waker import Waker
from engine.checks import check_field, check_function, unbounded_sources
from engine.equality import may_equal
from engine.errors import GraphError
from engine.event_time import EventTime
from engine.graph import Input, Part, feeding
from engine.naming import function_name
from engine.operation import Operation, Role
from engine.source import Source
from engine.tables import load
from engine.types import fields_of, name_of, returned_by

if TYPE_CHECKING:
    from engine.stream import Stream


@dataclass(frozen=True, eq=False)
class LookupJoin(Operation):
    """One record meets its match in a table that is read once, when the job starts."""

    role: ClassVar[Role] = "chain"
    kind = "lookup_join"
    table: Mapping[Any, Any] | Source[Any]
    table_key: Part | None
    on: Part
    f: Callable[[Any, Any], Any] | None
    inner: bool

    def prepare(self, name: str) -> Self:
        return replace(self, table=load(self.table, Getter(self.table_key), name))

    def build_operator(self, name: str, guard: Guard) -> Operator:
        assert isinstance(self.table, dict), "prepare() comes first"
        return chain.Lookup(name, guard, self.table, Getter(self.on), self.f, self.inner)


@dataclass(frozen=True, eq=False)
class LookupStream(Operation):
    """One record meets its match in a table that is made of the records of another stream, the last of each key."""

    role: ClassVar[Role] = "head"
    kind = "lookup_join"
    table_key: Part | tuple[Part, ...]
    on: Part
    f: Callable[[Any, Any], Any] | None
    inner: bool
    delete: Callable[[Any], object] | None
    waits: bool
    """Whether records wait until the table was read once."""

    def describe(self) -> str:
        when = "which is read first" if self.waits else "as it is then"
        return f"{'inner' if self.inner else 'left'} lookup join by {_shown(self.on)} in a stream, {when}"

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        table = next(each for each in inputs if each.is_table)
        parts = self.table_key if isinstance(self.table_key, tuple) else (self.table_key,)
        return {"key of the table": ", ".join(map(_shown, parts)), "records of the table": table.type}

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        getters = Getter(self.table_key), Getter(self.on)
        return StreamLookup(name, guard, *getters, self.f, self.inner, self.delete)


@dataclass(frozen=True)
class Asked:
    """What the user wrote."""

    stream: Stream[Any]
    table: Any
    on: Any
    into: Any
    table_key: Any
    how: str
    delete: Any
    wait: bool
    place: str

    def check(self) -> None:
        """Raise GraphError where it makes no sense whatever the table is."""
        if self.how not in {"left", "inner"}:
            raise GraphError(f'{self.place}: how is "left" or "inner", not {self.how!r}')
        for what, part in (("on", self.on), ("table_key", self.table_key)):
            if part is not None and not isinstance(part, str) and not callable(part):
                raise GraphError(f"{self.place}: lookup_join wants a field or a function as {what}, got {part!r}")
        check_field(self.stream.type, self.on, "lookup_join", self.place)
        if self.into is not None:
            check_function(self.into, "lookup_join", self.place)

    def in_stream(self, table: Stream[Any]) -> tuple[Operation, tuple[Input, ...]]:
        """The operation, and its inputs, with a table that is the last record of each key of a stream."""
        place, flow = self.place, self.stream._flow
        if table._flow is not flow:
            raise GraphError(
                f"{place}: lookup_join of streams of two flows, {flow.name!r} and {table._flow.name!r}",
                hint="build both in one Dataflow",
            )
        key, types = self._key_of(table)
        if self.delete is not None:
            check_function(self.delete, "lookup_join's delete", place)
        self._check_types(types)
        if self.wait:
            _check_has_end(table._inputs, place)
        operation = LookupStream(key, self.on, self.into, self.how == "inner", self.delete, bool(self.wait))
        tables = (replace(each, route="broadcast", key=None, right=True, stage=None) for each in table._inputs)
        return operation, (*self.stream._inputs, *tables)

    def once(self) -> Operation:
        """The operation with a table that is read once: a mapping or a source."""
        place, table = self.place, self.table
        if isinstance(table, Source) == (self.table_key is None):
            raise GraphError(
                f"{place}: lookup_join wants table_key with a source, and no table_key with a mapping",
                hint='e.g. lookup_join(csv_files("planes.csv", type=Plane), on="tail", table_key="tail")',
            )
        if not isinstance(table, Source | Mapping):
            raise GraphError(f"{place}: lookup_join wants a mapping, a source or a stream as its table, got {table!r}")
        if self.delete is not None or self.wait is not True:
            raise GraphError(f"{place}: delete and wait are for a table that is a stream, not for {table!r}")
        if isinstance(table, Source):
            if not table.bounded:
                raise GraphError(
                    f"{place}: lookup_join reads its table to the end, but {table.name!r} never ends",
                    hint="give it as a stream, flow.source(...), whose records change the table as they come",
                )
            check_field(table.type, self.table_key, "lookup_join's table", place)
            self._check_types((_type_of(self.table_key, table.type),))
        return LookupJoin(table, self.table_key, self.on, self.into, self.how == "inner")

    def _key_of(self, table: Stream[Any]) -> tuple[Part | tuple[Part, ...], tuple[Any, ...]]:
        """What the table is keyed by, and the types of its parts."""
        keyed = getattr(table, "key", None)
        if (keyed is None) == (self.table_key is None):
            raise GraphError(
                f"{self.place}: lookup_join wants a table with one key: table_key with a stream, none with a keyed one",
                hint='e.g. lookup_join(rates.key_by("currency"), on="currency")',
            )
        if keyed is not None:
            return (keyed.parts[0] if len(keyed.parts) == 1 else keyed.parts), keyed.types
        check_field(table.type, self.table_key, "lookup_join's table", self.place)
        return self.table_key, (_type_of(self.table_key, table.type),)

    def _check_types(self, types: tuple[Any, ...]) -> None:
        mine = _type_of(self.on, self.stream.type)
        wanted = types[0] if len(types) == 1 else tuple
        if not may_equal(mine, wanted):
            raise GraphError(
                f"{self.place}: lookup_join looks up {_shown(self.on)}, of type {name_of(mine)}, among keys of type "
                f"{name_of(wanted)}: these are never equal",
                hint="give on a function that makes the key, e.g. on=lambda record: ...",
            )


def _check_has_end(inputs: tuple[Input, ...], place: str) -> None:
    """Refuse a table that is to be read once and of which nobody knows when it was."""
    may_idle = {
        each.node.inputs[0].node
        for each in feeding(inputs)
        if each.node and isinstance(each.node.operation, EventTime) and each.node.operation.idle_after >= 0
    }
    for source in unbounded_sources(inputs):
        if source not in may_idle:
            raise GraphError(
                f"{place}: lookup_join waits until its table was read once, but {source} never ends",
                hint='say when it was, by .event_time(..., idle_after="2s") behind that source, or wait=False',
            )


def _type_of(part: Any, record_type: Any) -> Any:
    return (fields_of(record_type) or {}).get(part, Any) if isinstance(part, str) else returned_by(part)


def _shown(part: Any) -> str:
    return repr(part) if isinstance(part, str) else function_name(part)
