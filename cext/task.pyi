"""Task: a head and a chain of operators between input lanes and output ports, run a step at a time."""

from collections.abc import Callable, Sequence
from typing import Any, Self, final

from cext.chain import Operator, Router
from cext.channel import Channel
from cext.head import Head
from cext.lanes import Lanes
from cext.operator_state import OperatorState
from cext.port import Port

@final
class Task:
    name: str
    head: Head
    chain: list[Operator]
    lanes: Lanes
    outputs: list[list[Port]]
    letters: list[Port]
    aside: list[list[Port]]
    failure: BaseException | None
    done: bool
    records_out: int
    frames_in: int
    dropped: int
    checkpointed: Callable[[Task, int, bool, dict[str, OperatorState]], None] | None
    checkpoint: int
    def __new__(
        cls,
        name: str,
        head: Head,
        lanes: Sequence[Channel] | Lanes,
        chain: Sequence[Operator],
        outputs: list[list[Port]],
        letters: Sequence[Port] = (),
        router: Router | None = None,
        frame_records: int = 1024,
        linger: int = 1_000_000,
        aside: Sequence[list[Port]] = (),
    ) -> Self: ...
    def take_failure(self) -> BaseException | None: ...
    def cancel(self) -> None: ...
    def abandon(self) -> None: ...
    def expect_barrier(self, checkpoint: int) -> None: ...
    def drop_barrier(self, checkpoint: int) -> None: ...
    def run_until_idle(self, steps: int = 1_000_000) -> int: ...
    @property
    def input_channels(self) -> list[Channel]: ...
    @property
    def event_time(self) -> int | None: ...
    def counters(self) -> dict[str, Any]: ...
