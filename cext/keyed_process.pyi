"""KeyedProcess: the head that gives a user's process its records and timers, and takes up what it makes of them."""

from collections.abc import Callable, Hashable
from typing import Any, Self, final

from cext.getter import Getter
from cext.guard import Guard
from cext.head import Holding
from cext.instant import Instant
from cext.keyed import Keyed, State, Timers

@final
class Tagged:
    def __new__(cls, output: int, record: Any) -> Self: ...

@final
class KeyedProcess(Holding):
    process: Keyed
    late: int
    def __new__(
        cls,
        name: str,
        guard: Guard,
        process: Keyed,
        key: Getter,
        instant: Instant | None,
        states: tuple[State, ...],
        timers: type[Timers],
        make_timer: Callable[[Any, int, bool], Any],
        in_order: bool = False,
    ) -> Self: ...
    @property
    def held(self) -> int: ...
    def state(self) -> dict[Hashable, dict[str, Any]]: ...
