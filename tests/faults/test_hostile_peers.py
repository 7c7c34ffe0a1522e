"""Hostile peers: whoever connects to a running job's sockets and is not of it gets nowhere, and the job goes on."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import zmq

from engine.keys import Keys, new_keys
from tests.faults.strangers import as_member, attacker, await_refusals, keys_of
from tests.faults.wire import TCP, Victim, plain_socket, victim

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01"  # how a ZeroMQ peer begins
NO_KEYS = GREETING + b"NULL".ljust(20, b"\0") + bytes(32)
STRANGER, BROKEN = "a stranger's connection", "a connection that broke off"


def test_bytes_that_are_no_zeromq_at_all(job: Victim) -> None:
    noise = random.Random(7)
    attacks = (b"GET / HTTP/1.1\r\nHost: headgate\r\n\r\n", noise.randbytes(4096), GREETING[:5], b"\xff" * 64)
    everything = [job.control, *job.data, *job.signals]
    for address in everything:
        for attack in attacks:
            with closing(plain_socket(address)) as stranger:
                stranger.sendall(attack)
    await_refusals(job, len(everything) * len(attacks))  # some look like an old version's peer, as which they go


def test_connections_that_say_nothing_or_half_of_it(job: Victim) -> None:
    silent = [plain_socket(address) for address in (job.control, *job.data, *job.signals) for _ in range(5)]
    for half in silent[::2]:
        half.sendall(NO_KEYS[:40])
    job.goes_on()
    for each in silent:
        each.close()
    await_refusals(job, len(silent), STRANGER)


def test_messages_that_are_too_long(job: Victim) -> None:
    """The library drops the connection before it takes memory for them."""
    for process, addresses in job.addresses.items():
        for address in (addresses.data, addresses.signals):
            before = job.refused(BROKEN)
            with attacker(address, zmq.PUSH, as_member(job, process, 2)) as socket:
                socket.set(zmq.LINGER, 0)
                socket.send(bytes(2**20 + 4096))
                await_refusals(job, before + 1, BROKEN)


def test_a_flood_while_records_flow(job: Victim) -> None:
    noise = random.Random(9).randbytes(100)
    with attacker(job.addresses[0].data, zmq.PUSH, as_member(job, 0, 2)) as socket:
        for _ in range(100):
            for _ in range(500):
                socket.send(noise)
            job.goes_on(1)
    await_refusals(job, 50_000, "not a message")
    assert len(job.job.metrics().refused) <= 2


def test_no_keys_and_wrong_keys(tmp_path: Path) -> None:
    strangers = new_keys([0, 1, 2])
    with victim(tmp_path, TCP) as job:
        real = keys_of(job, 0)
        assert real is not None

        everything = [(0, job.control, zmq.DEALER)]
        for process, addresses in job.addresses.items():
            everything += [(process, addresses.data, zmq.PUSH), (process, addresses.signals, zmq.PUSH)]
        for process, address, kind in everything:
            mine = Keys(strangers[1].secret, strangers[1].own, real.public)
            for dress in (
                lambda socket: None,
                lambda socket, process=process: strangers[1].reach(socket, process),
                lambda socket, process=process, mine=mine: mine.reach(socket, process),
            ):
                before = job.refused(STRANGER)
                with attacker(address, kind, dress) as socket:
                    socket.set(zmq.LINGER, 0)
                    socket.send(b"let me in")
                    await_refusals(job, before + 1, STRANGER)
        job.goes_on()
        job.finish()
