"""Gather: the keys and values of a large dict, taken and let go while what comes next is called into the cache."""

from typing import Any

def let_go(items: list[Any]) -> None: ...
