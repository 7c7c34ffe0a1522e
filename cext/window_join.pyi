"""WindowJoin: pairs of records of two inputs that have a key and a window in common."""

from typing import Self, final

from cext.column import Objects
from cext.getter import Getter
from cext.joined import Joins
from cext.panes import Panes

@final
class Rows(Objects):
    def __new__(cls, value: Getter) -> Self: ...

@final
class WindowJoin(Joins):
    left: Panes
    right: Panes
    keep_left: bool
    keep_right: bool
    def __new__(cls, left: Panes, right: Panes, keep_left: bool = False, keep_right: bool = False) -> Self: ...
