"""Two workers and the network between them, in virtual time: the very code of cext.link, thousands of schedules.

Every message and signal may be lost, late, doubled or overtaken, connections break, the network falls silent, a process
is stopped; all by one seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec

from cext.channel import Channel
from cext.frame import barrier, end, watermark
from cext.inlet import Inlet
from cext.link import Peer
from cext.outlet import Outlet
from cext.window import Window

MS = 1_000_000
LONGEST_STEP = 5.0  # ms
EPOCH = 0x5EED << 32 | 1
DATA, WATERMARK, BARRIER, END = range(4)


class Plain:
    """A codec that shows in its payloads what is inside."""

    def encode(self, rows: list[Any]) -> tuple[int, bytes]:
        return 7, msgspec.msgpack.encode(rows)

    def decode(self, format: int, payload: bytes) -> list[Any]:
        assert format == 7
        return list(msgspec.msgpack.decode(payload))


@dataclass(frozen=True)
class Weather:
    """What the network does to what it carries; shares are of all messages, delays in ms."""

    lost: float = 0.0
    doubled: float = 0.0
    delay: tuple[float, float] = (0.05, 0.5)
    in_order: bool = True
    breaks_every: float = 0.0
    """How often the connection breaks, ms; 0: never."""
    noticed: float = 0.5
    """How likely each side is to notice that."""
    silence: tuple[float, float] = (0.0, 0.0)
    """From when to when all is lost, ms."""


def within(times: tuple[float, float], now: int) -> bool:
    return times[0] * MS <= now < times[1] * MS


class Network:
    """Carries things one way; what a broken connection had inside is lost."""

    def __init__(self, weather: Weather, dice: random.Random) -> None:
        self.weather, self.dice = weather, dice
        self.inside: list[tuple[int, int, Any]] = []
        self.last = 0
        self.numbers = count()

    def send(self, thing: Any, now: int) -> None:
        if within(self.weather.silence, now):
            return
        for _ in range(1 + (self.dice.random() < self.weather.doubled)):
            if self.dice.random() >= self.weather.lost:
                at = now + int(self.dice.uniform(*self.weather.delay) * MS)
                if self.weather.in_order:
                    at = self.last = max(at, self.last)
                heapq.heappush(self.inside, (at, next(self.numbers), thing))

    def arrived(self, now: int) -> list[Any]:
        found = []
        while self.inside and self.inside[0][0] <= now:
            found.append(heapq.heappop(self.inside)[2])
        return found


class Side:
    """One worker: its peer object, and the networks that lead away from it."""

    def __init__(
        self, peer: Peer, weather: Weather, signal_weather: Weather, dice: random.Random, ahead: int = 0
    ) -> None:
        self.peer = peer
        self.ahead = ahead  # what its clock shows more than the time that the network goes by, ns
        self.data, self.signals = Network(weather, dice), Network(signal_weather, dice)
        self.largest = 0  # of the payloads sent, bytes
        self.spoken = 0  # signals sent
        self.moves = 0  # messages and signals, out and in

    def clock(self, now: int) -> int:
        """What its clock shows at that time."""
        return now + self.ahead

    def speak(self, now: int) -> None:
        while (message := self.peer.next(self.clock(now))) is not None:
            self.largest = max(self.largest, message.size)
            self.data.send((message.header, message.payload), now)
            self.moves += 1
        if (signal := self.peer.signal(self.clock(now))) is not None:
            self.signals.send(msgspec.msgpack.encode(signal), now)
            self.spoken += 1
            self.moves += 1

    def listen(self, other: Side, now: int) -> None:
        """Signals come by a way of their own, and so before the data that was sent before them."""
        for raw in other.signals.arrived(now):
            self.moves += 1
            assert self.peer.hear(msgspec.msgpack.decode(raw), self.clock(now))
        for header, payload in other.data.arrived(now):
            self.moves += 1
            assert self.peer.receive(header, payload, self.clock(now))


class Simulation:
    """Numbers 0, 1, 2, ... and marks between them go over `channels` channels, and come back as what was taken.

    `pace(now)`: how many records a ms the consumers take at that time; `offered`: how many the producers have a ms;
    `stalled`, `stopped`: from when to when, in ms, the consumers take nothing, and the receiving process does nothing.
    `clocks`: what those of the two processes show more than the time, ns. `codec`, `unsent` and `unread`: see Outlet
    and Inlet.
    """

    def __init__(
        self,
        seed: int,
        weather: Weather,
        *,
        records: int,
        channels: int = 1,
        most: int = 512,
        frame: int = 64,
        byte_window: int = 4096,
        frame_bytes: int = 1024,
        share: float = 0.05,
        marks: float = 0.05,
        offered: float = 200.0,
        pace: Callable[[int], float] = lambda now: 100.0,
        widths: Callable[[random.Random], int] = lambda dice: 1,
        stalled: tuple[float, float] = (0.0, 0.0),
        stopped: tuple[float, float] = (0.0, 0.0),
        signal_weather: Weather | None = None,
        side: type[Side] = Side,
        clocks: tuple[int, int] = (0, 0),
        codec: Plain | None = None,
        unsent: Callable[[Exception], bool] | None = None,
        unread: Callable[[Exception], object] | None = None,
    ) -> None:
        self.dice = random.Random(seed)
        self.records, self.pace, self.offered, self.marks, self.widths = records, pace, offered, marks, widths
        self.byte_window = byte_window
        halves = range(channels)
        self.outs = [Channel(Window(share, most, frame, now=1), frame) for _ in halves]
        self.ins = [Channel(Window(share, most, frame, now=1), frame) for _ in halves]
        codec = codec or Plain()
        limits = frame_bytes, byte_window, 1 << 26
        self.outlets = [Outlet(i, self.outs[i], codec, 1, EPOCH, *limits, unsent) for i in halves]
        self.inlets = [Inlet(i, self.ins[i], codec, unread) for i in halves]
        weathers = weather, signal_weather or weather
        self.here = side(Peer(1, 2, EPOCH, list(self.outlets), []), *weathers, self.dice, clocks[0])
        self.there = side(Peer(2, 1, EPOCH, [], list(self.inlets)), *weathers, self.dice, clocks[1])
        self.weather, self.stalled, self.stopped = weather, stalled, stopped
        self.now, self.tick, self.moves_before = MS, 0.1, -1
        self.sent: list[list[Any]] = [[] for _ in halves]
        self.got: list[list[Any]] = [[] for _ in halves]
        self.born: list[dict[int, int]] = [{} for _ in halves]
        self.ages: list[tuple[int, int, int]] = []
        """Of each frame when it is taken: its age as it seems and as it is, and the round trip as far as known, ns."""
        self.next_number = [0 for _ in halves]
        self.ended = [False for _ in halves]
        self.holding = [0 for _ in halves]
        self.offer = self.work = 0.0
        self.starved = [False for _ in halves]
        self.most_in_flight = 0
        self.breaks_at = MS + int(weather.breaks_every * MS)

    def step(self) -> None:
        """A tenth of a millisecond, or ever more while nothing happens."""
        moved = self.moves != self.moves_before
        self.moves_before = self.moves
        self.tick = 0.1 if moved else min(2 * self.tick, LONGEST_STEP)
        self.now += int(self.tick * MS)
        for i in range(len(self.outs)):
            self._produce(i)
        self.here.speak(self.now)
        if not within(self.stopped, self.now):
            self.there.listen(self.here, self.now)
            for i in range(len(self.ins)):
                self._consume(i)
            self.there.speak(self.now)
        self.here.listen(self.there, self.now)
        if self.weather.breaks_every and self.now >= self.breaks_at:
            self._break()
        self.check()

    @property
    def moves(self) -> int:
        """What has happened so far, in sum."""
        sides = (self.here, self.there)
        return sum(self.next_number) + sum(map(len, self.got)) - sum(self.holding) + sum(side.moves for side in sides)

    def _break(self) -> None:
        self.breaks_at = self.now + int(self.weather.breaks_every * MS * self.dice.uniform(0.5, 1.5))
        for side in (self.here, self.there):
            side.data.inside.clear()
            side.signals.inside.clear()
            if self.dice.random() < self.weather.noticed:  # it need not be noticed at once, nor by both
                side.peer.reconnected(self.now)

    def _produce(self, i: int) -> None:
        channel = self.outs[i]
        self.offer = min(self.offer + self.offered * self.tick, 10 * self.offered)
        while self.offer >= 1 and self.next_number[i] < self.records and (room := channel.available()) > 0:
            size = min(room, int(self.offer), self.records - self.next_number[i], self.dice.randint(1, 64))
            rows = [[n, "x" * self.widths(self.dice)] for n in range(self.next_number[i], self.next_number[i] + size)]
            channel.push_rows(rows, self.here.clock(self.now))
            self.sent[i] += rows
            self.born[i].update(dict.fromkeys(range(self.next_number[i], self.next_number[i] + size), self.now))
            self.next_number[i] += size
            self.offer -= size
            if self.dice.random() < self.marks:
                self._mark(i, self.dice.choice((watermark, barrier))(self.next_number[i]))
        if self.next_number[i] == self.records and not self.ended[i]:
            self.ended[i] = self._mark(i, end())

    def _mark(self, i: int, mark: Any) -> bool:
        if pushed := self.outs[i].push(mark):
            self.sent[i].append((mark.kind, mark.value))
        return pushed

    def _consume(self, i: int) -> None:
        channel = self.ins[i]
        pace = 0.0 if within(self.stalled, self.now) else self.pace(self.now)
        self.work = min(self.work + pace * self.tick, 10 * max(1.0, pace))
        if self.holding[i]:
            give = min(self.holding[i], int(self.work))
            channel.give_back(give)
            self.holding[i] -= give
            self.work -= give
        while not self.holding[i] and self.work >= 1:
            frame = channel.pop()
            if frame is None:
                self.starved[i] = True
                break
            if frame.kind != DATA:
                self.got[i].append((frame.kind, frame.value))
                continue
            self.got[i] += frame.rows
            age = self.there.clock(self.now) - frame.born
            self.ages.append((age, self.now - self.born[i][frame.rows[0][0]], self.there.peer.round_trip))
            give = min(frame.records, int(self.work))
            channel.give_back(give)
            self.work -= give
            self.holding[i] = frame.records - give
        channel.adapt(self.now, True)

    def check(self) -> None:
        """What holds at every moment."""
        for out, inward, outlet, inlet in zip(self.outs, self.ins, self.outlets, self.inlets, strict=True):
            out.validate()
            inward.validate()
            pushed, released, limit, _ = out.counters
            unseen = outlet.withheld + inlet.dropped
            assert pushed <= limit <= inward.counters[2] + unseen, "the producer has more credit than was given"
            assert pushed - released <= out.bound
            assert inward.counters[0] <= pushed
            in_flight = outlet.bytes_sent - inlet.bytes_released
            assert in_flight <= max(self.byte_window, self.here.largest), f"{in_flight} bytes in flight"
        assert not self.there.peer.refused, self.there.peer.refused
        pairs = zip(self.outs, self.ins, strict=True)
        self.most_in_flight = max(self.most_in_flight, sum(out.counters[0] - inn.counters[1] for out, inn in pairs))

    @property
    def done(self) -> bool:
        """Whether everything that was sent has come."""
        return all(self.ended) and all(map(bool, self.got)) and all(got[-1] == (END, 1) for got in self.got)

    def run(self, milliseconds: float) -> None:
        """Until all has come; AssertionError if it does not within so much virtual time."""
        until = self.now + int(milliseconds * MS)
        while not self.done:
            assert self.now < until, (
                f"no end after {milliseconds} ms: {[len(got) for got in self.got]} of "
                f"{[len(sent) for sent in self.sent]}, {[out.counters for out in self.outs]}"
            )
            self.step()
        assert self.got == self.sent
