"""Counted: windows of so many records of a key."""

from typing import Self, final

from cext.groups import Groups
from cext.windowed import Windows

@final
class Counted(Windows):
    size: int
    def __new__(cls, size: int, groups: Groups) -> Self: ...
