"""SessionJoin: pairs of records of two inputs that have a key in common and are in one session."""

from typing import Self, final

from cext.getter import Getter
from cext.instant import Instant
from cext.joined import Joins
from cext.sessions import Sessions

@final
class SessionJoin(Joins):
    sessions: Sessions
    def __new__(
        cls,
        gap: int,
        left_key: Getter,
        left_time: Instant,
        right_key: Getter,
        right_time: Instant,
        keep_left: bool = False,
        keep_right: bool = False,
    ) -> Self: ...
