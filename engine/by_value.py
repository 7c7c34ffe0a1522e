"""What puts together, in a worker, the functions and classes that came by value, and finds them again by a token."""

from __future__ import annotations

import copyreg
import secrets
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from types import FunctionType, SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec

from engine.struct_classes import bare_function

_tokens: WeakKeyDictionary[type, str] = WeakKeyDictionary()
_shipped: WeakValueDictionary[str, type] = WeakValueDictionary()
"""Classes that went by value, in the process that sent them and in those that have them now."""


def named(thing: Any) -> bool:
    """Whether `thing` stands in its module under its name."""
    try:
        return attrgetter(thing.__qualname__)(sys.modules[thing.__module__]) is thing
    except (AttributeError, KeyError):
        return False


def look_up(module: str, name: str) -> Any:
    """What stands in a module under its name."""
    return attrgetter(name)(import_module(module))


def set_globals(thing: Any, state: tuple[str, dict[str, Any]]) -> None:
    """Give the module of `thing` the globals that came along with it."""
    module, values = state
    vars(import_module(module)).update(values)


def cached(function: Callable[..., Any], parameters: Any) -> Any:
    """`function` with an empty cache."""
    return lru_cache(**parameters)(function)


def fill(function: FunctionType, filling: Any) -> None:
    """Give a bare function its closure, its attributes and the globals that it uses."""
    contents, attributes, values = filling
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
    for name, value in attributes.items():
        setattr(function, name, value)
    function.__globals__.update(values)


def complete(cls: Any, state: Any) -> None:
    """Give a Struct class what could refer to it, and fill its bare functions."""
    later, filled = state
    for name, value in later.items():
        setattr(cls, name, value)
    for name, filling in filled.items():
        fill(bare_function(cls, name), filling)


def settle(cls: Any, state: Any) -> None:
    """Complete a class that went by value, and put it where its records' pickles look for it."""
    set_state, inner, token, is_main = state
    set_state(cls, inner)
    _tokens[cls], _shipped[token] = token, cls
    if is_main:
        _put_into_main(cls)


def _put_into_main(cls: Any) -> None:
    place: Any = sys.modules["__main__"]
    *outer, name = cls.__qualname__.split(".")
    for each in outer:
        if not hasattr(place, each):
            setattr(place, each, SimpleNamespace())
        place = getattr(place, each)
    setattr(place, name, cls)


def token_of(cls: Any) -> str:
    """The token of a class that goes by value."""
    token = _tokens.setdefault(cls, secrets.token_hex(8))
    _shipped[token] = cls
    return token


def shipped(token: str) -> type:
    """The class that went by value under `token`."""
    return _shipped[token]


def reduce_class(cls: Any) -> Any:
    """How the pickle of a record refers to its class: by its name or, where that does not lead to it, by its token."""
    token = None if named(cls) else _tokens.get(cls)
    return cls.__qualname__ if token is None else (shipped, (token,))


copyreg.pickle(type(msgspec.Struct), reduce_class)
