"""Records that cannot go to another process: as with an operator that fails, what came before them gets through."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import collect, generate
from engine import Dataflow, DecodeError, EncodeError, JobResult, OperatorError, Settings, count
from tests.engine import remote
from tests.engine.helpers import ListSource

pytestmark = pytest.mark.timeout(80)


def failed(flow: Dataflow, processes: int | None = None) -> tuple[OperatorError, JobResult]:
    with pytest.raises(OperatorError) as error:
        flow.run(processes=processes)
    result = error.value.result
    assert result is not None
    assert (result.state, result.in_flight) == ("failed", 0)
    return error.value, result


def written(folder: Path) -> list[str]:
    return [line for path in folder.iterdir() for line in path.read_text().splitlines()]


def locks() -> list[Any]:
    return [remote.with_lock(i) for i in range(50)]


def test_a_record_that_cannot_be_sent_fails_its_operator_and_is_named() -> None:
    flow, got = Dataflow("stuck"), list[Any]()
    flow.source(generate(int, count=50)).map(remote.with_lock, name="lock").sink(collect(got), name="home")
    error, result = failed(flow, 2)
    assert str(error).startswith("operator 'lock' (test_crossing.py:")
    assert "gave what cannot go to 'home' (test_crossing.py:" in str(error)
    assert "a tuple, cannot be pickled: cannot pickle '_thread.lock' object; the record was (20, <unlocked" in str(
        error
    )
    assert error.hint is not None
    assert error.hint.startswith("send plain data to other processes")
    assert error.hint.endswith('on_error="skip" goes on without such records')
    assert (error.operator, error.record[:5]) == ("lock", "(20, ")  # as text, since it cannot come home itself
    assert isinstance(error.__cause__, EncodeError)
    assert got == list(range(20))
    assert result.records_read == result.records_written + result.dropped


def test_a_record_that_is_too_large_fails_its_operator_and_is_named() -> None:
    flow, got = Dataflow("too large", settings=Settings(max_record_bytes=100_000)), list[Any]()
    flow.source(generate(lambda i: bytes(10 ** (i % 6)), count=6)).map(lambda b: b, name="grow").sink(collect(got))
    error, _ = failed(flow, 2)
    assert "'grow'" in str(error)
    assert "TooLarge: a record has 100,0" in str(error)
    assert "bytes encoded, more than 100,000; the record was b'" in str(error)
    assert str(error.hint).startswith("larger records need a larger Settings.max_record_bytes")
    assert got == [bytes(10**i) for i in range(5)]


def test_what_sinks_promised_stays_true_of_a_stream_that_was_cut_short(tmp_path: Path) -> None:
    flow = Dataflow("promised")
    stream = flow.source(generate(int, count=50)).map(remote.with_lock).stage("far")
    stream.sink(remote.Written(tmp_path))
    stream.key_by().aggregate(all=count()).sink(remote.Written(tmp_path), name="counted")
    _, result = failed(flow)
    assert sorted(written(tmp_path)) == sorted([*map(str, range(20)), "abort", "abort"])
    assert result["counted"].records_in == 0


@pytest.mark.parametrize("blocking", [False, True])
def test_a_source_whose_record_cannot_be_sent_fails(tmp_path: Path, blocking: bool) -> None:
    flow = Dataflow("source")
    flow.source(ListSource(locks, blocking=blocking), name="read").stage("far").sink(remote.Written(tmp_path))
    error, _ = failed(flow)
    assert error.operator == "read"
    assert sorted(written(tmp_path)) == sorted([*map(str, range(20)), "abort"])


def test_a_record_that_cannot_be_sent_is_skipped_and_counted() -> None:
    flow, got = Dataflow("skip", on_error="skip"), list[Any]()
    flow.source(generate(int, count=50)).map(remote.with_lock, name="lock").sink(collect(got))
    result = flow.run(processes=2)
    assert (result.state, result["lock"].skipped, result.dropped, result.in_flight) == ("finished", 1, 0, 0)
    assert got == [i for i in range(50) if i != 20]


def test_large_records_are_skipped_too() -> None:
    flow, got = Dataflow("skip", on_error="skip", settings=Settings(max_record_bytes=10_000)), list[Any]()
    flow.source(generate(lambda i: bytes(20_000 * (i % 3 == 0) + i), count=30)).sink(collect(got))
    result = flow.run(processes=2)
    assert (result.skipped, result.records_written) == (10, 20)
    assert got == [bytes(i) for i in range(30) if i % 3]


def test_a_record_that_cannot_be_sent_is_no_dead_letter_and_fails() -> None:
    flow, got, bad = Dataflow("letters", on_error="dead-letter"), list[Any](), list[Any]()
    flow.source(generate(int, count=50)).map(remote.with_lock, name="lock").sink(collect(got))
    flow.dead_letters.sink(collect(bad), name="bad")
    error, _ = failed(flow, 2)
    assert (error.operator, got, bad) == ("lock", list(range(20)), [])


def test_a_record_that_cannot_be_read_fails_the_job_and_names_both_operators() -> None:
    flow, got = Dataflow("unread", settings=Settings(frame_records=10)), list[Any]()
    flow.source(generate(int, count=50)).map(remote.brittle, name="make").sink(collect(got), name="home")
    error, result = failed(flow, 2)
    assert str(error).startswith("operator 'make' (test_crossing.py:")
    assert "gave what 'home' (test_crossing.py:" in str(error)
    assert "in another process cannot read: DecodeError: records of " in str(error)
    assert "ValueError: it broke on its way" in str(error)
    assert error.hint == "a record's class must be found there too, and make each of its records again"
    assert (error.operator, error.record) == ("make", None)
    assert isinstance(error.__cause__, DecodeError)
    assert [each.number for each in got] == list(range(len(got)))
    assert len(got) <= 20
    assert result.records_read == result.records_written + result.dropped


def test_an_error_that_carries_a_huge_record_comes_home_as_what_it_is() -> None:
    flow, got = Dataflow("huge"), list[Any]()
    flow.source(generate(partial(remote.swollen, 70_000_000), count=1), name="read").sink(collect(got))
    error, _ = failed(flow, 2)
    assert (error.operator, got) == ("read", [])
    assert error.record.startswith("b'")
