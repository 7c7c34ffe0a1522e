"""Shapes: whether a value is exactly what a type says, so that an encoding that knows the type loses nothing."""

from collections.abc import Iterable
from typing import Any, Final, Self, final

from typing_extensions import disjoint_base

WIDE: Final[str]

@final
class Shape:
    def __new__(cls, *alternatives: type | Compound | str) -> Self: ...
    def misfit(self, rows: list[Any]) -> int: ...

@disjoint_base
class Compound:
    exact: type
    def __new__(cls, exact: type, *parts: Any) -> Self: ...

@final
class Items(Compound):
    def __new__(cls, exact: type, item: Shape) -> Self: ...

@final
class Mapping(Compound):
    def __new__(cls, exact: type, key: Shape, value: Shape) -> Self: ...

@final
class Members(Compound):
    def __new__(cls, exact: type, members: tuple[Any, ...]) -> Self: ...

@final
class Literals(Compound):
    def __new__(cls, exact: type, values: Iterable[Any]) -> Self: ...

@final
class Fixed(Compound):
    def __new__(cls, exact: type) -> Self: ...
    def fill(self, shapes: dict[str, Shape]) -> None: ...

@final
class Slot:
    def __new__(cls, owner: type, name: str, shape: Shape) -> Self: ...

@final
class Slots(Compound):
    def __new__(cls, exact: type) -> Self: ...
    def fill(self, shapes: dict[str, Shape]) -> None: ...

@final
class Named(Compound):
    def __new__(cls, exact: type, optional: Iterable[str] = ()) -> Self: ...
    def fill(self, shapes: dict[str, Shape]) -> None: ...
