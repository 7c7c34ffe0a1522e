"""Links in every weather: hundreds of schedules of the very code that runs, and faults that the simulator must find."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.cext.link_simulator import MS, Network, Side, Simulation, Weather

EACH = int(os.environ.get("HEADGATE_SCHEDULES", "800")) // 4  # for each of four delays
SCHEDULES = settings(max_examples=EACH, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SECOND = 1000.0
FAR = (50.0, 50.0)  # ms

shares = st.just(0.0) | st.floats(0.0, 0.3)


def on_off(now: int) -> float:
    return 50.0 if now // (37 * MS) % 2 else 0.0


def jitter(now: int) -> float:
    return random.Random(now // MS).choice([0.0, 0.0, 5.0, 100.0])


paces = st.sampled_from([lambda now: 100.0, lambda now: 5.0, on_off, jitter])
widths = st.sampled_from(
    [lambda dice: 1, lambda dice: dice.randint(0, 300), lambda dice: 6000 if dice.random() < 0.02 else 5]
)


@pytest.mark.parametrize("delay", [(0.05, 0.05), (0.05, 0.5), (0.1, 8.0), FAR])
@given(
    st.integers(0, 2**32),
    shares,
    shares,
    st.booleans(),
    st.sampled_from([0, 0, 40, 300]),
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 16, 100, 512]),
    st.sampled_from([1, 7, 64]),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([(4096, 1024), (512, 512), (100, 1024), (1 << 20, 1 << 18)]),
    paces,
    widths,
)
@SCHEDULES
def test_nothing_is_lost_doubled_or_moved_in_any_weather(
    delay: tuple[float, float],
    seed: int,
    lost: float,
    doubled: float,
    in_order: bool,
    breaks_every: int,
    channels: int,
    most: int,
    frame: int,
    marks: float,
    windows: tuple[int, int],
    pace: Callable[[int], float],
    width: Callable[[random.Random], int],
) -> None:
    breaks_every = max(breaks_every, 4 * int(delay[1])) if breaks_every else 0  # or nothing would ever arrive
    weather = Weather(lost, doubled, delay, in_order, breaks_every)
    note(f"Simulation({seed}, {weather}, ...)")
    records = min(150, 10 + 2 * most) if lost or breaks_every or delay == FAR else 300
    Simulation(
        seed, weather, records=records, channels=channels, most=most, frame=frame, byte_window=windows[0],
        frame_bytes=windows[1], marks=marks, pace=pace, widths=width,
    ).run(600 * SECOND)  # fmt: skip


@given(st.integers(0, 2**32), st.sampled_from([(0.05, 0.5), FAR]), st.floats(0, 0.5))
@settings(max_examples=1 + EACH // 15)
def test_a_consumer_that_stalls_costs_no_message_twice(seed: int, delay: tuple[float, float], marks: float) -> None:
    simulation = Simulation(seed, Weather(delay=delay), records=4000, most=64, marks=marks, stalled=(20, 30_020))
    simulation.run(60 * SECOND)
    assert simulation.outlets[0].resent == 0


@given(st.integers(0, 2**32), st.sampled_from([(0.05, 0.5), FAR]), st.floats(0, 0.5))
@settings(max_examples=1 + EACH // 15)
def test_a_process_that_is_stopped_costs_no_message_twice(seed: int, delay: tuple[float, float], marks: float) -> None:
    simulation = Simulation(seed, Weather(delay=delay), records=4000, most=64, marks=marks, stopped=(20, 30_020))
    simulation.run(60 * SECOND)
    assert simulation.outlets[0].resent == 0
    assert simulation.here.peer.round_trip <= 1.5 * SECOND * MS  # it was no long way, only a long wait


@given(st.integers(0, 2**32), st.floats(0, 1), st.sampled_from([(0.05, 0.5), FAR]))
@settings(max_examples=1 + EACH // 15)
def test_a_network_that_falls_silent_costs_what_it_lost_and_no_more(
    seed: int, noticed: float, delay: tuple[float, float]
) -> None:
    weather = Weather(delay=delay, silence=(20, 30_020), noticed=noticed)
    simulation = Simulation(seed, weather, records=4000, most=64)
    simulation.run(60 * SECOND)
    assert simulation.outlets[0].resent <= 2 * (64 + 4)  # what its window and a few marks came to, at most twice


@given(st.integers(0, 2**32), st.sampled_from([0.0, 1.0]), st.sampled_from([(0.05, 0.5), FAR]))
@settings(max_examples=1 + EACH // 8)
def test_connections_that_break_are_mended_whether_it_is_noticed_or_not(
    seed: int, noticed: float, delay: tuple[float, float]
) -> None:
    weather = Weather(delay=delay, breaks_every=200, noticed=noticed)
    Simulation(seed, weather, records=600, most=64).run(600 * SECOND)


clocks = st.integers(0, 10**15)


@given(st.integers(0, 2**32), clocks, clocks, st.sampled_from([(0.05, 0.5), (0.1, 8.0), FAR]), st.floats(0, 0.3))
@settings(max_examples=1 + EACH // 6)
def test_records_are_as_old_as_they_are_whatever_the_clocks_show(
    seed: int, here: int, there: int, delay: tuple[float, float], lost: float
) -> None:
    weather = Weather(lost, delay=delay)
    simulation = Simulation(seed, weather, records=1000, most=64, offered=2.0, clocks=(here, there))
    simulation.run(600 * SECOND)
    assert all(0 <= age <= simulation.now for age, _, _ in simulation.ages)
    known = [each for each in simulation.ages if each[2]]
    assert known
    assert all(abs(age - true) <= round_trip for age, true, round_trip in known)


@given(st.integers(0, 2**32), clocks, st.sampled_from([(0.05, 0.5), (0.1, 8.0), FAR]), st.floats(0, 0.3))
@settings(max_examples=1 + EACH // 6)
def test_on_one_machine_ages_are_exact_from_the_first_record_on(
    seed: int, clock: int, delay: tuple[float, float], lost: float
) -> None:
    weather = Weather(lost, delay=delay)
    simulation = Simulation(seed, weather, records=1000, most=64, clocks=(clock, clock))
    simulation.run(600 * SECOND)
    assert all(age == true for age, true, _ in simulation.ages)


def test_a_slow_way_is_no_loss() -> None:
    """Data that takes 5 s beside signals that take none: probes only, although a message is missing every second."""
    slow = Weather(delay=(5000, 5000))
    simulation = Simulation(1, slow, records=2000, most=256, signal_weather=Weather())
    simulation.run(200 * SECOND)
    assert simulation.outlets[0].resent == 0


def test_signals_stay_few_whatever_the_pace() -> None:
    """No more than the law asks for: by eighths of a window, every 5 ms, 20 a second of BLOCKED, heartbeats."""
    simulation = Simulation(1, Weather(), records=10**6, pace=lambda now: 2.0, stalled=(1000, 11_000))
    while simulation.now < 11_000 * MS:
        simulation.step()
    assert simulation.there.spoken <= 200 + 1000 / 5 + 10 * 4 + 2 * 10 * 20
    assert simulation.here.spoken <= 11 * (4 + 20) + 10


# That the simulator can fail: each of these has a fault that it must find.


class Header:
    """Where the fields of a message's header are, to forge one."""

    SEQUENCE: ClassVar[int] = struct.calcsize("<IBBHQII")

    @classmethod
    def renumbered(cls, header: bytes, sequence: int) -> bytes:
        return header[: cls.SEQUENCE] + struct.pack("<Q", sequence) + header[cls.SEQUENCE + 8 :]


