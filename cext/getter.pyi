"""Getter: how a key or a value is taken out of a record."""

from collections.abc import Callable
from typing import Any, Self, TypeAlias, final

_Part: TypeAlias = str | Callable[[Any], Any]

@final
class Getter:
    how: int
    what: _Part | tuple[_Part, ...] | None
    def __new__(cls, what: _Part | tuple[_Part, ...] | None = None) -> Self: ...
    def __call__(self, record: Any) -> Any: ...
