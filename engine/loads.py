"""Loads: how much of the time of its thread each instance of a task takes, and which instance takes the most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from engine.metrics import InstanceMetrics, JobMetrics, TaskMetrics

WAITS = 0.1
"""Of its time: who is back-pressured for so long waits for credit."""
UNEVEN = 0.25
"""By how much of its time an instance is busier than the others of its task where it alone is to blame."""
_NEAR = 0.03
"""Threads that are busy for equal times, as far as such times tell."""

Thread: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """One instance of a task."""

    at: int
    index: int
    task: TaskMetrics
    it: InstanceMetrics

    @property
    def thread(self) -> Thread:
        """What those have in common that run on one thread."""
        return (self.it.worker, self.at, self.index) if self.task.own_thread else self.common

    @property
    def common(self) -> Thread:
        """The thread that serves the links of its process, and runs all that never waits."""
        return self.it.worker, -1, -1

    @property
    def coding(self) -> float:
        """What that thread does for it though it has one of its own."""
        return self.it.coding if self.task.own_thread else 0.0

    @property
    def reads(self) -> bool:
        """Whether it is a source."""
        return not self.task.after

    @property
    def waits(self) -> bool:
        """Whether it waits for credit for some of its time."""
        return self.it.backpressured >= WAITS

    @property
    def is_held_up(self) -> bool:
        """Whether it waits for credit, and for longer than it works."""
        return self.waits and self.it.backpressured > self.it.busy

    @property
    def others(self) -> list[float]:
        """How busy the other instances of its task are."""
        return [each.busy for index, each in enumerate(self.task.instances) if index != self.index]

    @property
    def is_alone(self) -> bool:
        """Whether it is busy and they are not."""
        return bool(self.others) and self.it.busy - max(self.others) >= UNEVEN


class Loads:
    """Of a job: `places`, all instances of its tasks; `load`, the share of its time that each thread is busy."""

    def __init__(self, metrics: JobMetrics) -> None:
        self.tasks = metrics.tasks
        self.operators = {each.name: each for each in metrics.operators}
        self.places = [
            Place(at, index, task, it)
            for at, task in enumerate(metrics.tasks)
            for index, it in enumerate(task.instances)
        ]
        self._longest = max((each.it.seconds for each in self.places), default=0.0)
        self.load: dict[Thread, float] = {}
        for each in self.places:
            self._add(each.thread, each.it.busy * self.life(each))
            if each.coding:
                self._add(each.common, each.coding * self.life(each))

    def _add(self, thread: Thread, share: float) -> None:
        self.load[thread] = self.load.get(thread, 0.0) + share

    def behind(self, tasks: set[int]) -> list[Place]:
        """All instances of what these tasks feed, and what that feeds, and so on; tasks stand behind their feeders."""
        fed: set[int] = set()
        for at, task in enumerate(self.tasks):
            if (tasks | fed).intersection(task.after):
                fed.add(at)
        return [each for each in self.places if each.at in fed]

    def before(self, at: int) -> set[int]:
        """The sources that feed a task."""
        feeding = [at]
        for each in feeding:  # which grows meanwhile
            feeding += [task for task in self.tasks[each].after if task not in feeding]
        return {each for each in feeding if not self.tasks[each].after}

    def busiest(self, places: list[Place]) -> Place:
        """The one whose thread is; of equals that nearest the sinks, and of those on one thread the busiest."""
        most = max(map(self.use, places))
        equals = [each for each in places if self.use(each) >= most - _NEAR]
        thread = self.busier(max(equals, key=lambda each: (each.at, each.it.busy, each.it.queued)))
        sharing = [each for each in equals if self.busier(each) == thread]
        return max(sharing, key=lambda each: (each.it.busy + each.coding, each.at, each.it.queued))

    def use(self, place: Place) -> float:
        """How much of the time of its thread is taken; of a source's, by what it reads too."""
        load = self.load[self.busier(place)]
        return max(load, self.life(place) * (1 - place.it.backpressured)) if place.reads and runs(place.it) else load

    def busier(self, place: Place) -> Thread:
        """Of the threads that work for it."""
        return max([place.thread, place.common] if place.coding else [place.thread], key=self.load.__getitem__)

    def life(self, place: Place) -> float:
        """For which share of the time it ran."""
        return place.it.seconds / self._longest if self._longest else 1.0

    def shares(self, thread: Thread) -> Iterator[tuple[float, str, Place]]:
        """How much of a thread's time each operator on it takes."""
        for place in self.places:
            if place.coding and place.common == thread:
                yield place.coding * self.life(place), place.task.operators[0], place
            if place.thread == thread:
                whole = sum(self.operators[name].busy for name in place.task.operators) or 1.0
                for name in place.task.operators:
                    yield place.it.busy * self.life(place) * self.operators[name].busy / whole, name, place

    def heaviest(self, place: Place) -> str:
        """Of the operators of its task, the one that takes most time."""
        return max(place.task.operators, key=lambda name: self.operators[name].busy)


def runs(it: InstanceMetrics) -> bool:
    """Whether it has begun, and has not ended."""
    return bool(it.busy or it.idle or it.backpressured)
