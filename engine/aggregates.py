"""Aggregates: what `KeyedStream.aggregate` computes for each key. None is no value, as in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin

from cext.column import Column
from cext.columns import Collect, Count, Custom, Distinct, Greatest, Least, Mean, Sum, Top
from cext.getter import Getter
from engine.errors import GraphError
from engine.graph import users_place
from engine.types import fields_of, optional, returned_by

S = TypeVar("S")

_SMALL = 16  # so many values are no large state

Value: TypeAlias = str | Callable[[Any], Any]
"""What is aggregated: a field's name, or a function of the record."""


@dataclass(frozen=True)
class Aggregate:
    """One aggregate, as made by `count`, `sum_`, `min_`, `max_`, `mean`, `top`, `distinct`, `collect` or `custom`."""

    name: str
    value: Value | None
    column: Callable[[], Column] = field(repr=False)
    result_type: Callable[[Any], Any] = field(repr=False)
    fields: tuple[str, ...] = ()
    """The fields that a record must have."""
    combines: bool = field(default=True, repr=False)
    """Whether two states of it can become one, as windows that are made of parts want."""
    partial: Callable[[Any], Any] | None = field(default=None, repr=False)
    """The type of its states by that of the records; None: its states are not made where records are sent from."""
    grows: bool = field(default=False, repr=False)
    """Whether a state may become large, as it holds many values."""

    @property
    def text(self) -> str:
        """What its states are made of, in words."""
        of = self.value if isinstance(self.value, str) else getattr(self.value, "__name__", "").replace("<lambda>", "")
        return f"{self.name}({of})"

    def state_type(self, record_type: Any) -> Any:
        """The type that its states hang on; None where they hang on none, or it is not known."""
        if self.name == "count":
            return None
        return self.result_type(record_type) if self.name in {"custom", "fold"} else _typed(self.value, record_type)


def meaning_of(aggregates: Sequence[Aggregate], record_type: Any) -> dict[str, Any]:
    """What the meaning of the states of several hangs on, see `Operation.meaning`."""
    types = {f"type of {each.text}, number {at}": each.state_type(record_type) for at, each in enumerate(aggregates, 1)}
    return {"aggregates": ", ".join(each.text for each in aggregates), **types}


def _typed(value: Value | None, record_type: Any) -> Any:
    """The type of `value` in a record of `record_type`, or Any."""
    if value is None:
        return record_type or Any
    if isinstance(value, str):
        return (fields_of(record_type) or {}).get(value, Any)
    return returned_by(value) or Any


def _number(name: str, value: Value, record_type: Any) -> Any:
    """The type of `value`, which adds up; GraphError where it is known to be text."""
    known = _typed(value, record_type)
    if known is str or known is bytes:
        what = f"the field {value!r}" if isinstance(value, str) else f"what {value!r} returns"
        raise GraphError(
            f"{users_place()}: {name} wants numbers to add up, but {what} is of type {known.__name__}",
            hint="give the field a type that is a number, or take a function that makes one",
        )
    return known


def _check(name: str, *values: Value | None) -> None:
    for value in values:
        if value is not None and not isinstance(value, str) and not callable(value):
            hint = "the sink is connectors.memory.collect" if name == "collect" and isinstance(value, list) else None
            raise GraphError(f"{users_place()}: {name} wants a field's name or a function, got {value!r}", hint=hint)


def _simple(
    name: str,
    value: Value | None,
    column: type[Column],
    result: Callable[[Any], Any],
    partial: Callable[[Any], Any] | None = None,
    grows: bool = False,
) -> Aggregate:
    _check(name, value)
    names = (value,) if isinstance(value, str) else ()
    return Aggregate(name, value, lambda: column(Getter(value)), result, names, partial=partial, grows=grows)


def count(value: Value | None = None) -> Aggregate:
    """How many records there are or, with `value`, for how many it is not None: an int.

    >>> from connectors.memory import collect as into, from_iterable
    >>> from engine import Dataflow
    >>> flow, got = Dataflow("words"), []
    >>> words = flow.source(from_iterable(["weir", "dam", "weir"]))
    >>> _ = words.key_by(str).aggregate(times=count()).sink(into(got))
    >>> _ = flow.run()
    >>> [(row.key, row.times) for row in got]
    [('weir', 2), ('dam', 1)]
    """
    return _simple("count", value, Count, lambda _: int, lambda _: int)


