"""Windowed: the head that takes records into windows and gives what these come to once event time has passed them."""

from typing import Any, Self

from typing_extensions import disjoint_base

from cext.guard import Guard
from cext.head import Giving
from cext.instant import Arrival
from cext.operator_state import OperatorState

@disjoint_base
class Windows:
    lateness: int
    held: int
    def __new__(cls, *arguments: Any, **options: Any) -> Self: ...
    def snapshot(self) -> OperatorState: ...
    def restore(self, states: list[OperatorState]) -> None: ...
    def put(self, row: Any) -> list[Any] | None: ...
    def pass_on(self, watermark: int) -> list[Any]: ...
    def look(self, time: int) -> list[Any]: ...
    def end(self) -> list[Any]: ...

@disjoint_base
class Windowed(Giving):
    windows: Windows
    late: int
    def __new__(cls, name: str, guard: Guard, windows: Windows, arrival: Arrival | None = None) -> Self: ...
