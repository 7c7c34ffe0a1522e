"""Raw pyzmq PUSH/PULL with its usual high-water marks, and batches of 100 by msgspec."""

from __future__ import annotations

from pathlib import Path

import msgspec
import zmq

from benchmarks.slow_sink.ends import Counted
from benchmarks.slow_sink.job import OFFERED
from benchmarks.slow_sink.peers.processes import consume, produce, run_pair
from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.sampling import Run


def run(profile: Profile, offered: float = OFFERED) -> Run:
    """Run it."""
    return run_pair("PUSH/PULL", profile, push, pull, offered=offered)


def push(profile: Profile, folder: Path, offered: float) -> None:
    """The source's process."""
    encode = msgspec.msgpack.Encoder().encode
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(_address(folder))
        produce(profile, folder, offered, lambda records: socket.send(encode(records)))
        socket.send(b"")


def pull(profile: Profile, folder: Path, offered: float) -> None:
    """The sink's process."""
    decode = msgspec.msgpack.Decoder(list[Counted]).decode
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.bind(_address(folder))
        consume(profile, folder, lambda: decode(payload) if (payload := socket.recv()) else None)


def _address(folder: Path) -> str:
    return f"ipc://{folder}/socket"
