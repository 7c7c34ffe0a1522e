"""The coordinator: when checkpoints begin, when they are complete, and what belongs to them, in any order of events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.coordinator import WANTED_AGAIN_SECONDS, Announce, Begin, Coordinator, GiveUp, Seen, Store, TaskId

TASKS = [TaskId(0, 0), TaskId(1, 0), TaskId(1, 1)]
READ, *OTHERS = TASKS


def coordinator(
    last: int = 0, *, interval: float = 10, pause: float = 2, timeout: float = 60, sinks: list[TaskId] | None = None
) -> Coordinator[str]:
    names = {task: f"task {task.planned}" for task in TASKS}
    return Coordinator(names, last, interval, pause, timeout, 0.0, sinks or [])


def say(each: Coordinator[str], checkpoint: int, *tasks: TaskId, now: float = 11) -> list[Any]:
    return [done for task in tasks for done in each.said(task, checkpoint, False, f"{task.planned}@{checkpoint}", now)]


def test_one_begins_every_interval_and_is_complete_when_all_have_said_what_they_keep() -> None:
    each = coordinator(last=6)
    assert each.tick(9.9) == []
    assert each.deadline == 10
    assert each.tick(10) == [Begin(7)]
    assert each.tick(30) == []
    assert say(each, 7, *OTHERS) == []
    assert say(each, 7, READ) == [Store(7, {task: f"{task.planned}@7" for task in TASKS}, False)]
    assert each.stored(12) == [Announce(7, False, seconds=2), Seen(7)]
    assert each.deadline == 20
    assert each.tick(20) == [Begin(8)]


def test_the_next_one_waits_for_the_pause() -> None:
    each = coordinator()
    each.tick(10)
    say(each, 1, *TASKS)
    each.stored(19.5)
    assert each.tick(21.4) == []
    assert each.tick(21.5) == [Begin(2)]


def test_one_that_is_wanted_begins_at_once_or_after_the_one_under_way() -> None:
    each = coordinator()
    assert each.want(1) == [Begin(1)]
    assert each.want(2) == []
    say(each, 1, *TASKS)
    assert each.stored(3) == [Announce(1, False, seconds=2), Seen(1)]
    assert each.tick(5) == []
    assert each.want(5) == [Begin(2)]


def test_what_is_said_of_another_one_does_not_count() -> None:
    each = coordinator(timeout=5)
    each.tick(10)
    say(each, 1, READ)
    assert each.tick(15) == [GiveUp(1, "task 1 and 1 more of 3 tasks had not come to it in 5 s", 1)]
    assert each.tick(25) == [Begin(2)]
    assert say(each, 1, *OTHERS) == []
    assert say(each, 2, READ) == []
    assert say(each, 2, *OTHERS)[0].kept[READ] == "0@2"


@pytest.mark.parametrize(("interval", "pause", "next_at"), [(4, 2, 24), (4, 5, 25), (3600, 2, 30), (3600, 60, 80)])
def test_after_one_that_was_given_up_comes_another_an_interval_later(interval: int, pause: int, next_at: int) -> None:
    """For a disk that is full is so a moment later too; but nobody goes for long without."""
    each = coordinator(interval=interval, pause=pause)
    assert each.tick(interval) == [Begin(1)]
    assert each.failed(1, "disk full", 20) == [GiveUp(1, "disk full", 1)]
    assert each.deadline == next_at


def test_but_one_that_somebody_wants_meanwhile_comes_at_once() -> None:
    each = coordinator()
    each.tick(10)
    assert each.want(11) == []
    assert each.failed(1, "disk full", 12) == [GiveUp(1, "disk full", 1)]
    assert each.tick(12) == [Begin(2)]
    assert each.failed(2, "disk full", 13) == [GiveUp(2, "disk full", 2)]
    assert each.deadline == 13 + 2 * WANTED_AGAIN_SECONDS, "and again, until one lasts"
    assert each.tick(15) == [Begin(3)]
    say(each, 3, *TASKS)
    each.stored(16)
    assert each.deadline is None, "the job is about to end"
    assert each.want(30) == [Begin(4)]


def test_failures_in_a_row_are_counted_until_one_lasts() -> None:
    each = coordinator()
    for number in (1, 2):
        each.want(number)
        assert each.failed(number, "disk full", number) == [GiveUp(number, "disk full", number)]
    assert each.failed(2, "and another piece", 3) == []
    each.want(3)
    say(each, 3, *TASKS)
    each.stored(4)
    each.want(5)
    assert each.failed(4, "again", 5)[0] == GiveUp(4, "again", 1)


def test_a_savepoint_that_was_given_up_is_tried_again_under_its_name() -> None:
    each = coordinator()
    each.tick(10)
    each.want(11, "move")
    assert each.failed(1, "disk full", 12) == [GiveUp(1, "disk full", 1)]
    for number, now in ((2, 12), (3, 14)):
        assert each.tick(now) == [Begin(number, "move")]
        assert each.failed(number, "disk full", now) == [GiveUp(number, "disk full", number, "move")]


def test_one_is_seen_once_all_sinks_show_it() -> None:
    each = coordinator(last=3, sinks=OTHERS)
    each.tick(10)
    say(each, 4, *TASKS)
    assert each.stored(12) == [Announce(4, False, seconds=2)]
    assert each.shown(OTHERS[0], 4) == []
    each.tick(20)
    say(each, 5, *TASKS)
    assert each.stored(22) == [Announce(5, False, seconds=2)], "not even the one before is"
    assert each.shown(OTHERS[1], 5) == []
    assert each.shown(OTHERS[0], 2**63 - 1) == [Seen(5)], "what it shows at its end is all"
    each.tick(30)
    say(each, 6, *TASKS)
    assert each.stored(32) == [Announce(6, False, seconds=2)]
    assert each.shown(OTHERS[1], 6) == [Seen(6)]


def test_one_that_is_being_stored_is_not_given_up_for_its_time() -> None:
    each = coordinator(timeout=5)
    each.tick(10)
    say(each, 1, *TASKS)
    assert each.deadline is None
    assert each.tick(100) == []


def test_a_task_that_has_ended_belongs_to_all_later_ones() -> None:
    each = coordinator()
    assert each.said(READ, 1, True, "read", 1) == []
    assert each.tick(10) == [Begin(1)]
    (store,) = say(each, 1, *OTHERS)
    assert store == Store(1, {READ: "read", OTHERS[0]: "1@1", OTHERS[1]: "1@1"}, False)
    each.stored(12)
    assert each.tick(20) == [Begin(2)]
    assert say(each, 2, *OTHERS)[0].kept[READ] == "read"


def test_who_ends_before_its_barrier_belongs_to_that_one() -> None:
    each = coordinator()
    each.tick(10)
    say(each, 1, *OTHERS)
    assert each.said(READ, 1, True, "read", 12) == [Store(1, {READ: "read", OTHERS[0]: "1@1", OTHERS[1]: "1@1"}, False)]


def test_who_passed_its_barrier_and_ended_belongs_to_it_as_it_was_then_though_its_end_is_said_first() -> None:
    each = coordinator()
    each.tick(10)
    say(each, 1, *OTHERS)
    assert each.said(READ, 2, True, "read", 12) == []
    assert each.tick(70)[0] == GiveUp(1, "task 0 had not come to it in 60 s", 1)
    assert each.tick(80) == [Begin(2)]
    say(each, 2, OTHERS[0])
    assert say(each, 2, OTHERS[1])[0].kept[READ] == "read"


def test_when_all_have_ended_the_last_one_is_made_at_once() -> None:
    each = coordinator()
    for task in TASKS:
        made = each.said(task, 1, True, "end", 1)
    assert made == [Store(1, dict.fromkeys(TASKS, "end"), True)]
    assert each.stored(2) == [Announce(1, True, seconds=1), Seen(1)]
    assert each.is_over
    assert each.deadline is None
    assert each.want(100) == []


def test_after_one_whose_barrier_somebody_passed_comes_another_last_one() -> None:
    each = coordinator()
    each.tick(10)
    say(each, 1, READ)
    for task in TASKS:
        made = each.said(task, 2 if task == READ else 1, True, "end", 11)
    assert [type(what) for what in made] == [Store]
    assert isinstance(made[0], Store)
    assert (made[0].is_last, made[0].kept[READ]) == (False, "0@1")
    assert each.stored(12) == [Announce(1, False, seconds=2), Seen(1), Store(2, dict.fromkeys(TASKS, "end"), True)]
    assert each.stored(13) == [Announce(2, True, seconds=1), Seen(2)]


def test_a_last_one_that_cannot_be_stored_is_tried_again_soon_and_then_less_often() -> None:
    each = coordinator(interval=60)
    for task in TASKS:
        each.said(task, 1, True, "end", 1)
    now = 2.0
    for number, again in enumerate([1, 2, 4, 8, 10, 10], start=1):
        assert each.failed(number, "disk full", now) == [GiveUp(number, "disk full", number)]
        assert not each.is_over
        now += again
        assert each.deadline == now
        assert each.tick(now) == [Store(number + 1, dict.fromkeys(TASKS, "end"), True)]


@given(st.data())
def test_whatever_the_order_one_is_made_at_a_time_and_the_last_has_what_all_had_at_their_end(
    data: st.DataObject,
) -> None:
    """Tasks pass barriers in order and then end, each in its own time; storing fails now and then."""
    each = coordinator(interval=1, pause=0, timeout=1e9)
    now, begun, passed, ended = 0.0, 0, dict.fromkeys(TASKS, 0), set[TaskId]()
    barriers: dict[TaskId, set[int]] = {task: set() for task in TASKS}
    unsaid: list[TaskId] = []
    pending: list[Any] = []
    lasting: list[Store[str]] = []
    for _ in range(data.draw(st.integers(1, 60))):
        now += 1
        moves = [("tick", READ), *[("pass", t) for t in TASKS if t not in ended and passed[t] < begun]]
        moves += [("end", t) for t in TASKS if t not in ended]
        moves += [("say", t) for t in unsaid]
        what, task = data.draw(st.sampled_from(moves))
        if pending:
            store = pending.pop()
            if data.draw(st.booleans()):
                lasting.append(store)
                made = each.stored(now)
                assert isinstance(made[0], Announce)
                assert (made[0].checkpoint, made[0].is_last) == (store.checkpoint, store.is_last)
            else:
                made = each.failed(store.checkpoint, "disk full", now)
        elif what == "tick":
            made = each.tick(now)
        elif what == "pass":
            passed[task] = begun
            barriers[task].add(begun)
            made = []
            unsaid = [*(t for t in unsaid if t != task), task]
        elif what == "say":
            unsaid.remove(task)
            made = each.said(task, passed[task], False, f"{task}@{passed[task]}", now)
        else:
            ended.add(task)
            made = each.said(task, passed[task] + 1, True, f"{task} end", now)
        begun = max([begun, *(done.checkpoint for done in made if isinstance(done, Begin))])
        pending += [done for done in made if isinstance(done, Store)]
        assert len(pending) + sum(isinstance(done, Begin) for done in made) <= 1
    numbers = [store.checkpoint for store in lasting]
    assert numbers == sorted(set(numbers))
    for store in lasting:
        for task, kept in store.kept.items():
            has_passed = store.checkpoint in barriers[task]
            assert kept == (f"{task}@{store.checkpoint}" if has_passed else f"{task} end")
        assert store.is_last == all(kept.endswith("end") for kept in store.kept.values())
    assert sum(store.is_last for store in lasting) <= 1
