"""Tasks in a row over local channels and links, in virtual time: the very channels, windows and links, step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from cext.channel import Channel
from cext.frame import Frame
from cext.inlet import Inlet
from cext.link import Peer
from cext.outlet import Outlet
from cext.window import Window

MS = 1_000_000
FRAME = 1024
MOST = 8192
ROWS = [None] * FRAME


class Bare:
    """A codec that carries how many there are."""

    def encode(self, rows: list[Any]) -> tuple[int, bytes]:
        return 0, b"%d" % len(rows)

    def decode(self, format: int, payload: bytes) -> list[Any]:
        return ROWS[: int(payload)]


class Hop:
    """A channel from one task to the next: `out` and `inn` are one inside a process, and its halves over a link."""

    def __init__(self, share: float, batch: int, way: float | None) -> None:
        self.way = way
        self.inn = self.out = Channel(Window(share, MOST, FRAME, batch, now=1), FRAME)
        self.idle = 0.0  # ms that its consumer waited for records in this period, less those it waited for credit
        if way is not None:
            self.out = Channel(Window(share, MOST, FRAME, batch, now=1), FRAME)
            self.here = Peer(1, 2, 9, [Outlet(0, self.out, Bare(), 1, 9)], [])
            self.there = Peer(2, 1, 9, [], [Inlet(0, self.inn, Bare())])
            self.data: deque[tuple[int, Any, Any]] = deque()
            self.signals: tuple[deque[tuple[int, Any]], ...] = (deque(), deque())

    @property
    def room(self) -> int:
        return self.out.available()

    @property
    def cut(self) -> int:
        window = self.out.counters[3]
        return FRAME if window >= 2 * FRAME else max(1, window // 4)

    @property
    def in_flight(self) -> int:
        return self.out.counters[0] - self.inn.counters[1]

    def carry(self, now: int) -> None:
        """What the two processes' loops do for their link in a step."""
        if self.way is None:
            return
        later = now + int(self.way * MS)
        sides = ((self.here, self.signals[0], self.signals[1]), (self.there, self.signals[1], self.signals[0]))
        for peer, away, back in sides:
            while back and back[0][0] <= now:
                assert peer.hear(back.popleft()[1], now)
            if (signal := peer.signal(now)) is not None:
                away.append((later, signal))
        while (message := self.here.next(now)) is not None:
            self.data.append((later, message.header, message.payload))
        while self.data and self.data[0][0] <= now:
            _, header, payload = self.data.popleft()
            assert self.there.receive(header, payload, now)


class Sink:
    """Writes at its `pace`, records a ms at a time in ms; what it writes is given back bit by bit."""

    batch = 0

    def __init__(self, pace: Callable[[float], float]) -> None:
        self.pace = pace
        self.work = self.wanted = 0.0
        self.wrote = self.holding = 0

    def step(self, ms: float, step: float, channel: Channel) -> None:
        pace = self.pace(ms)
        self.wanted += pace * step
        self.work = min(self.work + pace * step, max(1.0, pace * step))
        while self.work >= 1:
            if not self.holding:
                frame = channel.pop()
                if frame is None:
                    break
                self.holding = frame.records
            part = min(self.holding, int(self.work))
            channel.give_back(part)
            self.holding -= part
            self.work -= part
            self.wrote += part


class Knee(Sink):
    """A write costs 5 ms and 0.02 ms a record, so small batches make it slow; up to 500 at a time."""

    batch = 500

    def __init__(self) -> None:
        super().__init__(lambda ms: 500 / 15)
        self.until = 0.0
        self.count = 0
        self.busy = 0.0
        self.spare = 0

    def step(self, ms: float, step: float, channel: Channel) -> None:
        self.wanted += step
        if ms >= self.until:
            channel.give_back(self.count)
            self.wrote += self.count
            while self.spare < self.batch and (frame := channel.pop()) is not None:
                self.spare += frame.records
            self.count = min(self.batch, self.spare)
            self.spare -= self.count
            self.until = ms + 5 + self.count / 50 if self.count else ms
        self.busy += step if ms < self.until else 0.0


