"""Transport: the sockets by which a job's processes reach each other.

On one machine they are files in a directory that only the user can enter. Over TCP every one of them is encrypted, and
open only to the keys that were made for the job.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq

from cext.link import Peer
from cext.links import Links, Wire
from engine import socket_folder
from engine.durations import Duration, nanoseconds
from engine.errors import ConnectorError, HeadgateError, JobError
from engine.keys import Doorman, Keys, new_keys
from engine.layout import HOME

_LONGEST_PATH = 107
"""What the system allows a socket's path to have, bytes."""

_SLACK = 1024
"""What a message may have beside its longest record, bytes."""

LONGEST_WORD = 64 * 2**20
"""What a message on the control socket may have, bytes."""

_UNANSWERED_MS = 5000
"""After which a TCP connection that acknowledges nothing is made anew: the network may have forgotten it."""

_QUIET_S = 2
"""After which the kernel asks whether the other end of a TCP connection that carries nothing is still there."""

_CONNECT_MS = 2000
"""After which an attempt to connect is given up for the next one: the kernel's own come at ever longer intervals."""

_HANDSHAKE_MS = 10_000
"""How long a connection may be open while one side has not said who it is."""

_LIFE = zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_USED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH

_encode_signal = msgspec.msgpack.Encoder().encode
_decode_signal = msgspec.msgpack.Decoder().decode


class Addresses(msgspec.Struct, frozen=True):
    """Where a process receives the records and the signals of the others."""

    data: str
    signals: str


