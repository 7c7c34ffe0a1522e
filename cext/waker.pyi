"""Waker: an eventfd on which one thread parks and others wake it, only when it is parked."""

from typing import Self, final

@final
class Waker:
    fd: int
    def __new__(cls) -> Self: ...
    def notify(self) -> None: ...
    def wait(self, seconds: float = -1.0) -> None: ...
