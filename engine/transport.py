"""Transport: the sockets by which a job's processes reach each other, in a directory that only the user can enter."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from cext.link import Peer
from cext.links import Links, Wire
from engine.errors import ConnectorError, HeadgateError

_LONGEST_PATH = 107
"""What the system allows a socket's path to have, bytes."""

_SLACK = 1024
"""What a message may have beside its longest record, bytes."""

_Credit = tuple[int, int, int, int, int, int, bool]
_Signal = tuple[int, int, int, int, int, list[_Credit], list[tuple[int, int, bool]]]

_encode_signal = msgspec.msgpack.Encoder().encode
_decode_signal = msgspec.msgpack.Decoder(_Signal).decode


class Addresses(msgspec.Struct, frozen=True):
    """Where a process receives the records and the signals of the others."""

    data: str
    signals: str


def new_epoch() -> int:
    """A job's incarnation: a number that strangers cannot guess."""
    return secrets.randbits(63)


class Transport:
    """The sockets of process `number`, their files in `directory`.

    Messages longer than `max_message` bytes are refused by the library, which drops the connection they came on.
    """

    def __init__(self, directory: Path, number: int, max_message: int) -> None:
        self.addresses = Addresses(*(_address(directory, f"{number}-{what}") for what in ("data", "signals")))
        self._max_message = max_message + _SLACK
        self._context = zmq.Context()
        try:
            self._data = self._receiving(self.addresses.data)
            self._signals = self._receiving(self.addresses.signals)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def connect(
        self, peers: Sequence[Peer], addresses: dict[int, Addresses], blame: Callable[[int, Exception], BaseException]
    ) -> Links:
        """The links to `peers`, who receive at `addresses`."""
        wires = [self._wire(peer, addresses[peer.number]) for peer in peers]
        return Links(wires, self._data, self._signals, _encode_signal, _decode_signal, blame)

    def close(self) -> None:
        """Let go of everything; what has not been sent is lost, and the files are gone."""
        self._context.destroy(linger=0)
        for address in (self.addresses.data, self.addresses.signals):
            Path(address.removeprefix("ipc://")).unlink(missing_ok=True)

    def _receiving(self, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PULL)
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.MAXMSGSIZE, self._max_message)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise ConnectorError(f"no socket could be made at {address}: {error}") from error
        return socket

    def _sending(self, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PUSH)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RECONNECT_IVL, 20)
        socket.set(zmq.RECONNECT_IVL_MAX, 1000)
        return socket

    def _wire(self, peer: Peer, to: Addresses) -> Wire:
        data, signals = self._sending(to.data), self._sending(to.signals)
        reset = _Resets(data)
        data.connect(to.data)
        signals.connect(to.signals)
        return Wire(peer, data, signals, reset)


class _Resets:
    """Called: whether the connection of `socket` has been lost and is back since the last call."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._events = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._connections = 0

    def __call__(self) -> bool:
        before = self._connections
        while self._events.poll(0):
            recv_monitor_message(self._events, zmq.NOBLOCK)
            self._connections += 1
        return self._connections > max(before, 1)


def _address(directory: Path, name: str) -> str:
    path = directory / name
    if len(bytes(path)) > _LONGEST_PATH:
        raise HeadgateError(
            f"the path of a socket has at most {_LONGEST_PATH} bytes, but {path} is longer",
            hint="set TMPDIR to a directory with a shorter path",
        )
    return f"ipc://{path}"


def blame_nobody(channel: int, error: Exception) -> Any:
    """The error as it is."""
    return error
