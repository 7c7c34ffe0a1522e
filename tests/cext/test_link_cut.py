"""Records that cannot be encoded or decoded: what comes before them arrives, and the others' credit comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.frame import end, watermark
from cext.inlet import Inlet
from cext.link import Peer
from cext.outlet import Outlet, TooLarge
from cext.window import Window
from tests.cext.link_simulator import END, EPOCH, MS, Plain, Simulation, Weather

FAR = (50.0, 50.0)  # ms


class Bad(ValueError):
    """`index`: which record is to blame; -1: nobody knows."""

    def __init__(self, index: int) -> None:
        super().__init__(f"bad at {index}")
        self.index = index


class Picky(Plain):
    """Refuses to encode records whose number is in `bad`, and to decode those whose number is in `worse`."""

    def __init__(self, *bad: int, worse: tuple[int, ...] = (), names: bool = True) -> None:
        self.bad, self.worse, self.names = set(bad), set(worse), names

    def encode(self, rows: list[Any]) -> tuple[int, bytes]:
        for index, (number, _) in enumerate(rows):
            if number in self.bad:
                raise Bad(index if self.names else -1)
        return super().encode(rows)

    def decode(self, format: int, payload: bytes) -> list[Any]:
        rows = super().decode(format, payload)
        if any(number in self.worse for number, _ in rows):
            raise ValueError("worse")
        return rows


class Pair:
    """Both halves of a channel, with a network that takes no time. `told`: all errors; `skips`: go on without."""

    def __init__(self, codec: Picky, *, skips: bool = False, record_bytes: int = 100) -> None:
        self.told: list[Exception] = []
        self.out, self.inn = (Channel(Window(0.05, 64, 8, now=1), 8) for _ in range(2))
        limits = 100, 1000, record_bytes
        self.outlet = Outlet(0, self.out, codec, 1, EPOCH, *limits, lambda error: self._tell(error, skips))
        self.inlet = Inlet(0, self.inn, codec, lambda error: self._tell(error, False))
        self.here, self.there = Peer(1, 2, EPOCH, [self.outlet], []), Peer(2, 1, EPOCH, [], [self.inlet])
        self.now = 1000 * MS

    def _tell(self, error: Exception, goes_on: bool) -> bool:
        self.told.append(error)
        return goes_on

    def push(self, *numbers: int, width: int = 0) -> None:
        self.out.push_rows([[number, "x" * width] for number in numbers], 1)

    def carried(self) -> list[Any]:
        """What the consumer gets now: a number for each record, (kind, value) for each mark."""
        self.now += 250 * MS
        while (message := self.here.next(self.now)) is not None:
            assert self.there.receive(message.header, message.payload, self.now)
        got: list[Any] = []
        while (frame := self.inn.pop()) is not None:
            got += [number for number, _ in frame.rows] or [(frame.kind, frame.value)]
            self.inn.give_back(frame.records)
        signal = self.there.signal(self.now)
        assert signal is not None
        assert self.here.hear(signal, self.now)
        self.out.validate()
        return got


def test_what_stands_before_a_record_that_cannot_be_sent_goes_then_an_end_cut_short() -> None:
    pair = Pair(Picky(13))
    pair.push(11, 12, 13, 14)
    pair.push(15, 16)
    assert pair.carried() == [11, 12, (END, 0)]
    assert [str(error) for error in pair.told] == ["bad at 0"]
    assert (pair.outlet.is_cut, pair.outlet.ended, pair.here.finished()) == (True, False, False)
    pair.push(17)
    assert pair.out.push(watermark(1))
    assert pair.out.push(end())
    assert pair.carried() == []
    assert (pair.outlet.dropped, pair.out.in_flight, len(pair.told)) == (5, 0, 1)
    assert pair.here.finished()


def test_a_channel_goes_on_without_a_record_that_cannot_be_sent() -> None:
    pair = Pair(Picky(1, 3, 4, 6), skips=True)
    pair.push(1, 2, 3, 4, 5, 6)
    pair.push(7)
    assert pair.out.push(end())
    assert pair.carried() == [2, 5, 7, (END, 1)]
    assert (pair.outlet.withheld, pair.outlet.dropped, pair.out.in_flight, len(pair.told)) == (4, 0, 0, 4)
    assert not pair.outlet.is_cut
    assert pair.here.finished()


def test_records_that_are_skipped_cost_no_credit_in_the_end() -> None:
    pair = Pair(Picky(*range(0, 2000, 2)), skips=True)
    for first in range(0, 2000, 4):
        pair.push(*range(first, first + 4))
        assert pair.carried() == [first + 1, first + 3]
    assert pair.outlet.withheld == 1000


def test_a_frame_in_which_nobody_knows_who_is_to_blame_is_never_skipped() -> None:
    pair = Pair(Picky(2, names=False), skips=True)
    pair.push(0)
    pair.push(1, 2)
    assert pair.carried() == [0, (END, 0)]
    assert (pair.outlet.dropped, pair.out.in_flight) == (2, 0)


def test_a_record_that_is_too_large_is_named() -> None:
    pair = Pair(Picky(), record_bytes=60)
    pair.push(1, 2)
    pair.push(3, width=70)
    assert pair.carried() == [1, 2, (END, 0)]
    (error,) = pair.told
    assert isinstance(error, TooLarge)
    assert (str(error), error.index, error.record[0]) == ("a record has 75 bytes encoded, more than 60", 0, 3)


def test_records_that_cannot_be_read_end_the_channel_for_its_consumer_alone() -> None:
    pair = Pair(Picky(worse=(3,)))
    pair.push(1)
    pair.push(2, 3)
    pair.push(4)
    assert pair.carried() == [1, (END, 0)]
    assert [str(error) for error in pair.told] == ["worse"]
    assert (pair.inlet.is_cut, pair.inlet.dropped, pair.inlet.ended) == (True, 3, False)
    pair.push(*range(10, 18))
    assert pair.out.push(end())
    assert pair.carried() == []
    assert (pair.inlet.dropped, pair.out.in_flight, pair.inn.in_flight) == (11, 0, 0)
    assert pair.here.finished()
    assert pair.there.finished()


def test_without_anybody_to_tell_errors_are_raised() -> None:
    out, inn = (Channel(Window(0.05, 64, 8, now=1), 8) for _ in range(2))
    outlet, inlet = Outlet(0, out, Picky(1), 1, EPOCH), Inlet(0, inn, Picky(worse=(0,)))
    out.push_rows([[0, ""], [1, ""]])
    message = outlet.next(1)
    assert message is not None
    with pytest.raises(Bad, match="bad at 0"):
        outlet.next(1)
    with pytest.raises(ValueError, match="worse"):
        Peer(2, 1, EPOCH, [], [inlet]).receive(message.header, message.payload, 1)


# In any weather.

seeds = st.integers(0, 2**32)
weathers = st.builds(
    Weather,
    st.floats(0, 0.3),
    st.floats(0, 0.3),
    st.sampled_from([(0.05, 0.5), (0.1, 8.0), FAR]),
    st.booleans(),
    st.sampled_from([0, 300]),
)


@given(seeds, weathers, st.sets(st.integers(0, 299), max_size=60), st.sampled_from([2, 16, 512]), st.floats(0, 0.5))
@settings(max_examples=100)
def test_all_but_the_skipped_arrive_in_any_weather(
    seed: int, weather: Weather, bad: set[int], most: int, marks: float
) -> None:
    codec = Picky(*bad)
    simulation = Simulation(
        seed, weather, records=300, most=most, frame=min(64, most), marks=marks, codec=codec, unsent=lambda error: True
    )
    while not simulation.done:
        assert simulation.now < 600_000 * MS
        simulation.step()
    assert simulation.got[0] == [each for each in simulation.sent[0] if isinstance(each, tuple) or each[0] not in bad]
    assert simulation.outlets[0].withheld == len(bad)


@given(seeds, weathers, st.integers(0, 299), st.booleans(), st.sampled_from([2, 16, 512]), st.floats(0, 0.5))
@settings(max_examples=100)
def test_a_cut_channel_winds_down_in_any_weather(
    seed: int, weather: Weather, bad: int, at_the_sender: bool, most: int, marks: float
) -> None:
    told: list[Exception] = []

    def unsent(error: Exception) -> bool:
        told.append(error)
        return False

    codec = Picky(bad) if at_the_sender else Picky(worse=(bad,))
    simulation = Simulation(
        seed, weather, records=300, most=most, frame=min(64, most), marks=marks, codec=codec,
        unsent=unsent, unread=told.append,
    )  # fmt: skip
    peers = simulation.here.peer, simulation.there.peer
    while not (all(peer.finished() for peer in peers) and simulation.outs[0].in_flight == 0):
        assert simulation.now < 600_000 * MS, [channel.counters for channel in (*simulation.outs, *simulation.ins)]
        simulation.step()
    *got, last = simulation.got[0]
    assert (last, len(told)) == ((END, 0), 1)
    assert got == simulation.sent[0][: len(got)]
    numbers = [each[0] for each in got if not isinstance(each, tuple)]
    assert bad not in numbers
    assert len(numbers) == bad or not at_the_sender  # what cannot be read is a whole message
    dropped = simulation.outlets[0].dropped + simulation.inlets[0].dropped
    assert len(numbers) + dropped == 300
