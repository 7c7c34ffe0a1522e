"""Columns: the native aggregates."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.column import Column, Objects
from cext.getter import Getter

@final
class Count(Column): ...

@final
class Sum(Objects): ...

@final
class Least(Objects): ...

@final
class Greatest(Objects): ...

@final
class Mean(Objects): ...

@final
class Collect(Objects): ...

@final
class Distinct(Objects): ...

@final
class Top(Objects):
    most: int
    by: Getter
    pick: Getter
    smallest: bool
    def __new__(cls, value: Getter, most: int, by: Getter, pick: Getter, smallest: bool = False) -> Self: ...

@final
class Custom(Objects):
    def __new__(
        cls,
        value: Getter,
        create: Callable[[], Any],
        step: Callable[[Any, Any], Any],
        finish: Callable[[Any], Any] | None = None,
        join: Callable[[Any, Any], Any] | None = None,
    ) -> Self: ...