class Chain:
    """A source that offers `offered(ms)` records a ms, a task behind each of `hops`, and `sinks` that share the last.

    `ways`: of each hop, None: inside a process; else ms over a link, one way.
    """

    def __init__(
        self, offered: Callable[[float], float], sinks: list[Sink], ways: list[float | None], target: float = 0.2
    ) -> None:
        self.offered, self.sinks = offered, sinks
        share = target / len(ways)
        self.hops = [[Hop(share, 0, way)] for way in ways[:-1]]
        self.hops.append([Hop(share, sink.batch, ways[-1]) for sink in sinks])
        self.held: list[int] = [0] * len(self.hops)
        self.ms = 1.0
        self.fraction = 0.0
        self.read: list[tuple[float, int]] = []  # (ms, records in all)
        self.wrote: list[tuple[float, int]] = []
        self.in_flight: list[tuple[float, int]] = []
        self.total = 0
        self.adapted = 1.0

    def run(self, until: float, step: float = 1.0) -> Chain:
        while self.ms < until:
            self.step(step)
        return self

    def step(self, step: float) -> None:
        self.ms += step
        now = int(self.ms * MS)
        for sink, hop in zip(self.sinks, self.hops[-1], strict=True):
            sink.step(self.ms, step, hop.inn)
            hop.idle = 1.0  # it never waits for credit
        for i in reversed(range(len(self.hops) - 1)):
            self._operate(i, step)
        self._produce(step)
        for hop in (hop for hops in self.hops for hop in hops):
            hop.carry(now)
        if self.ms - self.adapted >= 100:
            self.adapted = self.ms
            for hop in (hop for hops in self.hops for hop in hops):
                hop.inn.adapt(now, hop.idle >= 0)
                hop.idle = 0.0
        flight = sum(hop.in_flight for hops in self.hops for hop in hops)
        assert flight <= MOST * sum(map(len, self.hops))
        self.in_flight.append((self.ms, flight))
        self.read.append((self.ms, self.total))
        self.wrote.append((self.ms, sum(sink.wrote for sink in self.sinks)))

    def _send(self, hops: list[Hop], records: int) -> int:
        """Up to `records`, in frames, to whoever has credit; how many that were."""
        sent = 0
        while records > sent:
            hop = max(hops, key=lambda hop: hop.room)
            part = min(records - sent, hop.room, hop.cut)
            if part <= 0:
                break
            hop.out.push_rows(ROWS[:part])
            sent += part
        return sent

    def _operate(self, i: int, step: float) -> None:
        before, behind = self.hops[i][0], self.hops[i + 1]
        while True:
            if not self.held[i]:
                frame: Frame | None = before.inn.pop() if any(hop.room for hop in behind) else None
                if frame is None:
                    break
                self.held[i] = frame.records
            moved = self._send(behind, self.held[i])
            before.inn.give_back(moved)
            self.held[i] -= moved
            if self.held[i]:
                break
        before.idle += step if any(hop.room for hop in behind) else -step

    def _produce(self, step: float) -> None:
        self.fraction = min(self.fraction % 1 + self.offered(self.ms) * step, 1e6)
        self.total += self._send(self.hops[0], int(self.fraction))
        self.hops[0][0].out.available()

    def _between(self, samples: list[tuple[float, int]], begin: float, end: float) -> float:
        inside = [count for ms, count in samples if begin <= ms <= end]
        return (inside[-1] - inside[0]) / (end - begin)

    def read_rate(self, begin: float, end: float) -> float:
        """Records a ms that the source gave, from `begin` to `end` ms."""
        return self._between(self.read, begin, end)

    def write_rate(self, begin: float, end: float) -> float:
        return self._between(self.wrote, begin, end)

    def greatest_read_rate(self, begin: float, end: float, width: float = 500) -> float:
        """The greatest over any `width` ms in this time."""
        counts = [(ms, count) for ms, count in self.read if begin <= ms <= end]
        reach, greatest = 0, 0.0
        for ms, count in counts:
            while reach < len(counts) and counts[reach][0] < ms + width:
                reach += 1
            if reach == len(counts):
                break
            greatest = max(greatest, (counts[reach][1] - count) / (counts[reach][0] - ms))
        return greatest

    def most_in_flight(self, begin: float, end: float) -> int:
        return max(count for ms, count in self.in_flight if begin <= ms <= end)
