"""Deduplicate: of the records of a key that are close together in time, the first to come."""

from typing import Self, final

from cext.getter import Getter
from cext.instant import Instant
from cext.windowed import Windows

@final
class Deduplicate(Windows):
    def __new__(cls, key: Getter, instant: Instant, within: int) -> Self: ...
