"""Guards: what becomes of a record that an operator could not handle."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cext.guard import Guard, Sideline

FAIL, SKIP, DEAD_LETTER = "fail", "skip", "dead-letter"
MODES = [FAIL, SKIP, DEAD_LETTER]
NEVER_HANDLED = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


class WrappedError(Exception):
    pass


def guard(mode: str) -> Guard:
    return Guard(mode, WrappedError, lambda record, error: (record, error))


def test_fail_ends_the_task_before_the_record() -> None:
    side, error = Sideline(), ValueError("bad")
    policy = guard(FAIL)
    assert not policy.handle(7, error, side)
    assert isinstance(side.failure, WrappedError)
    assert side.failure.args == (7, error)
    assert (side.letters, policy.skipped, policy.lettered) == ([], 0, 0)


def test_skip_counts_and_goes_on() -> None:
    side, policy = Sideline(), guard(SKIP)
    for record in range(3):
        assert policy.handle(record, ValueError(), side)
    assert (side.failure, side.letters, policy.skipped, policy.lettered) == (None, [], 3, 0)


def test_dead_letter_counts_and_keeps_it_in_order() -> None:
    side, policy, errors = Sideline(), guard(DEAD_LETTER), [ValueError(), TypeError()]
    for record, error in enumerate(errors):
        assert policy.handle(record, error, side)
    assert side.letters == [(0, errors[0]), (1, errors[1])]
    assert (side.failure, policy.skipped, policy.lettered) == (None, 0, 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", NEVER_HANDLED)
def test_what_is_not_an_exception_always_ends_the_task(mode: str, kind: type[BaseException]) -> None:
    side, error = Sideline(), kind()
    policy = guard(mode)
    assert not policy.handle(7, error, side)
    assert side.failure is not None
    assert side.failure.args == (7, error)
    assert (side.letters, policy.skipped, policy.lettered) == ([], 0, 0)


def test_a_bare_guard_passes_the_error_itself_on() -> None:
    error, side = ValueError(), Sideline()
    Guard(FAIL).handle(7, error, side)
    assert side.failure is error
    side = Sideline()
    Guard(DEAD_LETTER).handle(7, error, side)
    assert side.letters == [error]


def test_what_a_sideline_gives_is_gone_from_it() -> None:
    side = Sideline()
    error = ValueError()
    guard(DEAD_LETTER).handle(1, error, side)
    Guard(FAIL).handle(2, error, side)
    assert side.take_letters() == [(1, error)]
    assert side.take_failure() is error
    assert (side.take_letters(), side.take_failure()) == ([], None)


@pytest.mark.parametrize("mode", ["ignore", "", "Fail", "dead_letter"])
def test_another_policy_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="on_error is one of 'fail', 'skip', 'dead-letter', not"):
        Guard(mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_policy_that_raises_is_heard(mode: str) -> None:
    def broken(record: Any, error: BaseException) -> Any:
        raise RuntimeError("broken policy")

    if mode == SKIP:
        assert Guard(mode, broken, broken).handle(1, ValueError(), Sideline())
        return
    with pytest.raises(RuntimeError, match="broken policy"):
        Guard(mode, broken, broken).handle(1, ValueError(), Sideline())


def test_modes_by_number() -> None:
    assert [guard(mode).mode for mode in MODES] == [0, 1, 2]
