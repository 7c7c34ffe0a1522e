"""Hostile peers: whatever strangers send to any socket of a running job is refused and counted, and the job goes on."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from cext.channel import Channel
from cext.outlet import Outlet
from cext.window import Window
from engine import control as c
from engine.codec import Codec
from engine.keys import Keys, new_keys
from engine.report import Report
from engine.transport import Addresses
from tests.faults.conftest import eventually
from tests.faults.wire import TCP, Victim, plain_socket, victim

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01"  # how a ZeroMQ peer begins
NO_KEYS = GREETING + b"NULL".ljust(20, b"\0") + bytes(32)
STRANGER, BROKEN = "a stranger's connection", "a connection that broke off"
MAGIC = int.from_bytes(b"HGK1", "little")

Dress = Callable[[zmq.Socket[bytes]], object]


@pytest.fixture(params=["", TCP], ids=["ipc", "tcp"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victim]:
    """Each of its sockets is attacked; then it must end as if nothing had been."""
    with victim(tmp_path, request.param) as running:
        yield running
        running.goes_on()
        running.finish()


@contextmanager
def attacker(address: str, kind: int, dress: Dress = lambda socket: None) -> Iterator[zmq.Socket[bytes]]:
    """A socket that connects to `address`, which `dress` gives keys; what it sends gets there before it goes."""
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.set(zmq.LINGER, 20_000)
        socket.set(zmq.SNDHWM, 0)
        dress(socket)
        socket.connect(address)
        yield socket


def await_refusals(job: Victim, count: int, reason: str = "") -> None:
    """Wait until so much was refused, for any reason or this one."""
    eventually(lambda: job.refused(reason) >= count, f"{reason or 'anything'} was never refused {count} times")


def keys_of(job: Victim, process: int) -> Keys | None:
    return job.crew._places[process].keys


def as_member(job: Victim, target: int, member: int) -> Dress:
    """What a socket needs to reach process `target` with the keys of `member`; nothing where there are no keys."""
    keys = keys_of(job, member)
    return (lambda socket: None) if keys is None else lambda socket: keys.reach(socket, target)


def header(job: Victim, **fields: int) -> bytes:
    """The header of a message as the second worker sends them home, but for `fields`."""
    real = {"magic": MAGIC, "kind": 0, "format": 0, "sender": 2, "epoch": job.job._part.worker.epoch}
    real |= {"channel": channel_into_home(job), "records": 1, "sequence": 1}
    outlet = Outlet(0, full_channel(), Codec.of(int), 1, 1)
    message = outlet.next(1)
    assert message is not None
    return struct.pack("<IBBHQIIQ", *(real | fields).values()).ljust(len(message.header), b"\0")


def full_channel() -> Channel:
    channel = Channel(Window(0.1, 16, 16), 16)
    channel.push_rows([1] * 16)
    return channel


def channel_into_home(job: Victim) -> int:
    (inlets,) = job.job._part.worker.inlets.values()
    return inlets[0].number


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
    lies = lying_signals(job.job._part.worker.epoch, outlet)
    with attacker(job.addresses[1].signals, zmq.PUSH, as_member(job, 1, 2)) as socket:
        for _, lie in lies:
            socket.send(msgspec.msgpack.encode(lie))
    for reason, count in Counter(reason for reason, _ in lies).items():
        await_refusals(job, count, reason)


def as_said(worker: int, token: bytes, word: c.FromWorker) -> bytes:
    """`word`, as the worker whose token this is says it."""
    return c.encode(c.Envelope(worker, token, 1, 1, 0, word))


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


def test_a_process_cannot_speak_for_another(tmp_path: Path) -> None:
    with victim(tmp_path, TCP) as job:
        with attacker(job.addresses[0].data, zmq.PUSH, as_member(job, 0, 1)) as socket:
            socket.send_multipart([header(job), b"\x91\x01"])
            await_refusals(job, 1, "a stranger")
        with attacker(job.addresses[0].signals, zmq.PUSH, as_member(job, 0, 1)) as socket:
            socket.send(msgspec.msgpack.encode([job.job._part.worker.epoch, 2, 1, 1, 1, [], []]))
            await_refusals(job, 2, "a stranger")
        token = job.crew.supervision.members[2].token
        with attacker(job.control, zmq.DEALER, as_member(job, 0, 1)) as socket:
            socket.send(as_said(2, token, c.Hello(1, "3.11", "0.1")))
            await_refusals(job, 1, "the word of a stranger")
        job.goes_on()
        job.finish()
