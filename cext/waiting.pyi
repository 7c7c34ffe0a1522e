"""Waiting: records that wait until event time has passed them, to be given in its order."""

from typing import Self, final

@final
class Waiting:
    count: int
    def __new__(cls) -> Self: ...
