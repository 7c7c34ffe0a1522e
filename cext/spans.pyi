"""Spans: panes combined by twos, fours, eights and so on, so that a wide window is made of few parts."""

from collections.abc import Callable
from typing import Self, final

from cext.groups import Groups

@final
class Spans:
    def __new__(cls, make_groups: Callable[[], Groups], width: int) -> Self: ...
    def __len__(self) -> int: ...