class Place(msgspec.Struct, frozen=True):
    """Where a process listens: in `directory`, or at the address `host` of its machine, where `keys` open."""

    directory: str = ""
    host: str = ""
    keys: Keys | None = None

    def bind(self, socket: zmq.Socket[Any], name: str) -> str:
        """Have `socket` listen, and say where."""
        if self.keys is not None:
            _over_tcp(socket, self.host)
            self.keys.serve(socket)
            host = f"[{self.host}]" if ":" in self.host else self.host
            address = f"tcp://{host}:*"
        else:
            _check(self.directory)
            address = self.file(name)
        socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise ConnectorError(
                f"no socket could be made at {address}: {error}",
                hint="Settings.listen is an address of this machine" if self.host else None,
            ) from error
        return str(socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def file(self, name: str) -> str:
        """The address that `bind` gives to `name` where sockets are files."""
        path = Path(self.directory) / name
        if len(bytes(path)) > _LONGEST_PATH:
            raise HeadgateError(
                f"the path of a socket has at most {_LONGEST_PATH} bytes, but {path} is longer",
                hint="set TMPDIR to a directory with a shorter path",
            )
        return f"ipc://{path}"

    def connect(self, socket: zmq.Socket[Any], process: int, address: str) -> None:
        """Have `socket` reach `process`, who listens at `address`."""
        if self.keys is not None:
            _over_tcp(socket, address.rpartition(":")[0].removeprefix("tcp:"))
            self.keys.reach(socket, process)
        socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.set(zmq.CONNECT_TIMEOUT, _CONNECT_MS)
        socket.set(zmq.RECONNECT_IVL, 20)
        socket.set(zmq.RECONNECT_IVL_MAX, 1000)
        socket.connect(address)


def places(hosts: dict[int, str]) -> dict[int, Place]:
    """Where each process of a job listens: `hosts` are their addresses, each "" where all are on one machine."""
    if not any(hosts.values()):
        directory = socket_folder.new_name(tempfile.gettempdir())
        return {process: Place(directory) for process in hosts}
    keys = new_keys(hosts)
    return {process: Place(host=host, keys=keys[process]) for process, host in hosts.items()}


class Transport:
    """The sockets on which process `number` listens at `place`; whoever has it calls `attend` now and then.

    Messages longer than `max_message` bytes are refused by the library, which drops the connection they came on.
    What is refused is counted in `refused`, by reason.
    """

    def __init__(self, place: Place, number: int, max_message: int, refused: dict[str, int]) -> None:
        self._place, self._number, self.refused = place, number, refused
        self._context = zmq.Context()
        # Before any socket listens: a connection lingers as its listener did then, and one that is lost just as its
        # socket is closed would wait for ever to send what it has left.
        self._context.setsockopt(zmq.LINGER, 0)
        self._doorman = None if place.keys is None else Doorman(self._context, place.keys)
        self._watched: dict[str, zmq.Socket[bytes]] = {}
        """What tells how connections to each socket begin, fail and end."""
        self._closing: Counter[str] = Counter()
        """Of each of these, how many connections of strangers have not ended yet."""
        self._open: Counter[str] = Counter()
        """And how many others."""
        try:
            self._data, data = self._listening(zmq.PULL, "data", max_message + _SLACK)
            self._signals, signals = self._listening(zmq.PULL, "signals", max_message + _SLACK)
        except BaseException:
            self._context.destroy()
            raise
        self.addresses = Addresses(data, signals)
        self.is_needed = True
        """Until all has come that will ever come: then connections may end."""

    def control(self) -> tuple[zmq.Socket[bytes], str]:
        """The socket on which the job listens to its workers, and its address."""
        socket, address = self._listening(zmq.ROUTER, "control", LONGEST_WORD)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        return socket, address

    def connect(self, peers: Sequence[Peer], addresses: dict[int, Addresses], silence: Duration) -> Links:
        """The links to `peers`, who receive at `addresses`; one without a connection for `silence` fails the job."""
        patience = nanoseconds(silence)

        def out_of_reach(peer: int) -> JobError:
            return JobError(
                f"{_name(self._number)} has had no connection to {_name(peer)}, which listens at "
                f"{addresses[peer].data}, for {patience / 1e9:g} s",
                hint="a job outlives what cuts its network for less than Settings.silence",
            )

        wires = [self._wire(peer, addresses[peer.number]) for peer in peers]
        codec, has_keys = (_encode_signal, _decode_signal), self._place.keys is not None
        return Links(wires, self._data, self._signals, *codec, self.refused, has_keys, patience, out_of_reach)

    @property
    def speakers(self) -> int:
        """How many connections to `control` there were when `attend` was called; what came over others that have ended
        can be received."""
        return self._open["control"]

    @property
    def door(self) -> list[tuple[Any, int]]:
        """What to poll for `attend`."""
        doorman = [] if self._doorman is None else [self._doorman.socket]
        return [(socket, zmq.POLLIN) for socket in (*doorman, *self._watched.values())]

    def attend(self) -> None:
        """Let in who may come in, and count who may not."""
        if self._doorman is not None:
            self._doorman.admit()
        for name, events in self._watched.items():
            while events.poll(0):
                self._happened(name, _event(events))

    def _happened(self, name: str, event: int) -> None:
        if event & _FAILED:
            self._closing[name] += 1
            self.refuse("a stranger's connection")
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._open[name] += 1
        elif self._closing[name]:
            self._closing[name] -= 1
        else:
            self._open[name] -= 1
            if self.is_needed:
                self.refuse("a connection that broke off")

    def refuse(self, reason: str) -> None:
        """Count what was refused."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def close(self) -> None:
        """Let go of everything; what has not been sent is lost, and the files are gone."""
        self._context.destroy()
        for address in (self.addresses.data, self.addresses.signals):
            if address.startswith("ipc://"):
                Path(address.removeprefix("ipc://")).unlink(missing_ok=True)

    def _listening(self, kind: int, name: str, longest: int) -> tuple[zmq.Socket[bytes], str]:
        socket = self._context.socket(kind)
        socket.set(zmq.RCVHWM, 0)  # credit bounds what comes
        socket.set(zmq.MAXMSGSIZE, longest)
        self._watched[name] = socket.get_monitor_socket(_FAILED | _USED)
        return socket, self._place.bind(socket, name if name == "control" else f"{self._number}-{name}")

    def _wire(self, peer: Peer, to: Addresses) -> Wire:
        data, signals = (self._context.socket(zmq.PUSH) for _ in range(2))
        for socket in (data, signals):
            socket.set(zmq.SNDHWM, 0)
        events = data.get_monitor_socket(_LIFE)
        self._place.connect(data, peer.number, to.data)
        self._place.connect(signals, peer.number, to.signals)
        return Wire(peer, data, signals, events)


def connections_made(socket: zmq.Socket[Any]) -> zmq.Socket[bytes]:
    """What has a message for each connection of `socket` that has become usable."""
    return socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)


def _event(events: zmq.Socket[bytes]) -> int:
    """The next one; not by `zmq.utils.monitor`, which imports asyncio: a tenth of what a worker takes to start."""
    number, _ = events.recv_multipart(zmq.NOBLOCK)
    return int.from_bytes(number[:2], sys.byteorder)


def _name(process: int) -> str:
    return "home" if process == HOME else f"worker-{process}"


def speaker(frame: zmq.Frame) -> int | None:
    """The process whose key the connection has on which `frame` came; None where there are no keys."""
    try:
        return int(frame.get("User-Id"))
    except (zmq.ZMQError, ValueError):
        return None


def _over_tcp(socket: zmq.Socket[Any], host: str) -> None:
    socket.set(zmq.IPV6, int(":" in host))
    # Not the library's heartbeats: on PULL they look like messages.
    socket.set(zmq.TCP_MAXRT, _UNANSWERED_MS)
    for option, value in ((zmq.TCP_KEEPALIVE, 1), (zmq.TCP_KEEPALIVE_IDLE, _QUIET_S), (zmq.TCP_KEEPALIVE_INTVL, 1)):
        socket.set(option, value)


def _check(directory: str) -> None:
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise HeadgateError(
            f"the sockets of a job lie in a directory that only its user can enter, but {directory} is "
            f"{stat.filemode(found.st_mode)} and belongs to user {found.st_uid}",
            hint="set TMPDIR to a directory in which nobody else can write",
        )
