"""Naming: what a user's function is called in plans, in default names and in errors."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any


def function_name(function: Callable[..., Any]) -> str:
    """A function's name, as plans and default names show it."""
    name: str = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else name


def function_place(function: Callable[..., Any] | None) -> str:
    """ "function name (file:line)", as errors show it; "" without one."""
    code = getattr(function, "__code__", None)
    if function is None:
        return ""
    return code_place(code) if code else function_name(function)


def code_place(code: CodeType) -> str:
    """ "function name (file:line)" of a function written in Python."""
    name = code.co_qualname if code.co_name == "__call__" else code.co_name
    return f"{'lambda' if name == '<lambda>' else name} ({code.co_filename}:{code.co_firstlineno})"
