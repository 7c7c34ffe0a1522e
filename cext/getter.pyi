"""Getter: how a key or a value is taken out of a record."""

from collections.abc import Callable
from typing import Any, TypeAlias

_Part: TypeAlias = str | Callable[[Any], Any]

class Getter:
    how: int
    what: _Part | tuple[_Part, ...] | None
    def __init__(self, what: _Part | tuple[_Part, ...] | None = None) -> None: ...
    def __call__(self, record: Any) -> Any: ...
