"""Hostile messages: what no process of a job would say is refused at each of its sockets, and the job goes on."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import msgspec
import zmq

from engine import control as c
from engine.report import Report
from engine.transport import Addresses
from tests.faults.strangers import MAGIC, as_member, as_said, attacker, await_refusals, channel_into_home, header
from tests.faults.wire import TCP, Victim, victim


def test_messages_that_are_none(job: Victim) -> None:
    """Over ipc by anybody who gets into the directory; over TCP by a process of the job that has gone mad."""
    noise = random.Random(8)
    garbage = [
        [b""],
        [b"", b""],
        [b"x"] * 500,
        [noise.randbytes(48), noise.randbytes(1000)],
        [header(job)[:20], b"\x90"],
        [header(job)],
        [header(job), b"", b""],
        [header(job, magic=MAGIC + 1), b"\x90"],
        *([noise.randbytes(noise.randrange(200)) for _ in range(noise.randrange(1, 4))] for _ in range(200)),
    ]
    for process, addresses in job.addresses.items():
        for address in (addresses.data, addresses.signals):
            with attacker(address, zmq.PUSH, as_member(job, process, 2)) as socket:
                for parts in garbage:
                    socket.send_multipart(parts)
    with attacker(job.control, zmq.DEALER, as_member(job, 0, 2)) as socket:
        for parts in garbage:
            socket.send_multipart(parts)
    await_refusals(job, 3 * len(garbage), "not a message")
    await_refusals(job, 3 * len(garbage), "not a signal")
    await_refusals(job, len(garbage), "not a word of a worker's")


def test_messages_that_would_be_some_but_for_one_lie(job: Victim) -> None:
    """The epoch is no secret over TCP, to a process that has gone mad; and suppose that it got out over ipc."""
    lies: list[tuple[str, dict[str, int]]] = [
        ("a stranger", {"epoch": 1}),
        ("a stranger", {"sender": 7}),
        ("an unknown message", {"channel": 1_000_000}),
        ("an unknown message", {"kind": 200}),
        ("an unknown message", {"records": 0}),
        ("an unknown message", {"kind": 3, "records": 9}),
        ("more than there is credit for", {"sequence": 2**64 - 1}),
    ]
    with attacker(job.addresses[0].data, zmq.PUSH, as_member(job, 0, 2)) as socket:
        for _, lie in lies:
            socket.send_multipart([header(job, **lie), b"\x91\x01"])
        socket.send_multipart([header(job, sequence=1), b"\x91\x01"])  # a double
    for reason, count in Counter(reason for reason, _ in lies).items():
        await_refusals(job, count, reason)


def lying_signals(epoch: int, outlet: int) -> list[tuple[str, list[object]]]:
    """Signals to the process that has `outlet`, which know the epoch and cannot be meant, and why they are refused."""
    lies: list[tuple[str, list[object]]] = [
        ("a stranger", [epoch, 7, 1, 1, 1, [], []]),
        ("a stranger", [epoch + 1, 2, 1, 1, 1, [], []]),
        ("a stranger", [-1] * 7),
        ("not a signal", [epoch, 2, 1, 1, 1]),
        ("not a signal", [epoch, 2, 2**63, 1, 1, [], []]),
        ("not a signal", [epoch, 2, 1, 1, 1, [[]], []]),
        ("not a signal", [epoch, 2, 1, 1, 1, [[outlet, *[0] * 6, -1]], []]),
        ("an impossible credit", [epoch, 2, 1, 1, 1, [[2**32 + 7, *[0] * 7]], []]),
        ("an unknown channel", [epoch, 2, 1, 1, 1, [], [2**40]]),
    ]
    for field in range(6):  # limit, released, window, bytes released, received, slots
        credit = [0] * 7
        credit[field] = 2**62
        lies.append(("an impossible credit", [epoch, 2, 1, 1, 1, [[outlet, *credit]], []]))
    return lies


def test_signals_that_lie(job: Victim) -> None:
    outlet = 1 - channel_into_home(job)  # of worker 1, to worker 2
    lies = lying_signals(job.job.attempt.part.worker.epoch, outlet)
    with attacker(job.addresses[1].signals, zmq.PUSH, as_member(job, 1, 2)) as socket:
        for _, lie in lies:
            socket.send(msgspec.msgpack.encode(lie))
    for reason, count in Counter(reason for reason, _ in lies).items():
        await_refusals(job, count, reason)


def test_words_to_the_job_by_strangers(job: Victim) -> None:
    nested = b"\x96\x01\xc4\x00\x01\x01\x00\x83\xa4type\xa5Hello\xa6python" + b"\x91" * 100_000
    no_words = [nested, c.encode(c.Close()), c.encode(c.Hello(1, "3.11", "0.1")), b""]
    words: list[c.FromWorker] = [
        c.Hello(1, "3.11", "0.1"),
        c.Beat(Report()),
        c.Ended(Report()),
        c.Drained(),
        c.Ready("", Addresses("tcp://127.0.0.1:1", "tcp://127.0.0.1:1")),
    ]
    with attacker(job.control, zmq.DEALER, as_member(job, 0, 2)) as socket:
        for word in no_words:
            socket.send(word)
        for worker in (1, 2, 99):
            for each in words:
                socket.send(as_said(worker, b"wrong", each))
    await_refusals(job, len(no_words), "not a word of a worker's")
    await_refusals(job, 3 * len(words), "the word of a stranger")


def test_a_process_cannot_speak_for_another(tmp_path: Path) -> None:
    with victim(tmp_path, TCP) as job:
        with attacker(job.addresses[0].data, zmq.PUSH, as_member(job, 0, 1)) as socket:
            socket.send_multipart([header(job), b"\x91\x01"])
            await_refusals(job, 1, "a stranger")
        with attacker(job.addresses[0].signals, zmq.PUSH, as_member(job, 0, 1)) as socket:
            socket.send(msgspec.msgpack.encode([job.job.attempt.part.worker.epoch, 2, 1, 1, 1, [], []]))
            await_refusals(job, 2, "a stranger")
        token = job.crew.supervision.members[2].token
        with attacker(job.control, zmq.DEALER, as_member(job, 0, 1)) as socket:
            socket.send(as_said(2, token, c.Hello(1, "3.11", "0.1")))
            await_refusals(job, 1, "the word of a stranger")
        job.goes_on()
        job.finish()
