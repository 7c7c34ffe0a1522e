"""How the parts of a flow are pickled: as cloudpickle does it, and where that is not enough, as said here.

- A function or class that stands in a module under its name is looked up there, also where the module is the main
  program, if the worker can import it. All others go by value.
- A function that goes by value has its module's globals as its own over there, too.
- Functions and classes of a program (the main module, a file run by `headgate`) take along the globals that they use:
  some may have been set under `if __name__ == "__main__":`.
- A Struct class that goes by value is put together anew, once. Its records can be pickled there as here: a class of
  the main program is put into the worker's `__main__`, other Struct classes (made by an aggregate, local to a
  function) go by a token.
- A source or sink that is at home is replaced by a stand-in.
"""

from __future__ import annotations

import dis
import io
import pickle
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import msgspec

from engine.at_home import stand_in
from engine.by_value import cached, complete, fill, look_up, named, set_globals, settle, token_of
from engine.graph import Node
from engine.lookups import LookupJoin
from engine.modules import Surroundings
from engine.sink import Sink
from engine.source import Source
from engine.struct_classes import Bare, put_together, take_apart

_GLOBALS = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTES = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__annotations__")
_Cached = type(lru_cache(len))


class FlowPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one flow to `file`, for a worker that enters the surroundings `here` first."""

    def __init__(self, file: io.BytesIO, here: Surroundings, tried: dict[int, bool] | None = None) -> None:
        super().__init__(file, protocol=5)
        self._here, self._has_main = here, here.main is not None
        self._programs = {"__main__", *here.modules}
        self._tried = {} if tried is None else tried
        """By its id: whether the value of a global can travel."""

    def reducer_override(self, thing: Any) -> Any:
        """How to pickle `thing`, or NotImplemented: as usual."""
        if isinstance(thing, FunctionType):
            return self._function(thing)
        if isinstance(thing, type):
            return self._class(thing)
        return self._object(thing)

    def _object(self, thing: Any) -> Any:
        if isinstance(thing, Source | Sink) and thing.at_home:
            return stand_in(thing)
        if isinstance(thing, Node) and _has_table_at_home(thing):
            return object.__new__, (Node,), {**vars(thing), "operation": thing.operation.prepare(thing.name)}
        if isinstance(thing, cached_property):
            return cached_property, (thing.func,), {"attrname": thing.attrname, "__doc__": thing.__doc__}
        if isinstance(thing, _Cached):
            parts = (thing.__wrapped__, thing.cache_parameters())
            return self._by_name(thing) if self._is_there(thing) else (cached, parts)
        if isinstance(thing, io.TextIOWrapper) and thing not in (sys.stdout, sys.stderr):
            raise pickle.PicklingError("cannot pickle an open file")  # cloudpickle sends what is left to read in it
        return super().reducer_override(thing)

    def _is_there(self, thing: Any) -> bool:
        """Whether a worker finds `thing` under its name in its module."""
        module = thing.__module__
        if (module == "__main__" and not self._has_main) or module in cloudpickle.list_registry_pickle_by_value():
            return False
        return named(thing)

    def _function(self, function: FunctionType) -> Any:
        if self._is_there(function):
            return self._by_name(function)
        home = _home(function)
        if home is None:
            return super().reducer_override(function)
        return Bare.make, (Bare(function.__code__, home),), self._filling(function), None, None, fill

    def _by_name(self, thing: Any) -> Any:
        module = thing.__module__
        uses = [self._globals(function) for function in _functions(thing, module)] if module in self._programs else []
        if not any(uses):
            return NotImplemented
        values = {name: value for use in uses for name, value in use.items()}
        return look_up, (module, thing.__qualname__), (module, values), None, None, set_globals

    def _filling(self, function: FunctionType) -> Any:
        """All that a bare function lacks."""
        contents = [_content(cell) for cell in function.__closure__ or ()]
        attributes = {name: getattr(function, name) for name in _ATTRIBUTES} | vars(function)
        return contents, attributes, self._globals(function)

    def _globals(self, function: FunctionType) -> dict[str, Any]:
        """Those that `function` uses and takes along."""
        home = _home(function)
        if home not in self._programs:
            return {}
        all_of_them = home == "__main__" and not self._has_main
        there = {name: function.__globals__[name] for name in names_used(function.__code__) & {*function.__globals__}}
        return {name: value for name, value in sorted(there.items()) if all_of_them or self._travels(value)}

    def _travels(self, value: Any) -> bool:
        """Whether `value` can be pickled; if not, the worker has what its own import of the program made."""
        if isinstance(value, ModuleType):
            return True
        if id(value) not in self._tried:
            self._tried[id(value)] = True  # which also ends the search where values refer to each other
            try:
                FlowPickler(io.BytesIO(), self._here, self._tried).dump(value)
            except Exception:
                self._tried[id(value)] = False
        return self._tried[id(value)]

    def _class(self, cls: Any) -> Any:
        if self._is_there(cls):
            return self._by_name(cls)
        reduced = self._struct(cls) if issubclass(cls, msgspec.Struct) else super().reducer_override(cls)
        if reduced is NotImplemented or len(reduced) < 6:
            return reduced
        make, arguments, state, *rest, set_state = reduced
        is_main = cls.__module__ == "__main__" and named(cls)
        return make, arguments, (set_state, state, token_of(cls), is_main), *rest, settle

    def _struct(self, cls: Any) -> Any:
        parts, later, functions = take_apart(cls, self._bare)
        filled = {name: self._filling(function) for name, function in functions.items()}
        return put_together, (parts,), (later, filled), None, None, complete

    def _bare(self, function: Any) -> Any:
        if not isinstance(function, FunctionType) or self._is_there(function):
            return function
        home = _home(function)
        return function if home is None else Bare(function.__code__, home)


def names_used(code: CodeType) -> set[str]:
    """The globals that `code` and the functions within it name."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in _GLOBALS}
    return names.union(*(names_used(each) for each in code.co_consts if isinstance(each, CodeType)))


def _home(function: FunctionType) -> str | None:
    """The module whose globals `function` uses; None if that is none, or one that is to go by value."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    is_home = module is not None and vars(module) is function.__globals__
    return name if is_home and name not in cloudpickle.list_registry_pickle_by_value() else None


def _functions(thing: Any, module: str) -> Iterator[FunctionType]:
    """`thing` itself, the methods of a class, and what decorators hide, where these use the globals of `module`."""
    if isinstance(thing, property):
        parts: Iterable[Any] = (thing.fget, thing.fset, thing.fdel)
    elif isinstance(thing, cached_property):
        parts = (thing.func,)
    elif isinstance(thing, type) and thing.__module__ == module:
        parts = [each for each in vars(thing).values() if not isinstance(each, type)]
    else:
        parts = (getattr(thing, "__wrapped__", None),)
    if isinstance(thing, FunctionType) and _home(thing) == module:
        yield thing
    for part in parts:
        if part is not None:
            yield from _functions(part, module)


def _content(cell: Any) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # nothing is in it yet
        return ()


def _has_table_at_home(node: Node) -> bool:
    operation = node.operation
    return isinstance(operation, LookupJoin) and isinstance(operation.table, Source) and operation.table.at_home
