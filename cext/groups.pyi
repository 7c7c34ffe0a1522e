"""Groups: keyed aggregate state, a slot for each key in every column."""

from collections.abc import Callable, Iterator
from typing import Any, Self, final

from cext.columns import Column
from cext.getter import Getter

@final
class Groups:
    key: Getter
    columns: list[Column]
    def __new__(cls, key: Getter, columns: list[Column], make: Callable[[Any, list[Any]], Any]) -> Self: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def update(self, row: Any) -> Any: ...
