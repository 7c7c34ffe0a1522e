"""Which part of a flow cannot travel to another process, found once sending the whole has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from engine.errors import GraphError
from engine.naming import function_place
from engine.operation import Operation
from engine.pickling import names_used

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

_DEEPEST = 20
_HINT = "make it where it is used: in the open() of a source or sink, or inside the function"

Failure = Callable[[Any], Exception | None]
"""What comes of pickling a value: None where that works."""


def blame(flow: Dataflow, failure: Failure, error: Exception) -> GraphError:
    """What to tell the user when `flow` cannot be pickled because of `error`."""
    for node in flow.graph.nodes:
        for part in (node.operation, node.type, [each.key for each in node.inputs]):
            reason = failure(part)
            if reason is not None:
                where = _innermost(part, failure)
                return GraphError(f"operator {node} cannot go to another process: {where}{_why(reason)}", hint=_HINT)
    return GraphError(f"flow {flow.name!r} cannot go to another process: {_why(error)}", hint=_HINT)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _innermost(value: Any, failure: Failure) -> str:
    """The smallest part of `value` that cannot be pickled, and where it is."""
    path: list[str] = []
    for _ in range(_DEEPEST):
        found = next(((label, part) for label, part in _parts(value) if failure(part) is not None), None)
        if found is None:
            break
        path += [] if isinstance(value, Operation) else [found[0]]
        value = found[1]
    if not path:
        return f"{_kind(value)}; "
    return f"{' of '.join(reversed(path[-2:]))} is {_kind(value)}; "


def _kind(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, FunctionType):
        yield from _function_parts(value)
    elif isinstance(value, MethodType):
        yield f"the object of the method {value.__name__}", value.__self__
    elif isinstance(value, partial):
        yield from ((f"argument {i + 1} of a partial", each) for i, each in enumerate(value.args))
        yield from ((f"the argument {name!r} of a partial", each) for name, each in value.keywords.items())
        yield function_place(value.func), value.func
    elif isinstance(value, Mapping):
        yield from ((f"the item {key!r}", each) for key, each in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"item {i}", each) for i, each in enumerate(value))
    elif not isinstance(value, type):
        yield from ((_attribute(value, name), each) for name, each in getattr(value, "__dict__", {}).items())
        yield from _slots(value)


def _slots(value: Any) -> Iterator[tuple[str, Any]]:
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield _attribute(value, name), getattr(value, name)


def _attribute(value: Any, name: str) -> str:
    return f"the attribute {name!r} of {type(value).__name__}"


def _function_parts(function: FunctionType) -> Iterator[tuple[str, Any]]:
    place = function_place(function)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"the variable {name!r} that {place} uses", cell.cell_contents
        except ValueError:  # nothing is in it yet
            continue
    for name in sorted(names_used(function.__code__) & {*function.__globals__}):
        yield f"the global {name!r} that {place} uses", function.__globals__[name]
    for default in function.__defaults__ or ():
        yield f"a default of {place}", default
