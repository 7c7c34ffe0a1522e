"""Guard: what an operator does with a record that it could not handle."""

from collections.abc import Callable
from typing import Any

class Sideline:
    failure: BaseException | None
    letters: list[Any]
    def __init__(self) -> None: ...
    def take_letters(self) -> list[Any]: ...
    def take_failure(self) -> BaseException | None: ...

class Guard:
    mode: int
    skipped: int
    lettered: int
    def __init__(
        self,
        mode: str,
        describe: Callable[[Any, BaseException], BaseException] | None = None,
        letter: Callable[[Any, BaseException], Any] | None = None,
    ) -> None: ...
    def handle(self, record: Any, error: BaseException, side: Sideline) -> bool: ...
