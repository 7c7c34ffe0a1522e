"""Record operators: each takes the rows of a frame and gives those that go on, never more than it took."""

from collections.abc import Callable
from typing import Any

from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard

class Operator:
    name: str
    guard: Guard
    records_in: int
    records_out: int
    busy_ns: int
    def __init__(self, name: str, guard: Guard, *arguments: Any, **options: Any) -> None: ...
    def __call__(self, rows: list[Any]) -> tuple[list[Any], list[Any]]: ...

class Map(Operator):
    def __init__(self, name: str, guard: Guard, function: Callable[[Any], Any]) -> None: ...

class Filter(Operator):
    def __init__(self, name: str, guard: Guard, function: Callable[[Any], Any]) -> None: ...

class Inspect(Operator):
    def __init__(self, name: str, guard: Guard, function: Callable[[Any], Any]) -> None: ...

class Lookup(Operator):
    unmatched: int
    def __init__(
        self,
        name: str,
        guard: Guard,
        table: dict[Any, Any],
        key: Getter,
        join: Callable[[Any, Any], Any] | None = None,
        inner: bool = False,
    ) -> None: ...

class StatefulMap(Operator):
    states: dict[Any, Any]
    def __init__(
        self,
        name: str,
        guard: Guard,
        key: Getter,
        function: Callable[[Any, Any], tuple[Any, Any]],
        initial: Callable[[], Any] | None = None,
    ) -> None: ...

class Running(Operator):
    groups: Groups
    def __init__(self, name: str, guard: Guard, groups: Groups) -> None: ...

class Router:
    def __init__(self, guard: Guard, predicates: tuple[Callable[[Any], Any], ...]) -> None: ...
