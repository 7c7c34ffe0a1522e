"""Shelves: records by time and key, for those that look for others close to them in time."""

from typing import Self, final

from cext.getter import Getter
from cext.instant import Instant

@final
class Shelf: ...

@final
class Shelves:
    def __new__(cls, key: Getter, instant: Instant, lower: int, upper: int) -> Self: ...
