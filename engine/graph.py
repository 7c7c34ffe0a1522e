"""The logical graph: nodes in the order in which they were written, what feeds them, and what makes a graph whole."""

from __future__ import annotations

import os
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cext.getter import Getter
from engine.errors import GraphError

if TYPE_CHECKING:
    from engine.event_time import Time
    from engine.operation import Operation

OnError: TypeAlias = Literal["fail", "skip", "dead-letter"]
Part: TypeAlias = str | Callable[[Any], Any]
Route: TypeAlias = Literal["forward", "hash", "broadcast", "rebalance"]

LETTERS = -1
"""The output by which a node's dead letters leave."""

ASIDE = -2
"""The first of the outputs aside, by which a head lets records leave that are no results; the next are below it."""

LATE = ASIDE
"""That of windows and joins is for records that came too late."""

_OURS = tuple(f"{Path(__file__).parent.parent / name}{os.sep}" for name in ("engine", "connectors"))


@dataclass(frozen=True)
class Key:
    """What a stream is keyed by: field names and functions, and what each part is called."""

    parts: tuple[Part, ...]
    names: tuple[str, ...]
    types: tuple[Any, ...]

    @property
    def meaning(self) -> dict[str, Any]:
        """What the meaning of state by key hangs on, see `Operation.meaning`."""
        known = self.types and not any(each in {None, Any} for each in self.types)
        return {"key": str(self), "type of the key": tuple[self.types] if known else None}  # type: ignore[name-defined]

    def getter(self) -> Getter:
        """Takes the key out of a record: the value itself if there is one part, else a tuple."""
        return Getter(self.parts[0] if len(self.parts) == 1 else self.parts)

    def __add__(self, other: Key) -> Key:
        """Both, one after the other."""
        return Key(self.parts + other.parts, self.names + other.names, self.types + other.types)

    def __str__(self) -> str:
        return ", ".join(self.names) or "nothing"


@dataclass(frozen=True, eq=False)
class Input:
    """Where a node's records come from: an output of `node`, or, where that is None, all dead letters of the flow."""

    node: Node | None
    output: int = 0
    route: Route = "forward"
    key: Key | None = None
    stage: str | None = None
    """The stage that begins here; None: it goes on in that of `node`."""
    time: Time | None = None
    """Where the records' event time stands; None: as `node` has it."""
    right: bool = False
    """Whether these are the right-hand records of a join."""

    @property
    def type(self) -> Any:
        """What the records are, as far as is known."""
        if self.node is None or self.output == LETTERS:
            return None
        return self.node.operation.asides[ASIDE - self.output].type if self.output <= ASIDE else self.node.type

    @property
    def is_table(self) -> bool:
        """Whether these make the table of a lookup_join: event time and layout do not go by them."""
        return self.right and self.route == "broadcast"


@dataclass(eq=False)
class Node:
    """One operator of the graph."""

    name: str
    operation: Operation
    inputs: tuple[Input, ...]
    type: Any
    on_error: OnError
    parallelism: int | None
    """How many times it runs, or None where the user does not say."""
    place: str
    """The line of the user's program that wrote it, as file:line."""
    outputs: int = 1
    stage: str = ""
    """The group of processes that it runs in; "": the one that everything is in unless it says otherwise."""

    def __str__(self) -> str:
        return f"{self.name!r} ({self.place})"


@dataclass
class Graph:
    """All nodes of a flow; a node stands behind everything that feeds it."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    stages: dict[str, int] = field(default_factory=dict)
    """How many processes each stage has that the user made."""

    def add(self, node: Node) -> Node:
        """Take `node` in under a name of its own."""
        self.nodes.append(node)
        return node

    def unique(self, wanted: str | None, default: str, place: str) -> str:
        """The name of a new node: `wanted`, which must be free, or `default`, numbered where it is not."""
        if wanted is not None and (not isinstance(wanted, str) or not wanted.strip()):
            raise GraphError(f"{place}: an operator's name is a text, not {wanted!r}")
        taken = {node.name: node for node in self.nodes}
        if wanted is not None:
            if wanted in taken:
                raise GraphError(
                    f"{place}: the name {wanted!r} is used twice; the first is at {taken[wanted].place}",
                    hint="give each operator a name of its own: counters and saved state go by it",
                )
            return wanted
        number = 1
        name = default
        while name in taken:
            number += 1
            name = f"{default}-{number}"
        return name

    def consumers(self, node: Node, output: int) -> Iterator[tuple[Node, Input]]:
        """Who reads `output` of `node`."""
        for reader in self.nodes:
            for source in reader.inputs:
                if (source.node is node and source.output == output) or (
                    source.node is None and output == LETTERS and node.on_error == "dead-letter"
                ):
                    yield reader, source

    def validate(self) -> None:
        """Raise GraphError, with the operator and its line, if the graph cannot run."""
        if not self.nodes:
            raise GraphError(f"flow {self.name!r} is empty", hint="begin with flow.source(...)")
        wants_letters = any(source.node is None for node in self.nodes for source in node.inputs)
        for node in self.nodes:
            for output in range(node.outputs):
                if not any(self.consumers(node, output)):
                    part = f"part {output + 1} of {node.outputs} of " if node.outputs > 1 else ""
                    raise GraphError(
                        f"{part}stream {node} goes nowhere",
                        hint="end it with .sink(...); connectors.memory.discard() drops and counts what nobody needs",
                    )
            if node.on_error == "dead-letter" and not wants_letters:
                raise GraphError(
                    f'{node} says on_error="dead-letter", but nobody reads the dead letters',
                    hint="write flow.dead_letters.sink(...)",
                )
        if wants_letters and all(node.on_error != "dead-letter" for node in self.nodes):
            raise GraphError(
                f"flow {self.name!r} reads flow.dead_letters, but no operator sends any",
                hint='say on_error="dead-letter" on the operators that may meet bad records, or on the Dataflow',
            )


def feeding(inputs: Iterable[Input], *, tables: bool = True) -> Iterator[Input]:
    """`inputs` and, behind them, all that feeds them, or all but tables; each node is passed through once."""
    found = [each for each in inputs if tables or not each.is_table]
    seen: set[Node] = set()
    for each in found:  # which grows meanwhile
        yield each
        if each.node is not None and each.node not in seen:
            seen.add(each.node)
            found += [more for more in each.node.inputs if tables or not more.is_table]


def stage_of(inputs: Iterable[Input]) -> str:
    """The stage of a node with these inputs: the one that the first of them that says so is in."""
    for each in inputs:
        if each.is_table:
            continue
        stage = each.stage if each.stage is not None else each.node.stage if each.node is not None else ""
        if stage:
            return stage
    return ""


def is_ours(filename: str) -> bool:
    """Whether code of Headgate, not of its user, stands in `filename`."""
    return filename.startswith(_OURS)


def users_place() -> str:
    """file:line of the innermost caller outside Headgate, and outside typing, by which Class[int]() goes."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        is_ours(frame.f_code.co_filename) or frame.f_code.co_filename == typing.__file__
    ):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
