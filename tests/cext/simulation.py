"""Channels in a row between a source and a sink, in virtual time, with the very windows and costs that run.

Steps of 1 ms. What is pushed in a step can be taken in the next one, and
credit that is given back in a step is seen in it: a round trip of 1 ms. As in a task, who has no credit does
not look for records, and what an operator between has taken is released once it is pushed on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from cext.cost import Cost
from cext.window import Window

MS = 1_000_000
PERIOD = 100  # ms


class Law(Protocol):
    """What sizes a channel: the Window that runs, or one that a test holds against it."""

    @property
    def size(self) -> int: ...
    @property
    def most(self) -> int: ...
    def update(self, now: int, released: int, starved: bool, blocked: bool) -> int: ...
    def want(self, batch: int) -> None: ...


@dataclass
class Edge:
    """A channel, as counters."""

    law: Law
    pushed: int = 0
    taken: int = 0
    released: int = 0
    limit: int = 0
    blocked: bool = False
    starved: bool = False
    waited: int = 0
    """How much longer, in ms, its consumer waited for records than for credit in this period."""

    def __post_init__(self) -> None:
        self.limit = self.law.size

    @property
    def waiting(self) -> int:
        return self.pushed - self.taken

    @property
    def in_flight(self) -> int:
        return self.pushed - self.released

    def credit(self) -> int:
        self.blocked |= self.limit == self.pushed
        return self.limit - self.pushed

    def push(self, records: int) -> None:
        self.pushed += records
        assert self.pushed <= self.limit
        assert self.in_flight <= self.law.most

    def take(self, records: int) -> int:
        taken = min(records, self.waiting)
        self.starved |= taken < records
        self.taken += taken
        return taken

    def release(self, records: int) -> None:
        self.released += records
        self.limit = max(self.limit, self.released + self.law.size)

    def adapt(self, now: int) -> None:
        self.law.update(now, self.released, self.starved and self.waited >= 0, self.blocked)
        self.starved, self.blocked, self.waited = False, False, 0
        self.limit = max(self.limit, self.released + self.law.size)


class Consumer(Protocol):
    """A sink: `step` takes what it writes in this millisecond and returns how many records it has begun to write."""

    batch: int

    def step(self, ms: int, edge: Edge) -> int: ...


class Steady:
    """A sink that may take `pace(ms)` records in each millisecond."""

    batch = 0

    def __init__(self, pace: Callable[[int], float]) -> None:
        self.pace = pace
        self.allowed = 0.0
        self.wanted = 0

    def step(self, ms: int, edge: Edge) -> int:
        self.allowed = self.allowed % 1 + self.pace(ms)  # what it does not use is gone
        self.wanted += int(self.allowed)
        taken = edge.take(int(self.allowed))
        edge.release(taken)
        return taken


class Batchy:
    """A sink that writes `batch` records at once, which takes `busy` ms, or what there is if there are fewer."""

    def __init__(self, batch: int, busy: int) -> None:
        self.batch, self.busy = batch, busy
        self.free_at = self.held = self.wanted = 0

    def step(self, ms: int, edge: Edge) -> int:
        if ms < self.free_at:
            return 0
        edge.release(self.held)
        self.held = edge.take(self.batch)
        self.wanted += self.batch
        if self.held:
            self.free_at = ms + self.busy
        return self.held


class Costly:
    """Declares no batch; a write costs `fixed(ms)` and `each(ms)` a record, in ms, give or take `jitter`."""

    batch = 0

    def __init__(
        self, fixed: Callable[[int], float], each: Callable[[int], float], jitter: float = 0, seed: int = 0
    ) -> None:
        self.fixed, self.each, self.jitter, self.dice = fixed, each, jitter, random.Random(seed)
        self.cost = Cost(4096)
        self.gathered = self.held = 0
        self.took = self.free_at = 0.0
        self.writes: list[tuple[int, int]] = []
        """When each began, and its records."""

    def step(self, ms: int, edge: Edge) -> int:
        wrote = 0
        while self.free_at <= ms:
            self._finish(edge)
            self._gather(edge)
            if self.gathered == 0:
                self.free_at = ms + 1
                break
            wrote += self._begin(ms)
        return wrote

    def _finish(self, edge: Edge) -> None:
        if self.held:
            edge.release(self.held)
            self.cost.note(self.held, int(self.took * MS))
            self.held = 0

    def _gather(self, edge: Edge) -> None:
        edge.law.want(self.cost.batch)
        edge.release(0)
        self.frame = 1024 if edge.law.size >= 2048 else max(1, edge.law.size // 4)
        edge.starved |= edge.waiting == self.gathered == 0
        wanted = max(self.cost.batch, self.frame)
        while self.gathered < wanted and edge.waiting:
            self.gathered += edge.take(min(self.frame, edge.waiting))

    def _begin(self, ms: int) -> int:
        self.held = self.cost.take(min(self.gathered, max(self.cost.batch, self.frame)))
        self.gathered -= self.held
        self.took = self.fixed(ms) + self.held * self.each(ms)
        self.took *= self.dice.uniform(1 - self.jitter, 1 + self.jitter)
        self.free_at += self.took
        self.writes.append((ms, self.held))
        return self.held


@dataclass
class Chain:
    """A source that offers `offered(ms)` records in each millisecond, three operators, and a sink."""

    offered: Callable[[int], float]
    sink: Consumer
    channels: int = 4
    target: float = 0.2
    most: int = 8192
    law: Callable[[float, int, int, int], Law] = Window
    edges: list[Edge] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    wrote: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        batches = [0] * (self.channels - 1) + [self.sink.batch]
        self.edges = [Edge(self.law(self.target / self.channels, self.most, 1024, batch)) for batch in batches]

    def run(self, until: int) -> Chain:
        fraction = 0.0
        for ms in range(len(self.read), until):
            self.wrote.append(self.sink.step(ms, self.edges[-1]))
            for before, behind in reversed(list(pairwise(self.edges))):
                moved = before.take(credit) if (credit := behind.credit()) else 0
                behind.push(moved)
                before.release(moved)
                before.waited += 1 if behind.credit() else -1
            fraction = fraction % 1 + self.offered(ms)
            moved = min(int(fraction), self.edges[0].credit())
            self.edges[0].push(moved)
            self.edges[0].credit()
            self.read.append(moved)
            self.in_flight.append(sum(edge.in_flight for edge in self.edges))
            if (ms + 1) % PERIOD == 0:
                for edge in self.edges:
                    edge.adapt((ms + 1) * MS)
        held = getattr(self.sink, "held", 0)  # counted as written when the write began
        assert sum(self.read) == sum(self.wrote) + self.in_flight[-1] - held
        return self

    def read_rate(self, begin: int, end: int) -> float:
        """Records/s that the source was asked for, from `begin` to `end` ms."""
        return sum(self.read[begin:end]) * 1000 / (end - begin)

    def write_rate(self, begin: int, end: int) -> float:
        return sum(self.wrote[begin:end]) * 1000 / (end - begin)


def steps(*plan: tuple[int, float]) -> Callable[[int], float]:
    """The last pace in `plan`, (from ms, records a ms), that has begun."""
    return lambda ms: next(pace for begin, pace in reversed(plan) if begin <= ms)
