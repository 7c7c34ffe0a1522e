"""Record forms: which fields the records of a class have, in words, and whether those of an earlier form still fit."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from engine.type_text import UNKNOWN, alternatives, plain
from engine.types import fields_of


class Form(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a class, each with the types that its value may be of. `optional`: those that have a default;
    `evolves`: whether it is a Struct, whose records are read by the names of their fields."""

    fields: dict[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()
    evolves: bool = False


_forms: WeakKeyDictionary[type, Form] = WeakKeyDictionary()


def form_of(cls: Any) -> Form | None:
    """That of a class of records; None where it is none.

    >>> class Weir(msgspec.Struct):
    ...     name: str
    ...     level: float | None = None
    >>> form_of(Weir)
    Form(fields={'name': ('str',), 'level': ('float', 'None')}, optional=('level',), evolves=True)
    """
    if not isinstance(cls, type):
        return None
    form = _forms.get(cls)
    if form is None:
        fields = fields_of(cls)
        if fields is None:
            return None
        texts = {name: alternatives(each) for name, each in fields.items()}
        form = _forms[cls] = Form(texts, tuple(_optional(cls)), issubclass(cls, msgspec.Struct))
    return form


def _optional(cls: Any) -> Iterator[str]:
    if issubclass(cls, msgspec.Struct):
        defaults = cls.__struct_defaults__
        names = cls.__struct_fields__[len(cls.__struct_fields__) - len(defaults) :]
        yield from (name for name, each in zip(names, defaults, strict=True) if each is not msgspec.NODEFAULT)


def forms_in(types: Iterable[Any]) -> dict[str, Form]:
    """Those of all classes of records in `types`, in what these are made of, and in their fields, by name."""
    found: dict[str, Form] = {}
    seen: list[Any] = []
    left = list(types)
    while left:
        each = plain(left.pop())
        if any(each is other for other in seen):
            continue
        seen.append(each)
        left += typing.get_args(each)
        cls = typing.get_origin(each) or each
        form = form_of(cls)
        if form is not None:
            found.setdefault(cls.__qualname__.rpartition(".")[2], form)
            left += (fields_of(cls) or {}).values()
    return found


def misfits(name: str, before: Form, now: Form) -> list[str]:
    """Why records of the form that `name` had cannot be read as what it is now, in words; nothing where they can.

    A Struct may lose fields, get some that have a default, and have fields be of more types than before; of any other
    class the fields stay as they are.
    """
    wrong = [
        f"{name}.{field}: {' | '.join(before.fields[field])} before, {' | '.join(types)} now"
        for field, types in now.fields.items()
        if field in before.fields and not _takes(types, before.fields[field])
    ]
    added = [field for field in now.fields if field not in before.fields]
    if before.evolves and now.evolves:
        return wrong + [f"{name}.{each} is new, and has no default" for each in added if each not in now.optional]
    if list(before.fields) != list(now.fields):
        wrong.append(f"{name} had the fields {', '.join(before.fields)} and has {', '.join(now.fields)}")
    return wrong


def _takes(now: tuple[str, ...], before: tuple[str, ...]) -> bool:
    return UNKNOWN in now or UNKNOWN in before or set(before) <= set(now)


def reader_of(cls: Any, before: Form) -> Callable[..., Any]:
    """What makes a record of `cls` of the values of one that had the form `before`."""
    names = list(before.fields)
    if names == list(cls.__struct_fields__):
        return cls  # type: ignore[no-any-return]
    known = set(cls.__struct_fields__)

    def make(*values: Any, **named: Any) -> Any:
        named.update(zip(names, values, strict=False))
        return cls(**{name: value for name, value in named.items() if name in known})

    return make
