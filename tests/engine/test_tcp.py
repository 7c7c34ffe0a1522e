"""Jobs whose processes reach each other over TCP: encrypted, open to nobody else; and strangers at every door."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from connectors.memory import collect, generate
from engine import Dataflow, Job, Settings

RECORDS = 3000


def slow_job(settings: Settings) -> tuple[Job, list[int]]:
    """A job of two workers that takes a second or so, and where its records arrive."""
    flow = Dataflow("attacked", settings=settings)
    got: list[int] = []
    stream = flow.source(generate(int, rate=RECORDS, count=RECORDS)).stage("far").map(abs)
    stream.sink(collect(got))
    return flow.start(), got


def running(job: Job) -> Job:
    """Once records flow."""
    until = threading.Event()
    for _ in range(3000):
        if job.metrics().records_written > 0:
            return job
        until.wait(0.01)
    raise AssertionError(f"no record arrived: {job.metrics()}")


def finished(job: Job, got: list[int]) -> dict[str, int]:
    """What was refused, once the job has ended as if nobody had been there."""
    result = job.wait(60)
    assert (result.state, sorted(got)) == ("finished", list(range(RECORDS)))
    return result.refused


def ports_of(job: Job) -> list[int]:
    """The ports on which the processes of a job listen for records, signals and words of control."""
    assert job._crew is not None
    known = job._crew.supervision._addresses.values()
    control = job._crew._socket.get_string(zmq.LAST_ENDPOINT)
    addresses = [control, *(each for pair in known for each in (pair.data, pair.signals))]
    return [int(address.rpartition(":")[2]) for address in addresses]


def test_a_job_over_tcp_gives_what_it_gives_over_files() -> None:
    flow = Dataflow("tcp", settings=Settings(listen="127.0.0.1"))
    got: list[int] = []
    flow.source(generate(int, count=5000)).key_by(abs).map(abs).sink(collect(got))
    result = flow.run(processes=2)
    assert sorted(got) == list(range(5000))
    assert (result.state, result.refused) == ("finished", {})


@pytest.fixture
def dice() -> random.Random:
    return random.Random(20)


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as made:
        yield made


def test_plain_bytes_at_every_port_are_refused_and_the_job_goes_on(dice: random.Random) -> None:
    job, got = slow_job(Settings(listen="127.0.0.1"))
    ports = ports_of(running(job))
    assert len(set(ports)) == 7  # control at home, data and signals everywhere
    for port in ports:
        for size in (0, 1, 64, 5000):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
                stranger.sendall(dice.randbytes(size))
    finished(job, got)


def test_a_peer_without_a_key_or_with_a_wrong_one_gets_nowhere(context: zmq.Context[Any]) -> None:
    job, got = slow_job(Settings(listen="127.0.0.1"))
    strangers = []
    for port in ports_of(running(job)):
        for has_key in (False, True):
            stranger = context.socket(zmq.PUSH)
            stranger.set(zmq.LINGER, 0)
            if has_key:
                public, secret = zmq.curve_keypair()
                stranger.set(zmq.CURVE_PUBLICKEY, public)
                stranger.set(zmq.CURVE_SECRETKEY, secret)
                stranger.set(zmq.CURVE_SERVERKEY, zmq.curve_keypair()[0])
            stranger.connect(f"tcp://127.0.0.1:{port}")
            stranger.send(b"let me in")
            strangers.append(stranger)
    refused = finished(job, got)
    for stranger in strangers:
        stranger.close()
    assert sum(refused.values()) > 0


def test_garbage_in_the_jobs_own_directory_is_refused_and_counted(
    dice: random.Random, context: zmq.Context[Any]
) -> None:
    job, got = slow_job(Settings())
    assert running(job)._crew is not None
    assert job._crew is not None
    directory = Path(job._crew._socket.get_string(zmq.LAST_ENDPOINT).removeprefix("ipc://")).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    files = [each for each in directory.iterdir() if each.name != "control"]
    assert len(files) == 6
    for path in files:
        stranger = context.socket(zmq.PUSH)
        stranger.connect(f"ipc://{path}")
        header = bytearray(dice.randbytes(60))
        for parts in ([b""], [b"", b""], [dice.randbytes(60), b"x"], [bytes(header)] * 5, [b"\x92\x00\x01"], [b"\xc0"]):
            stranger.send_multipart(parts)
        stranger.close(linger=1000)
    refused = finished(job, got)
    assert sum(refused.values()) >= 3 * len(files)
