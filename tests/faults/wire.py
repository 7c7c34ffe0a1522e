"""A running job whose sockets are known, for tests that tamper with them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.memory import collect
from engine import Dataflow, Settings
from engine import control as c
from engine.crew import Crew
from engine.job import Job
from engine.supervision import Supervision
from engine.transport import Addresses, Transport
from tests.faults.counting import Counting, double

PATIENCE = 60.0

Detour = Callable[[str], str]
"""From the address of a socket to one that leads there by another way."""


def wait_until(true: Callable[[], object], what: str) -> None:
    """Look again and again; fail when it takes longer than anything should."""
    pause, until = threading.Event(), time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, f"waited in vain until {what}"
        pause.wait(0.01)


@dataclass
class Victim:
    """A running job, and where its processes listen."""

    job: Job
    got: list[int]
    end: Path
    control: str
    addresses: dict[int, Addresses]

    @property
    def data(self) -> list[str]:
        return [each.data for each in self.addresses.values()]

    @property
    def signals(self) -> list[str]:
        return [each.signals for each in self.addresses.values()]

    @property
    def crew(self) -> Crew:
        assert self.job._crew is not None
        return self.job._crew

    def refused(self, reason: str = "") -> int:
        """How much was refused so far, for any reason or this one."""
        counts = self.job.metrics().refused
        return counts.get(reason, 0) if reason else sum(counts.values())

    def goes_on(self, records: int = 10_000) -> None:
        """Wait until so many more have arrived: more than there may have been on their way."""
        enough = len(self.got) + records
        wait_until(lambda: len(self.got) > enough or self.job.state != "running", "more records came")
        assert self.job.state == "running"

    def finish(self) -> None:
        """End it, and look at what it has done."""
        self.end.touch()
        result = self.job.wait(PATIENCE)
        assert result.state == "finished"
        assert self.got == list(range(0, 2 * len(self.got), 2))
        assert result.records_written == result.records_read == len(self.got)
        assert result.most_in_flight <= result.bound


@contextmanager
def victim(
    tmp_path: Path, listen: str = "", *, at_home: bool = False, detour: Detour = str, **settings: Any
) -> Iterator[Victim]:
    """A job that counts in one process (`at_home`: in this one), doubles in another one, and collects at home.

    Its processes reach each other by what `detour` makes of their addresses.
    """
    got: list[int] = []
    end = tmp_path / "end"
    addresses: dict[int, Addresses] = {}
    control: list[str] = []
    flow = Dataflow("victim", settings=Settings(listen=listen, **{"max_record_bytes": 2**20, **settings}))
    flow.source(Counting(end, at_home=at_home)).stage("there").map(double).sink(collect(got))
    with pytest.MonkeyPatch.context() as patch:
        _listen_in(patch, addresses, control, detour)
        job = flow.start()
        try:
            wait_until(lambda: got or job.state != "running", "the first record came")
            if job.state != "running":
                job.wait()
            yield Victim(job, got, end, control[0], addresses)
        finally:
            end.touch()
            job.cancel()
            job.join(PATIENCE)


def _listen_in(patch: pytest.MonkeyPatch, known: dict[int, Addresses], control: list[str], detour: Detour) -> None:
    said, home_ready, listen = Supervision.said, Supervision.home_ready, Transport.control

    def note(process: int, addresses: Addresses) -> Addresses:
        known[process] = addresses
        return Addresses(detour(addresses.data), detour(addresses.signals))

    def hear(self: Supervision, worker: int, message: c.FromWorker, now: float) -> Any:
        if isinstance(message, c.Ready):
            message = msgspec.structs.replace(message, addresses=note(worker, message.addresses))
        return said(self, worker, message, now)

    def ready(self: Supervision, addresses: Addresses, now: float) -> Any:
        return home_ready(self, note(0, addresses), now)

    def open_control(self: Transport) -> Any:
        opened, address = listen(self)
        control.append(address)
        return opened, address

    patch.setattr(Supervision, "said", hear)
    patch.setattr(Supervision, "home_ready", ready)
    patch.setattr(Transport, "control", open_control)


def plain_socket(address: str) -> socket.socket:
    """A connection to a ZeroMQ address without any ZeroMQ."""
    scheme, where = address.split("://")
    if scheme == "tcp":
        host, port = where.rsplit(":", 1)
        return socket.create_connection((host, int(port)), PATIENCE)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(PATIENCE)
    made.connect(where)
    return made
