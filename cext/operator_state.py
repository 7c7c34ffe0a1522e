"""State: what an operator knows, as checkpoints keep it."""

from typing import Any, NamedTuple


class OperatorState(NamedTuple):
    """A copy that nobody changes any more.

    `tables`: what is known of keys, by name: a list of keys, and others as long, or arrays of int64, whose items
    belong to the key there; a key may stand there several times. `single`: what belongs to no key.
    """

    tables: dict[str, tuple[Any, ...]]
    single: dict[str, Any]
