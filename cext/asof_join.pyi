"""AsOfJoin: each left record meets the right record of its key that was the latest at its time."""

from typing import Self, final

from cext.getter import Getter
from cext.instant import Instant
from cext.joined import Joins

@final
class History: ...

@final
class AsOfJoin(Joins):
    def __new__(
        cls,
        left_key: Getter,
        left_time: Instant,
        right_key: Getter,
        right_time: Instant,
        keep_left: bool = False,
        tolerance: int | None = None,
    ) -> Self: ...
