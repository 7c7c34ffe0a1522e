"""Guard: what an operator does with a record that it could not handle."""

from collections.abc import Callable
from typing import Any, Self, final

@final
class Sideline:
    failure: BaseException | None
    aside: list[list[Any]]
    set_aside: int
    letters: list[Any]
    lost: int
    def __new__(cls) -> Self: ...
    def lose(self, records: int) -> None: ...
    def put_aside(self, output: int, record: Any) -> None: ...
    def take_letters(self) -> list[Any]: ...
    def take_aside(self) -> list[list[Any]]: ...
    def take_failure(self) -> BaseException | None: ...

@final
class Guard:
    mode: int
    skipped: int
    lettered: int
    def __new__(
        cls,
        mode: str,
        describe: Callable[[Any, BaseException], BaseException] | None = None,
        letter: Callable[[Any, BaseException], Any] | None = None,
    ) -> Self: ...
    def handle(self, record: Any, error: BaseException, side: Sideline) -> bool: ...
