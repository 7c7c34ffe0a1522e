"""States: what a process keeps for each key, one value, a list or a map, for ever or for so long."""

from collections.abc import Callable
from typing import Any, Self

from typing_extensions import disjoint_base

from cext.keyed import State
from cext.views import View

@disjoint_base
class Ageing(State):
    renews: bool

@disjoint_base
class Value(Ageing):
    default: Any
    factory: Callable[[], Any] | None
    def __new__(
        cls,
        *arguments: Any,
        default: Any = None,
        factory: Callable[[], Any] | None = None,
        ttl: int = 0,
        renews: bool = False,
        **options: Any,
    ) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...
    def __set__(self, instance: Any, value: Any, /) -> None: ...
    def __delete__(self, instance: Any, /) -> None: ...

@disjoint_base
class Collected(Ageing):
    def __new__(
        cls,
        *arguments: Any,
        view: Callable[..., View] | None = None,
        ttl: int = 0,
        renews: bool = False,
        **options: Any,
    ) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...
    def __set__(self, instance: Any, value: Any, /) -> None: ...
    def __delete__(self, instance: Any, /) -> None: ...

class Listed(Collected): ...
class Mapped(Collected): ...
