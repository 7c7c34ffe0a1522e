"""The profiles of the slow sink, and the figures made from what a run leaves, without any run."""

from __future__ import annotations

import math

import pytest

from benchmarks.slow_sink import figures
from benchmarks.slow_sink.ends import Counted, PacedWriter
from benchmarks.slow_sink.profiles import DRAIN, MAKERS, profile
from benchmarks.slow_sink.sampling import Run
from benchmarks.slow_sink.trace import SinkNotes, SourceNotes, Trace

T0 = 100.0


def run_of(source_rate: float, sink_rate: float) -> Run:
    """A run of the step profile with even rates, noted every 10 ms."""
    source, written = Trace(), Trace()
    for tick in range(1501):
        at = tick / 100
        source.note(T0 + at, int(source_rate * at))
        written.note(T0 + at, int(sink_rate * at), at, tick)
    return Run("x", profile("step"), SourceNotes(source), [SinkNotes(T0, written)])


@pytest.mark.parametrize("name", MAKERS)
def test_a_write_takes_longer_the_more_is_in_it_and_ends_in_every_profile(name: str) -> None:
    chosen = profile(name)
    for begin in (0.0, 0.3 * chosen.seconds, chosen.seconds):
        ends = [chosen.finish(begin, records) for records in (1, 10, 1000)]
        assert begin < ends[0] < ends[1] < ends[2] < math.inf


def test_a_write_goes_on_through_changes_of_rate() -> None:
    assert profile("step").finish(2.99, 300) == pytest.approx(3.05)
    assert profile("stall", 75).finish(5.0, 100) == pytest.approx(65.005)
    assert profile("on-off").finish(0.4, 4000) == pytest.approx(1.1)
    assert profile("step").finish(15.0, 1000) == pytest.approx(15 + 1000 / DRAIN)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no profile 'steep'; there are steady, step"):
        profile("steep")


def test_a_source_at_the_sinks_rate_follows_and_a_faster_one_never_does() -> None:
    assert figures.follow(run_of(2000, 2000)) == 0.0
    assert figures.follow(run_of(2500, 2000)) == math.inf


def test_in_flight_is_what_was_given_and_not_yet_written() -> None:
    assert figures.most_in_flight(run_of(3000, 2000)) == 15_000


def test_a_sink_finds_what_is_doubled_and_out_of_order(tmp_path) -> None:  # type: ignore[no-untyped-def]
    writer = PacedWriter(profile("steady"), 0, tmp_path)
    writer.look([Counted(0, 1, 0), Counted(0, 3, 200), Counted(0, 2, 100), Counted(0, 3, 200)])
    assert (writer.notes.doubled, writer.notes.disordered) == (1, 1)
