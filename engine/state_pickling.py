"""Pickles in checkpoints: as ever, but a Struct class is known by what it looked like when they were made.

One that stands in a module may have lost fields since, or got some with a default: its records are read by the names
of their fields. One without a place of its own (what an aggregate makes, or a class that is local to a function) is
another one in every run, that of the graph which reads it: it is known by its module, its name and its fields.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from engine.by_value import look_up, named
from engine.errors import CheckpointError
from engine.record_form import Form, form_of, misfits, reader_of


class Nameless(NamedTuple):
    """What a Struct class is known by that does not stand in its module under its name."""

    module: str
    name: str
    fields: tuple[str, ...]


def place_of(cls: Any) -> Nameless:
    """What `cls` is known by."""
    return Nameless(cls.__module__, cls.__qualname__, cls.__struct_fields__)


def nameless_in(types: Iterable[Any]) -> dict[Nameless, Any]:
    """The classes without a name in `types`, in what these are made of, and in their fields.

    >>> made = msgspec.defstruct("Total", ["key", "n"], module="program")
    >>> nameless_in([list[tuple[int, made]]]) == {Nameless("program", "Total", ("key", "n")): made}
    True
    """
    found: dict[Nameless, Any] = {}
    seen: list[Any] = []
    left = list(types)
    while left:
        each = left.pop()
        if any(each is other for other in seen):
            continue
        seen.append(each)
        left += get_args(each)
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            left += _field_types(each)
            if not named(each):
                found[place_of(each)] = each
    return found


def dumps(items: list[Any]) -> bytes:
    """A pickle of `items`."""
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(items)
    return file.getvalue()


def loads(data: bytes | memoryview, classes: Mapping[Nameless, Any]) -> list[Any]:
    """What was pickled; `classes`: those without a name that it may have records of."""
    items: list[Any] = _Unpickler(data, classes).load()
    return items


def nameless(*place: Any) -> Any:
    """What stands for such a class in a pickle; only `loads` knows which it is."""
    raise CheckpointError(f"it has records of {place[1]!r}, and can only be read where these are known")


def formed(module: str, name: str, *form: Any) -> Any:
    """What makes records of the class that has this name, and had this form."""
    return _reader(look_up(module, name), name, *form)


def _reader(cls: Any, name: str, *form: Any) -> Any:
    before, now = Form(*form), form_of(cls)
    if now is None or not now.evolves:
        raise CheckpointError(f"it has records of {name!r}, which was a Struct and is {cls!r}")
    if wrong := misfits(name, before, now):
        raise CheckpointError(f"its records have changed: {'; '.join(wrong)}")
    return reader_of(cls, before)


def _reduce(cls: Any) -> Any:
    form = form_of(cls)
    if not named(cls):
        return nameless, tuple(place_of(cls))
    if form is None or cls.__reduce__ is not msgspec.Struct.__reduce__:  # its own way says how it is read
        return cls.__qualname__
    return formed, (cls.__module__, cls.__qualname__, *msgspec.structs.astuple(form))


def _field_types(cls: Any) -> list[Any]:
    try:
        return list(get_type_hints(cls).values())
    except Exception:  # a name that stands for nothing here
        return []


class _Pickler(pickle.Pickler):
    dispatch_table: ChainMap[type, Any] = ChainMap({type(msgspec.Struct): _reduce}, copyreg.dispatch_table)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes | memoryview, classes: Mapping[Nameless, Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, nameless.__name__):
            return self._nameless
        if (module, name) == (__name__, formed.__name__):
            return self._formed
        if module == "__mp_main__" and module not in sys.modules:  # as workers call the main program
            module = "__main__"
        return super().find_class(module, name)

    def _formed(self, module: str, name: str, *form: Any) -> Any:
        return _reader(self.find_class(module, name), name, *form)

    def _nameless(self, *place: Any) -> Any:
        known = self._classes.get(Nameless(*place))
        if known is None:
            raise CheckpointError(
                f"it has records of {place[1]!r} with the fields {', '.join(place[2])}, of which the graph has none",
                hint="keep the fields of what the operator takes and gives, or begin anew in another directory",
            )
        return known
