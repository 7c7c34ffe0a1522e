"""Coordinator: when a checkpoint begins and when it is complete; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeAlias, TypeVar

Kept = TypeVar("Kept")


AGAIN_SECONDS = 10.0
"""How long after one that was given up the next begins at the latest, unless the pause is longer. At once it would not
do: what is in the way, as a full disk, seldom goes in a moment."""

WANTED_AGAIN_SECONDS = 1.0
"""The same for one that somebody waits for, as the whole job does at its end; twice as long after each further one."""
NEVER = float("inf")


class TaskId(NamedTuple):
    """One instance of a planned task, by where that stands in the plan."""

    planned: int
    instance: int


@dataclass(frozen=True)
class Begin:
    """Every source sends the barrier of `checkpoint`. `savepoint`: what it is to be called, if it is to be one."""

    checkpoint: int
    savepoint: str | None = None


@dataclass(frozen=True)
class Store(Generic[Kept]):
    """Every task has said what it keeps: make the checkpoint last. `is_last`: the job has come to its end."""

    checkpoint: int
    kept: dict[TaskId, Kept]
    is_last: bool
    savepoint: str | None = None


@dataclass(frozen=True)
class Announce:
    """The checkpoint lasts, after so many `seconds`: sinks may show what belongs to it."""

    checkpoint: int
    is_last: bool
    seconds: float = 0.0
    savepoint: str | None = None


@dataclass(frozen=True)
class Seen:
    """Every sink shows what belongs to the checkpoint."""

    checkpoint: int


@dataclass(frozen=True)
class GiveUp:
    """The checkpoint is none: the one before stays the last. `failures`: how many in a row were given up."""

    checkpoint: int
    why: str
    failures: int
    savepoint: str | None = None


Instruction: TypeAlias = Begin | Store[Kept] | Announce | Seen | GiveUp


@dataclass
class _Pending(Generic[Kept]):
    """A checkpoint that does not last yet."""

    checkpoint: int
    began: float
    savepoint: str | None
    is_wanted: bool
    """Whether somebody waits for it."""
    said: dict[TaskId, Kept] = field(default_factory=dict)
    is_complete: bool = False


class _Ended(NamedTuple, Generic[Kept]):
    """What a task kept at its end, and for checkpoints from which number on: it has passed the barriers before."""

    checkpoint: int
    kept: Kept


class Coordinator(Generic[Kept]):
    """Events in, instructions out; times are seconds of any clock.

    One checkpoint is made at a time, every `interval`, with at least `pause` between the end of one and the beginning
    of the next. One that is not complete after `timeout` is given up, and the next begins an interval later, or after
    AGAIN_SECONDS if that is less. Their numbers go on from `last`. A task that has come to its end says so once: what
    it keeps then belongs to every checkpoint that completes later. `sinks`: the tasks that show what belongs to a
    checkpoint once it lasts. `tasks`: all of them, and what each is called.
    """

    def __init__(
        self,
        tasks: Mapping[TaskId, str],
        last: int,
        interval: float,
        pause: float,
        timeout: float,
        now: float,
        sinks: Iterable[TaskId] = (),
    ) -> None:
        self._tasks = tasks
        self._shown = dict.fromkeys(sinks, last)
        """Up to which checkpoint each shows everything."""
        self._announced = self._seen = last
        self._last = last
        self._interval, self._pause, self._timeout = interval, pause, timeout
        self._due = now + interval
        self._pending: _Pending[Kept] | None = None
        self._ended: dict[TaskId, _Ended[Kept]] = {}
        self._failures = 0
        self._is_wanted = False
        """Whether somebody waits for one that does not last yet: so until one lasts that begins from now on."""
        self._savepoint: str | None = None
        """What that is to be called, where it is to be a savepoint."""
        self.is_over = False
        """Whether the checkpoint of the job's end lasts."""

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do, if nothing else happens before; None: it has not."""
        if self._pending is None:
            return None if self.is_over or self._due == NEVER else self._due
        return None if self._pending.is_complete else self._pending.began + self._timeout

    def want(self, now: float, savepoint: str | None = None) -> list[Instruction[Kept]]:
        """A checkpoint, or a savepoint of that name, is wanted as soon as may be: now, or after the one under way.
        If it is given up it is made again, soon, until it lasts. Then no other one begins for its time: while the job
        ends, some sinks could show it that others do not."""
        self._due = now
        self._is_wanted, self._savepoint = True, savepoint
        return self.tick(now)

    def tick(self, now: float) -> list[Instruction[Kept]]:
        """Time goes by."""
        pending, gave_up = self._pending, list[Instruction[Kept]]()
        if pending is not None and not pending.is_complete and now >= pending.began + self._timeout:
            gave_up = self._give_up(f"{self._missing(pending)} had not come to it in {self._timeout:g} s", now)
        if self._pending is not None or self.is_over or now < self._due:
            return gave_up
        begun = self._begin(now)
        return [*gave_up, *(self._store_if_complete() or [Begin(begun.checkpoint, begun.savepoint)])]

    def said(self, task: TaskId, checkpoint: int, is_last: bool, kept: Kept, now: float) -> list[Instruction[Kept]]:
        """What a task keeps for `checkpoint` is written; `is_last`: it has come to its end."""
        if is_last:
            self._ended[task] = _Ended(checkpoint, kept)
            if self._pending is None and self._have_all_ended:
                self._begin(now)
        elif self._pending is not None and self._pending.checkpoint == checkpoint:
            self._pending.said[task] = kept
        return self._store_if_complete()

    def stored(self, now: float) -> list[Instruction[Kept]]:
        """The complete checkpoint lasts."""
        pending, self._pending = self._pending, None
        assert pending is not None
        self._failures = 0
        if pending.is_wanted:
            self._is_wanted, self._savepoint = False, None
        self.is_over = self._is_last(pending)
        if self._is_wanted:
            self._due = now
        else:
            self._due = NEVER if pending.is_wanted else max(pending.began + self._interval, now + self._pause)
        if self._have_all_ended and not self.is_over:
            self._begin(now)
        self._announced = pending.checkpoint
        lasts = Announce(pending.checkpoint, self.is_over, now - pending.began, pending.savepoint)
        return [lasts, *self._see(), *self._store_if_complete()]

    def shown(self, sink: TaskId, checkpoint: int) -> list[Instruction[Kept]]:
        """A sink shows all that checkpoints up to this one have."""
        self._shown[sink] = checkpoint
        return self._see()

    def failed(self, checkpoint: int, why: str, now: float) -> list[Instruction[Kept]]:
        """Something of `checkpoint` could not be written."""
        if self._pending is None or self._pending.checkpoint != checkpoint:
            return []
        return self._give_up(why, now)

    # What follows.

    @property
    def _have_all_ended(self) -> bool:
        return len(self._ended) == len(self._tasks)

    def _is_last(self, pending: _Pending[Kept]) -> bool:
        """Whether nobody has passed its barrier: all have ended before it."""
        return not pending.said and self._have_all_ended

    def _begin(self, now: float) -> _Pending[Kept]:
        self._last += 1
        self._pending = _Pending(self._last, now, self._savepoint, self._is_wanted)
        return self._pending

    def _store_if_complete(self) -> list[Instruction[Kept]]:
        pending = self._pending
        if pending is None or pending.is_complete or (kept := self._kept_for(pending)).keys() != self._tasks.keys():
            return []
        pending.is_complete = True
        return [Store(pending.checkpoint, kept, self._is_last(pending), pending.savepoint)]

    def _kept_for(self, pending: _Pending[Kept]) -> dict[TaskId, Kept]:
        """What is known so far. What one kept at its end may be said before what it kept at this barrier."""
        ended = {task: each.kept for task, each in self._ended.items() if each.checkpoint <= pending.checkpoint}
        return {**ended, **pending.said}

    def _missing(self, pending: _Pending[Kept]) -> str:
        """Who has not kept anything for it: who holds up others stands before them in the plan."""
        first, *others = sorted(self._tasks.keys() - self._kept_for(pending).keys())
        more = f" and {len(others)} more of {len(self._tasks)} tasks" if others else ""
        return f"{self._tasks[first]}{more}"

    def _see(self) -> list[Instruction[Kept]]:
        if self._seen == self._announced or any(each < self._announced for each in self._shown.values()):
            return []
        self._seen = self._announced
        return [Seen(self._seen)]

    def _give_up(self, why: str, now: float) -> list[Instruction[Kept]]:
        assert self._pending is not None
        gone, self._pending = self._pending, None
        self._failures += 1
        self._due = now + self._until_next(gone)
        return [GiveUp(gone.checkpoint, why, self._failures, gone.savepoint)]

    def _until_next(self, gone: _Pending[Kept]) -> float:
        """How long after the one that is `gone` the next begins."""
        again = max(self._pause, min(self._interval, AGAIN_SECONDS))
        if self._is_wanted and not gone.is_wanted:
            return 0.0
        if self._is_wanted or self._have_all_ended:
            return min(again, WANTED_AGAIN_SECONDS * 2.0 ** min(self._failures - 1, 10))
        return again
