"""Struct classes taken apart and put together again: cloudpickle alone cannot carry them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, NamedTuple

import msgspec

_CONFIG = (
    *("frozen", "eq", "order", "array_like", "gc", "repr_omit_defaults", "omit_defaults"),
    *("forbid_unknown_fields", "weakref", "dict", "cache_hash"),
)
_MADE_ANEW = {"__slots__", "__parameters__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
_FROM_THE_START = {"__module__", "__qualname__", "__doc__", "__annotations__", "__orig_bases__", "__post_init__"}


class Bare(NamedTuple):
    """A function without what it refers to, which may well be the class that it is needed for."""

    code: CodeType
    module: str

    def make(self) -> FunctionType:
        """The function, still without its closure's contents, defaults and attributes."""
        from importlib import import_module

        cells = tuple(CellType() for _ in self.code.co_freevars)
        return FunctionType(self.code, vars(import_module(self.module)), closure=cells or None)


class Parts(NamedTuple):
    """What a Struct class must have when it is made."""

    metaclass: type
    name: str
    bases: tuple[type, ...]
    namespace: dict[str, Any]
    config: dict[str, Any]
    post_init: Any
    values: dict[str, Any]
    """Defaults of its own fields."""
    factories: dict[str, Any]
    """What makes defaults of its own fields."""


def take_apart(cls: Any, bare: Callable[[Any], Any]) -> tuple[Parts, dict[str, Any], dict[str, FunctionType]]:
    """What `cls` is made with, what is set later, and the functions that are made `Bare`, to be filled in later.

    `bare` turns a function into a Bare where it must, and leaves everything else as it is.
    """
    namespace = {name: value for name, value in vars(cls).items() if name in _FROM_THE_START - {"__post_init__"}}
    annotations = inspect.get_annotations(cls)
    namespace |= {"__qualname__": cls.__qualname__} | ({"__annotations__": annotations} if annotations else {})
    own = [name for name in cls.__struct_fields__ if name in annotations]
    mine = {name: value for name, value in defaults(cls).items() if name in own}
    factories = {name: value.factory for name, value in mine.items() if _is_factory(value)}
    values = {name: value for name, value in mine.items() if not _is_factory(value)}
    early = {"__post_init__": vars(cls).get("__post_init__"), **factories}
    made = {name: bare(value) for name, value in early.items()}
    parts = Parts(
        type(cls), cls.__name__, cls.__bases__, namespace, _config(cls, own), made.pop("__post_init__"), values, made
    )
    filled = {name: value for name, value in early.items() if bare(value) is not value}
    return parts, _later(cls), filled


def put_together(parts: Parts) -> Any:
    """The class of `parts`."""
    namespace = dict(parts.namespace)
    if parts.post_init is not None:
        namespace["__post_init__"] = _made(parts.post_init)
    namespace |= parts.values
    namespace |= {name: msgspec.field(default_factory=_made(each)) for name, each in parts.factories.items()}
    return parts.metaclass(parts.name, parts.bases, namespace, **parts.config)


def bare_function(cls: Any, name: str) -> FunctionType:
    """The function that was made `Bare`: `__post_init__`, or a field's factory."""
    found: FunctionType = vars(cls)[name] if name == "__post_init__" else defaults(cls)[name].factory
    return found


def defaults(cls: Any) -> dict[str, Any]:
    """The default of each field that has one: a value, or a Factory."""
    values = cls.__struct_defaults__
    names = cls.__struct_fields__[len(cls.__struct_fields__) - len(values) :]
    return {name: value for name, value in zip(names, values, strict=True) if value is not msgspec.NODEFAULT}


def _is_factory(value: Any) -> bool:
    return type(value).__name__ == "Factory" and type(value).__module__.startswith("msgspec")


def _made(function: Any) -> Any:
    return function.make() if isinstance(function, Bare) else function


def _config(cls: Any, own: list[str]) -> dict[str, Any]:
    config = cls.__struct_config__
    encoded = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
    has_tag = config.tag is not None
    return {
        **{name: getattr(config, name) for name in _CONFIG},
        "tag": config.tag if has_tag else False,
        "tag_field": config.tag_field if has_tag else None,
        "kw_only": any(name not in cls.__match_args__ for name in own),
        "rename": {name: encoded[name] for name in own},
    }


def _later(cls: Any) -> dict[str, Any]:
    """Methods, properties, class variables."""
    return {
        name: value
        for name, value in vars(cls).items()
        if name not in _MADE_ANEW | _FROM_THE_START
        and not isinstance(value, MemberDescriptorType | GetSetDescriptorType)
    }
