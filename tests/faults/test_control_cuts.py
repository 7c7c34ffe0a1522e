"""Control cuts: whenever the connection between a job and a worker breaks, no word is lost and none is heard twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.memory import collect
from engine import Dataflow, JobCancelled, Settings, WorkerLost
from engine.job import Job
from tests.faults import far
from tests.faults.conftest import RUNS, SEED, eventually
from tests.faults.proxy import INWARD, OUTWARD, Proxy
from tests.faults.wire import TCP, detours

pytestmark = pytest.mark.timeout(80)

COUNT = 2000


@contextmanager
def controlled_through(proxies: list[Proxy], budgets: tuple[int, ...] = (), direction: int = INWARD) -> Iterator[None]:
    """Workers reach their job through a proxy that cuts their connections after `budgets`."""

    def detour(address: str) -> str:
        proxies.append(Proxy(address, budgets=budgets, direction=direction))
        return proxies[-1].address

    try:
        with detours(control=detour):
            yield
    finally:
        for each in proxies:
            each.close()


def counted(folder: Path, count: int | None, settings: Settings) -> tuple[Dataflow, list[int], far.Gate]:
    gate, got = far.Gate(folder / "gate"), list[int]()
    flow = Dataflow("counted", settings=settings)
    stream = flow.source(far.Numbers(folder, count)).map(far.SlowToLoad(gate)).stage("there").map(abs)
    stream.sink(collect(got))
    return flow, got, gate


@pytest.mark.parametrize("direction", [INWARD, OUTWARD], ids=["from-workers", "to-workers"])
@pytest.mark.parametrize("run", range(RUNS))
def test_a_connection_that_breaks_after_any_number_of_bytes_loses_no_word(
    tmp_path: Path, run: int, direction: int
) -> None:
    """Of a whole job, which is a few thousand bytes long; the first ones are those of the handshake."""
    dice = random.Random(f"{SEED} {run}")
    budgets = tuple(dice.randrange(1, 6000) for _ in range(4))
    proxies: list[Proxy] = []
    flow, got, gate = counted(tmp_path, COUNT, Settings(listen=TCP))
    gate.open()
    with controlled_through(proxies, budgets, direction):
        result = flow.run()
    said = f"seed {SEED}, run {run}: connections cut after {budgets}"
    assert (result.state, result.records_read, result.records_written) == ("finished", COUNT, COUNT), said
    assert got == list(range(COUNT)), said
    assert result.in_flight == result.dropped == 0, said


def running(flow: Dataflow, got: list[int], gate: far.Gate) -> Job:
    gate.open()
    job = flow.start()
    eventually(lambda: got or job.state != "running", "nothing came")
    return job


def test_words_said_while_workers_load_reach_them(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    flow, got, gate = counted(tmp_path, COUNT, Settings(listen=TCP))
    with controlled_through(proxies), flow.start() as job:
        eventually(lambda: len(gate.waiting) == 2, "workers never began to load")
        proxies[0].leave()
        gate.open()
        assert not job.join(1), "nobody is ready as far as the job knows"
        proxies[0].come_back()
        assert job.wait(30).state == "finished"
    assert got == list(range(COUNT))


def test_a_stop_said_while_workers_are_away_reaches_them(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    flow, got, gate = counted(tmp_path, None, Settings(listen=TCP))
    with controlled_through(proxies), running(flow, got, gate) as job:
        proxies[0].leave()
        job.stop()
        assert not job.join(1)
        proxies[0].come_back()
        result = job.wait(30)
    assert result.state == "stopped"
    assert result.records_read == result.records_written == len(got)


def test_the_last_words_of_workers_that_are_away_reach_the_job(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    flow, got, gate = counted(tmp_path, COUNT * 100, Settings(listen=TCP))
    with controlled_through(proxies), running(flow, got, gate) as job:
        proxies[0].leave()
        eventually(lambda: len(got) == COUNT * 100, "records do not need that connection")
        assert job.state == "running"
        proxies[0].come_back()
        result = job.wait(30)
    assert (result.state, result.records_read) == ("finished", len(got))


def test_a_job_is_cancelled_while_workers_are_away(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    flow, got, gate = counted(tmp_path, None, Settings(listen=TCP))
    with controlled_through(proxies), running(flow, got, gate) as job:
        proxies[0].leave()
        job.cancel()
        proxies[0].come_back()
        with pytest.raises(JobCancelled, match=r"job 'counted' was cancelled$"):
            job.wait(30)


def test_a_worker_that_stays_away_longer_than_the_silence_that_is_set_is_lost(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    flow, got, gate = counted(tmp_path, None, Settings(listen=TCP, silence="2s"))
    with controlled_through(proxies), running(flow, got, gate) as job:
        proxies[0].leave()
        with pytest.raises(WorkerLost, match=r"worker-\d said nothing for 2 s"):
            job.wait(30)
