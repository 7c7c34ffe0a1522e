"""Merging: windows and whole streams whose records have in part been combined already."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.groups import Groups
from cext.panes import Panes
from cext.windowed import Windows

@final
class Partials:
    type: Any
    pane: str
    states: tuple[str, ...]
    def __new__(cls, type: Any, pane: str, states: tuple[str, ...]) -> Self: ...

@final
class KeyPart:
    type: Any
    field: str
    other: Callable[[Any], Any]
    def __new__(cls, type: Any, field: str, other: Callable[[Any], Any]) -> Self: ...
    def __call__(self, record: Any) -> Any: ...

@final
class MergingPanes(Panes):
    partials: Partials

@final
class MergingWhole(Windows):
    groups: Groups
    partials: Partials
    def __new__(cls, groups: Groups, partials: Partials) -> Self: ...

def count_of(rows: list[Any], type: Any) -> int: ...
