"""Partials: what the partial results of an aggregate look like."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cext.getter import Getter
from cext.merging import KeyPart, Partials
from engine.aggregates import Aggregate
from engine.graph import Key, Part

_LARGE_STATES = 4096  # records that are held at most where states may grow with each, so that no partial result is huge


@dataclass(frozen=True)
class Form:
    """What the partial results of an aggregate look like.

    They are Structs with a field for each part of the key, one for the index of a pane, one for each column's state.
    """

    type: type[msgspec.Struct]
    keys: tuple[str, ...]
    pane: str
    states: tuple[str, ...]
    most_records: int | None
    """How many records may be held; None: as many as come."""

    @classmethod
    def of(cls, key: Key, aggregates: Sequence[Aggregate], record_type: Any) -> Form | None:
        """That of these aggregates; None where one has no partial results."""
        types = [each.partial(record_type) for each in aggregates if each.partial is not None]
        if len(types) < len(aggregates):
            return None
        keys = _key_fields(key)
        pane, *states = (_free(name, keys) for name in ("pane", *(f"state_{i}" for i in range(len(types)))))
        fields = [*zip(keys, key.types, strict=True), (pane, int), *zip(states, types, strict=True)]
        made = msgspec.defstruct("Partial", [(name, Any if known is None else known) for name, known in fields])
        most = _LARGE_STATES if any(each.grows for each in aggregates) else None
        return cls(made, keys, pane, tuple(states), most)

    def key(self, key: Key) -> Key:
        """`key`, of partial results as of records."""
        return Key(tuple(map(self._part, self.keys, key.parts)), key.names, key.types)

    def _part(self, field: str, part: Part) -> Part:
        return part if part == field else KeyPart(self.type, field, Getter(part))

    def make(self, key: Any, values: list[Any]) -> Any:
        """The partial result of `key`: a pane's index, and the states."""
        return self.type(key, *values) if len(self.keys) == 1 else self.type(*key, *values)

    def partials(self) -> Partials:
        """What tells native pieces how to read one."""
        return Partials(self.type, self.pane, self.states)


def _key_fields(key: Key) -> tuple[str, ...]:
    """A field for each part of the key: that of the records' where it is one, so that both are read the same way."""
    names: list[str] = []
    for i, part in enumerate(key.parts):
        is_name = isinstance(part, str) and part.isidentifier() and not keyword.iskeyword(part) and part not in names
        names.append(str(part) if is_name else _free(f"key_{i}", names))
    return tuple(names)


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
