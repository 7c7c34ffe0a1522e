"""Gather: what is let go is gone, each once, and what a dict had comes in its order."""

from __future__ import annotations

import weakref

import pytest

from cext.chain import StatefulMap
from cext.gather import let_go
from cext.getter import Getter
from cext.guard import Guard


class Thing:
    """Something whose end shows."""


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
def test_let_go(count: int) -> None:
    gone: list[int] = []
    items = [Thing() for _ in range(count)]
    for number, item in enumerate(items):
        weakref.finalize(item, gone.append, number)
    del item  # the last of them is in the list alone, too
    let_go(items)
    assert items == []
    assert sorted(gone) == list(range(count))


@pytest.mark.parametrize("count", [0, 1, 16, 17, 1000])
def test_keys_and_values_are_those_of_the_dict(count: int) -> None:
    operator = StatefulMap("numbers", Guard("fail"), Getter(), lambda known, number: (None if known else -number, 0))
    operator([*range(count, 0, -1), *range(3, count, 3)])  # which are forgotten again
    state = operator.snapshot()
    assert state is not None
    keys, values = state.tables["states"]
    assert keys == [number for number in range(count, 0, -1) if number % 3 or number == count]
    assert values == [-key for key in keys]
