"""Column: what an aggregate knows, one state a slot, a slot a key."""

from typing import Any, Self

from typing_extensions import disjoint_base

from cext.getter import Getter

@disjoint_base
class Column:
    value: Getter
    def __new__(cls, value: Getter, *arguments: Any) -> Self: ...

@disjoint_base
class Objects(Column): ...
