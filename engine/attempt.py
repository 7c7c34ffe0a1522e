"""Attempt: one life of a job, from the start of its threads and processes to the end of the last of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cext.processing_time import Clock
from engine.layout import HOME
from engine.part import Part
from engine.plan import Plan
from engine.report import Report
from engine.worker import Worker, list_partitions

if TYPE_CHECKING:
    from engine.control import OfCheckpoint
    from engine.crew import Crew
    from engine.dataflow import Dataflow
    from engine.placement import Placement
    from engine.saving import Saving


class Attempt:
    """The part of `flow` that runs at home, its workers, and in a job that makes checkpoints who does that, `saving`.

    `placement`: where the workers were prepared, if they were.
    `failed(attempt, error)` is called in the thread in which something failed; `ended(attempt)` once, when nothing runs
    any more.
    """

    def __init__(
        self,
        flow: Dataflow,
        plan: Plan,
        processes: int | None,
        clock: Clock | None,
        failed: Callable[[Attempt, BaseException], None],
        ended: Callable[[Attempt], None],
        saving: Saving | None = None,
        placement: Placement | None = None,
    ) -> None:
        self._failed, self._ended, self._saving = failed, ended, saving
        self._left: list[str] = []
        """The threads of `saving` that were left behind."""
        self.successors: Placement | None = None
        """Where workers for the next attempt start, once it is known that there is to be one."""
        epoch = secrets.randbits(63) if plan.workers else 0
        life = None if saving is None else saving.saved.life
        worker = Worker(plan, list_partitions(plan), HOME, epoch, life, clock)
        self.part = Part(worker, self._has_failed, self._part_ended)
        self.crew = self._make_crew(flow, processes, placement) if plan.workers else None
        if saving is not None:
            saving.attend(worker, self._tell, self._has_failed)

    def _make_crew(self, flow: Dataflow, processes: int | None, placement: Placement | None) -> Crew:
        from engine.crew import Crew  # which only a job of several processes needs

        return Crew(flow, processes, self.part, self._has_failed, self._end, self._saving, placement)

    def start(self) -> None:
        """Start every thread and process; called once."""
        if self.crew is not None:
            self.crew.start()
            return
        if self._saving is not None:
            self._saving.start()  # first, for a part may end before `start` returns
        try:
            self.part.start()
        except BaseException:
            if self._saving is not None:
                self._saving.close(lambda: False)
            raise

    def _has_failed(self, error: BaseException) -> None:
        self._failed(self, error)

    def _part_ended(self) -> None:
        if self.crew is not None:
            self.crew.home_ended()
        else:
            self._end()

    def _end(self) -> None:
        if self._saving is not None:
            self._left = self._saving.close(self.part.is_overdue)
        self._ended(self)

    def _tell(self, word: OfCheckpoint) -> None:
        from engine.control import BeginCheckpoint, GiveUpCheckpoint  # which only a job that makes checkpoints needs

        if isinstance(word, BeginCheckpoint):
            if self._saving is not None:
                self._saving.begin(word)
            self.part.begin_checkpoint(word.checkpoint)
        elif isinstance(word, GiveUpCheckpoint):
            self.part.give_up_checkpoint(word.checkpoint)
        else:
            self.part.complete_checkpoint(word.checkpoint)
        if self.crew is not None:
            self.crew.tell(word)

    def save(self, savepoint: str | None = None) -> None:
        """Make a checkpoint as soon as may be, perhaps a savepoint."""
        assert self._saving is not None
        self._saving.want(savepoint)

    @property
    def checkpoint(self) -> int:
        """The number of the one that it goes on from; 0: none."""
        return 0 if self._saving is None else self._saving.saved.checkpoint

    def stop_sources(self, *, whole: bool) -> None:
        """Read no more, anywhere."""
        self.part.stop_sources(whole=whole)
        if self.crew is not None:
            self.crew.stop_sources(whole=whole)

    def cancel(self) -> None:
        """Drop what is on its way, everywhere."""
        self.part.cancel()
        if self.crew is not None:
            self.crew.cancel()

    def give_way(self) -> None:
        """Drop everything, as another attempt is to follow, whose processes start meanwhile."""
        self.cancel()
        if self.crew is not None and self.successors is None:
            self.successors = self.crew.prepare_successors()

    def leave_the_stuck(self) -> None:
        """Once cancelled for long enough, end without the threads that do not come back."""
        self.part.leave_the_stuck()

    def join(self) -> None:
        """Wait for the threads that have ended, or are just about to."""
        self.part.join()
        if self.crew is not None:
            self.crew.join()

    # What is known of it.

    def reports(self, seconds: float) -> tuple[Report, ...]:
        """What each process has done so far; the one at home in so many seconds."""
        others = () if self.crew is None else tuple(self.crew.supervision.reports)
        return (self.part.report(seconds), *others)

    @property
    def silent(self) -> dict[int, float]:
        """How long each worker has said nothing, seconds."""
        return {} if self.crew is None else self.crew.supervision.silent(time.monotonic())

    @property
    def faults(self) -> list[BaseException]:
        """What ended a loop itself, not one of its tasks."""
        return self.part.faults

    @property
    def stuck(self) -> list[str]:
        """The threads that were left behind, by name."""
        return [*self.part.stuck, *self._left, *(() if self.crew is None else self.crew.supervision.stuck)]
