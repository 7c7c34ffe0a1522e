"""Transpose: records of one Struct type as a list for each field, and back."""

from typing import Any, Self, final

from cext.conform import Shape

@final
class Transpose:
    def __new__(cls, struct: type, shape: Shape, positional: int, names: tuple[str, ...]) -> Self: ...
    def columns(self, rows: list[Any]) -> list[list[Any]] | None: ...
    def rows(self, columns: tuple[list[Any], ...]) -> list[Any]: ...
