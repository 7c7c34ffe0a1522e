"""Packed: scalars as msgpack, made without the interpreter's lock."""

from array import array
from typing import Any

def packed(items: list[Any], begin: int, end: int) -> bytes | None: ...
def packed_integers(numbers: array[int] | memoryview) -> bytes: ...
