"""IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together."""

from typing import Any, Self, final

from cext.getter import Getter
from cext.instant import Instant
from cext.joined import Joins

@final
class Partners:
    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[Any, Any]: ...

@final
class IntervalJoin(Joins):
    def __new__(
        cls,
        left_key: Getter,
        left_time: Instant,
        right_key: Getter,
        right_time: Instant,
        lower: int,
        upper: int,
        keep_left: bool = False,
        keep_right: bool = False,
        lateness: int = 0,
    ) -> Self: ...
