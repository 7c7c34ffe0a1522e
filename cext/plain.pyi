"""Plain: what of a checkpoint may be made bytes later, as it cannot change, and what is as simple as can be."""

from typing import Any

SCALAR: int
FIXED: int
CHANGING: int

def plainness(items: list[Any]) -> int: ...
