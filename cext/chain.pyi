"""Record operators: each takes the rows of a frame and gives those that go on, never more than it took."""

from collections.abc import Callable
from typing import Any, Self, final

from typing_extensions import disjoint_base

from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.operator_state import OperatorState

@disjoint_base
class Operator:
    name: str
    guard: Guard
    records_in: int
    records_out: int
    busy_ns: int
    def __new__(cls, name: str, guard: Guard, *arguments: Any, **options: Any) -> Self: ...
    def snapshot(self) -> OperatorState | None: ...
    def restore(self, states: list[OperatorState]) -> None: ...
    def __call__(self, rows: list[Any]) -> tuple[list[Any], list[Any]]: ...

@final
class Map(Operator):
    def __new__(cls, name: str, guard: Guard, function: Callable[..., Any], spread: bool = False) -> Self: ...

@final
class Filter(Operator):
    def __new__(cls, name: str, guard: Guard, function: Callable[..., Any], by_class: bool = False) -> Self: ...

@final
class Inspect(Operator):
    def __new__(cls, name: str, guard: Guard, function: Callable[[Any], Any]) -> Self: ...

@final
class Lookup(Operator):
    unmatched: int
    def __new__(
        cls,
        name: str,
        guard: Guard,
        table: dict[Any, Any],
        key: Getter,
        join: Callable[[Any, Any], Any] | None = None,
        inner: bool = False,
    ) -> Self: ...

@final
class StatefulMap(Operator):
    states: dict[Any, Any]
    def __new__(
        cls,
        name: str,
        guard: Guard,
        key: Getter,
        function: Callable[[Any, Any], tuple[Any, Any]],
        initial: Callable[[], Any] | None = None,
    ) -> Self: ...

@final
class Running(Operator):
    groups: Groups
    def __new__(cls, name: str, guard: Guard, groups: Groups) -> Self: ...

@final
class Router:
    def __new__(cls, guard: Guard, predicates: tuple[Callable[[Any], Any], ...]) -> Self: ...
