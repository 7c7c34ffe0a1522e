"""Joined: the head that takes the records of two inputs into a join and gives the pairs that they make."""

from collections.abc import Container
from typing import Any, Self, final

from typing_extensions import disjoint_base

from cext.channel import Channel
from cext.guard import Guard
from cext.windowed import Windowed, Windows

@disjoint_base
class Joins(Windows):
    from_right: bool
    delay: int
    def take(self, row: Any, from_right: bool) -> list[Any] | None: ...

@final
class Joined(Windowed):
    joins: Joins
    right: Container[Channel]
    def __new__(cls, name: str, guard: Guard, windows: Joins) -> Self: ...
