"""A running job whose sockets are known, for tests that tamper with them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zmq

from connectors.memory import collect
from engine import Dataflow, JobResult, Settings
from engine.control import Start
from engine.crew import Crew
from engine.job import Job
from engine.transport import Addresses
from tests.faults import far
from tests.faults.conftest import eventually

TCP = "127.0.0.1"

Detour = Callable[[str], str]
"""From the address of a socket to one that leads there by another way."""


@dataclass
class Victim:
    """A running job that copies 0, 1, 2 and so on from one process to another one and then home."""

    job: Job
    got: list[int]

    @property
    def crew(self) -> Crew:
        assert self.job.attempt.crew is not None
        return self.job.attempt.crew

    @property
    def addresses(self) -> dict[int, Addresses]:
        """Where each of its processes listens."""
        return self.crew.supervision._addresses

    @property
    def data(self) -> list[str]:
        return [each.data for each in self.addresses.values()]

    @property
    def signals(self) -> list[str]:
        return [each.signals for each in self.addresses.values()]

    @property
    def control(self) -> str:
        assert self.crew._switchboard is not None
        return self.crew._switchboard._socket.get_string(zmq.LAST_ENDPOINT)

    def refused(self, reason: str = "") -> int:
        """How much was refused so far, for any reason or this one."""
        counts = self.job.metrics().refused
        return counts.get(reason, 0) if reason else sum(counts.values())

    def goes_on(self, records: int = 10_000) -> None:
        """Wait until so many more have arrived: more than there may have been on their way."""
        enough = len(self.got) + records
        eventually(lambda: len(self.got) > enough or self.job.state != "running", "no more records came")
        if self.job.state != "running":
            self.job.wait()

    def finish(self) -> JobResult:
        """End it, and look at what it has done."""
        self.job.stop()
        result = self.job.wait(far.SECONDS)
        assert result.state == "stopped"
        assert self.got == list(range(len(self.got)))
        assert result.records_written == result.records_read == len(self.got)
        assert result.most_in_flight <= result.bound
        return result


def addresses_of(job: Job) -> list[str]:
    """Where its processes listen: for words of control first, then for records and signals, home before workers."""
    it = Victim(job, [])
    return [it.control, *(each for pair in it.addresses.values() for each in (pair.data, pair.signals))]


@contextmanager
def victim(tmp_path: Path, listen: str = "", *, at_home: bool = False, **settings: Any) -> Iterator[Victim]:
    """A job that counts in one process (`at_home`: in this one), copies in another one, and collects at home."""
    got: list[int] = []
    flow = Dataflow("victim", settings=Settings(listen=listen, **{"max_record_bytes": 2**20, **settings}))
    flow.source(far.Numbers(tmp_path, at_home=at_home)).stage("there").map(abs).sink(collect(got))
    job = flow.start()
    try:
        eventually(lambda: got or job.state != "running", "the first record never came")
        if job.state != "running":
            job.wait()
        yield Victim(job, got)
    finally:
        job.cancel()
        job.join(far.SECONDS)


@contextmanager
def detours(control: Detour = str, links: Detour = str) -> Iterator[None]:
    """The processes of jobs reach each other by what these make of their addresses."""
    start_workers = Crew._start_workers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Crew, "_start_workers", lambda crew, address: start_workers(crew, control(address)))
        patch.setattr("engine.supervision.Start", lambda addresses: Start(_detoured(addresses, links)))
        yield


def _detoured(addresses: dict[int, Addresses], links: Detour) -> dict[int, Addresses]:
    return {number: Addresses(links(each.data), links(each.signals)) for number, each in addresses.items()}


def plain_socket(address: str) -> socket.socket:
    """A connection to a ZeroMQ address without any ZeroMQ."""
    scheme, where = address.split("://")
    if scheme == "tcp":
        host, port = where.rsplit(":", 1)
        return socket.create_connection((host, int(port)), far.SECONDS)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(far.SECONDS)
    made.connect(where)
    return made
