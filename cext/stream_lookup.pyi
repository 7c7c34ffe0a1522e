"""StreamLookup: the head that looks records up in a table made of the records of other lanes."""

from collections.abc import Callable, Container
from typing import Any, Self, final

from cext.chain import Lookup
from cext.channel import Channel
from cext.getter import Getter
from cext.guard import Guard
from cext.head import Holding

@final
class StreamLookup(Holding):
    lookup: Lookup
    table: dict[Any, Any]
    tables: Container[Channel]
    def __new__(
        cls,
        name: str,
        guard: Guard,
        table_key: Getter,
        key: Getter,
        join: Callable[[Any, Any], Any] | None = None,
        inner: bool = False,
        delete: Callable[[Any], object] | None = None,
    ) -> Self: ...
