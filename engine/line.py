"""Line: a worker's connection to its job, on which no word is lost however often it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import zmq

from engine import control
from engine.control import Beat, Bootstrap, Envelope, FromWorker, ToWorker
from engine.conversation import REPLACEABLE, Conversation
from engine.layout import HOME
from engine.transport import connections_made


class Line:
    """A worker's line to its job; one thread uses it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._words: Conversation[FromWorker] = Conversation()
        self._connection = self._known = 0
        """How many connections there were; the last of them of which the job was told."""
        self._socket = context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.IMMEDIATE, 1)  # what is old news by the time of the next connection is not kept for it
        self._made = connections_made(self._socket)
        bootstrap.place.connect(self._socket, HOME, bootstrap.address)

    @property
    def awaited(self) -> list[tuple[Any, int]]:
        """What to poll for `hear`."""
        return [(self._socket, zmq.POLLIN), (self._made, zmq.POLLIN)]

    @property
    def is_received(self) -> bool:
        """Whether the job has all that was said."""
        return self._words.is_received

    def say(self, word: FromWorker) -> None:
        """Say it until the job has it; a Beat only if there is a connection, as the next one says all."""
        if isinstance(word, Beat):
            self._send(REPLACEABLE, word)
        else:
            self._words.say(word)
            self._words.send(self._send)

    def hear(self) -> Iterator[ToWorker]:
        """What the job has said since."""
        self._reconnect()
        self._words.send(self._send)
        while self._socket.poll(0):
            envelope = control.decode_to_worker(self._socket.recv())
            is_next = self._words.receive(envelope.sequence, envelope.received)
            if envelope.word is not None:
                self._send(REPLACEABLE)
                if is_next:
                    yield envelope.word

    def close(self) -> None:
        """Let go of it."""
        self._socket.disable_monitor()
        self._made.close(linger=0)
        self._socket.close()

    def _reconnect(self) -> None:
        before = self._connection
        while self._made.poll(0):
            self._made.recv_multipart()
            self._connection += 1
        if self._connection > before:
            self._words.reconnected()
        if self._connection > self._known and self._send(REPLACEABLE):  # though nothing is to be said
            self._known = self._connection

    def _send(self, sequence: int, word: FromWorker | None = None) -> bool:
        """Hand it to the connection; False if there is none."""
        mine = self._bootstrap
        envelope = Envelope(mine.worker, mine.token, self._connection, sequence, self._words.received, word)
        return self._connection > 0 and handed_over(self._socket, [control.encode(envelope)])


def handed_over(socket: zmq.Socket[bytes], parts: list[bytes]) -> bool:
    """Whether `socket` took them; not where the connection is gone or full, which its owner learns otherwise."""
    try:
        socket.send_multipart(parts, zmq.NOBLOCK)
    except zmq.ZMQError:
        return False
    return True