class TakesAll(Side):
    """Takes every message for the next one: no dedupe, no gap."""

    def listen(self, other: Side, now: int) -> None:
        forged = Network(Weather(delay=(0, 0)), random.Random(0))
        for header, payload in other.data.arrived(now):
            inlet = self.peer.inlets[0]
            forged.send((Header.renumbered(header, inlet.received + 1), payload), now)
            other.data, real = forged, other.data
            super().listen(other, now)
            other.data = real
        super().listen(other, now)


class Forges(Side):
    """Changes every credit that it tells."""

    forge: Callable[[list[int]], None]

    def speak(self, now: int) -> None:
        before = {number for _, number, _ in self.signals.inside}
        super().speak(now)
        for i, (at, number, raw) in enumerate(self.signals.inside):
            if number not in before:
                signal = msgspec.msgpack.decode(raw)
                for credit in signal[5]:
                    self.forge(credit)
                self.signals.inside[i] = (at, number, msgspec.msgpack.encode(signal))


def test_without_signals_the_simulator_sees_a_deadlock() -> None:
    with pytest.raises(AssertionError, match="no end after"):
        Simulation(1, Weather(), records=5000, signal_weather=Weather(lost=1.0)).run(2 * SECOND)


def test_without_dedupe_the_simulator_sees_doubles() -> None:
    with pytest.raises(AssertionError):
        Simulation(1, Weather(doubled=0.3), records=2000, marks=0, side=TakesAll).run(20 * SECOND)
    with pytest.raises(AssertionError):
        Simulation(1, Weather(lost=0.3), records=2000, marks=0, side=TakesAll).run(20 * SECOND)


def forging(forge: Callable[[Simulation, list[int]], None]) -> Simulation:
    simulation = Simulation(
        1, Weather(), records=5000, most=8192, stalled=(10, 2000), widths=lambda dice: 99, side=Forges
    )
    assert isinstance(simulation.there, Forges)
    simulation.there.forge = lambda credit: forge(simulation, credit)
    return simulation


def test_an_honest_forger_is_no_fault() -> None:
    forging(lambda simulation, credit: None).run(20 * SECOND)


def test_a_credit_too_much_is_seen() -> None:
    def forge(simulation: Simulation, credit: list[int]) -> None:
        credit[1] += 1

    with pytest.raises(AssertionError, match="more credit than was given"):
        forging(forge).run(20 * SECOND)


def test_bytes_that_are_given_back_too_soon_are_seen() -> None:
    def forge(simulation: Simulation, credit: list[int]) -> None:
        credit[4] = simulation.outlets[0].bytes_sent

    with pytest.raises(AssertionError, match="bytes in flight"):
        forging(forge).run(20 * SECOND)


def test_an_answer_too_much_is_seen() -> None:
    """It says that it has received what was lost, so that nobody sends it again."""

    def forge(simulation: Simulation, credit: list[int]) -> None:
        credit[5] = simulation.outlets[0].sequence

    simulation = forging(forge)
    simulation.here.data.weather = Weather(lost=0.1)
    with pytest.raises(AssertionError):
        simulation.run(20 * SECOND)