def sum_(value: Value) -> Aggregate:
    """The sum of `value` by `+`: ints stay ints and Decimals Decimals, bools give an int; None where there was none."""

    def known(record: Any) -> Any:
        return _sum_type(_number("sum_", value, record))

    return _simple("sum", value, Sum, known, known)


def _sum_type(known: Any) -> Any:
    parts = get_args(known) if get_origin(known) in {Union, UnionType} else (known,)
    return optional(reduce(or_, (int if part is bool else part for part in parts)) if bool in parts else known)


def _extreme(name: str, value: Value, column: type[Column]) -> Aggregate:
    def known(record: Any) -> Any:
        return optional(_typed(value, record))

    return _simple(name, value, column, known, known)


def min_(value: Value) -> Aggregate:
    """The smallest `value`; None where there was none, NaN where one was."""
    return _extreme("min", value, Least)


def max_(value: Value) -> Aggregate:
    """The largest `value`; None where there was none, NaN where one was."""
    return _extreme("max", value, Greatest)


def mean(value: Value) -> Aggregate:
    """The mean of `value`: its sum by `+` over its count; None where there was none."""

    def partial(record: Any) -> Any:
        return optional(tuple[_sum_type(_typed(value, record)), int])  # type: ignore[misc]

    return _simple("mean", value, Mean, lambda record: _mean_type(_number("mean", value, record)), partial)


def _mean_type(known: Any) -> Any:
    """Numbers have a mean of type float, what divides otherwise (Decimal, timedelta) one of its own type."""
    is_number = known is Any or set(get_args(known) or (known,)) <= {int, float, bool, type(None)}
    return float | None if is_number else optional(known)


def distinct(value: Value) -> Aggregate:
    """How many different values there are: an int. All of them are kept in memory."""

    def partial(record: Any) -> Any:
        return optional(set[_typed(value, record)])  # type: ignore[misc]

    return _simple("distinct", value, Distinct, lambda _: int, partial, grows=True)


def collect(value: Value | None = None) -> Aggregate:
    """A list of all values (of the records themselves without one), in the order in which they came."""
    return _simple("collect", value, Collect, lambda record: list[_typed(value, record)])  # type: ignore[misc]


def top(most: int, by: Value, value: Value | None = None, *, smallest: bool = False) -> Aggregate:
    """A list of the `most` records (or of their `value`) with the greatest `by`, the greatest first.

    Of equals the earlier comes first. `smallest`: those whose `by` is smallest. Records whose `by` is None or NaN
    are passed over.
    With `value`, `by` is still taken from the record.
    """
    if not isinstance(most, int) or most < 1:
        raise GraphError(f"{users_place()}: top keeps at least 1 record, asked for {most!r}")
    _check("top", by, value)
    names = tuple(part for part in (by, value) if isinstance(part, str))

    def column() -> Column:
        return Top(Getter(), most, Getter(by), Getter(value), smallest)

    def partial(record: Any) -> Any:
        return optional(list[tuple[_typed(by, record), _typed(value, record)]])  # type: ignore[misc]

    def known(record: Any) -> Any:
        return list[_typed(value, record)]  # type: ignore[misc]

    return Aggregate("top", value, column, known, names, partial=partial, grows=most > _SMALL)


def custom(
    create: Callable[[], S],
    add: Callable[[S, Any], S],
    result: Callable[[S], Any] | None = None,
    *,
    value: Value | None = None,
    combine: Callable[[S, S], S] | None = None,
) -> Aggregate:
    """An aggregate of your own: `create()` makes a key's first state, `add(state, value)` returns the next.

    `result(state)` makes what is emitted, by default the state itself; its return annotation is the field's type.
    Unlike the others it is given None values too. An `add` that raises must leave the state as it was.
    `combine(state, other)` makes one state of two, of which the first may change; sliding and session windows want it.
    With it states are also made where the records are, and pickled to be combined in another process.

    >>> longest = custom(str, lambda best, word: max(best, word, key=len))
    """
    _check("custom", value)
    for what, function in (
        ("create", create),
        ("add", add),
        ("result", result or create),
        ("combine", combine or create),
    ):
        if not callable(function):
            raise GraphError(f"{users_place()}: custom wants a function as its {what}, got {function!r}")
    names = (value,) if isinstance(value, str) else ()
    known = returned_by(result) if result is not None else returned_by(create)

    def column() -> Column:
        return Custom(Getter(value), create, add, result, combine)

    partial = None if combine is None else lambda _: Any
    return Aggregate("custom", value, column, lambda _: known or Any, names, combine is not None, partial, grows=True)
