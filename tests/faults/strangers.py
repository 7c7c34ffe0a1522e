"""What the tests of hostile peers share: how to get at the sockets of a running job, and what to send there."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zmq

from engine import control as c
from engine.keys import Keys
from tests.faults.conftest import eventually
from tests.faults.wire import Victim

MAGIC = int.from_bytes(b"HGK1", "little")

Dress = Callable[[zmq.Socket[bytes]], object]


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
    """A message's header (cext/message.pxd) as the second worker sends it home, but for `fields`."""
    real = {"magic": MAGIC, "kind": 0, "format": 0, "sender": 2, "epoch": job.job.attempt.part.worker.epoch}
    real |= {"channel": channel_into_home(job), "records": 1, "sequence": 1, "turn": 0, "value": 0, "born": 0}
    return struct.pack("<IBBHQIIQIqq", *(real | fields).values())


def channel_into_home(job: Victim) -> int:
    (inlets,) = job.job.attempt.part.worker.inlets.values()
    return inlets[0].number


def as_said(worker: int, token: bytes, word: c.FromWorker) -> bytes:
    """`word`, as the worker whose token this is says it."""
    return c.encode(c.Envelope(worker, token, 1, 1, 0, word))
