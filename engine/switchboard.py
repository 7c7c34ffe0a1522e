"""Switchboard: the job's ends of the lines to its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from secrets import compare_digest
from typing import Any

import zmq

from engine import control
from engine.control import Envelope, FromWorker, ToWorker
from engine.conversation import REPLACEABLE, Conversation
from engine.line import handed_over
from engine.transport import speaker

_IN_A_TURN = 64
"""Words that are heard before whoever listens has a turn."""


class Switchboard:
    """The job's ends of the lines to its workers, who are known by their `tokens`; one thread uses it.

    What is no word of theirs is refused: `refuse(reason)`.
    """

    def __init__(self, socket: zmq.Socket[bytes], tokens: dict[int, bytes], refuse: Callable[[str], None]) -> None:
        self._socket, self._refuse = socket, refuse
        self._ends = {worker: _End(worker, token) for worker, token in tokens.items()}

    @property
    def awaited(self) -> list[tuple[Any, int]]:
        """What to poll for `hear`."""
        return [(self._socket, zmq.POLLIN)]

    @property
    def has_more(self) -> bool:
        """Whether there is something to be heard at once."""
        return bool(self._socket.poll(0))

    def say(self, worker: int, word: ToWorker) -> None:
        """Say it until the worker has it."""
        end = self._ends[worker]
        end.words.say(word)
        self._speak(end)

    def hear(self) -> Iterator[tuple[int, FromWorker]]:
        """What the workers have said since, a turn's worth of it."""
        for _ in range(_IN_A_TURN):
            try:
                route, *parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            yield from self._heard(route.bytes, parts)
        for end in self._ends.values():  # what could not be handed over before
            self._speak(end)

    def close(self) -> None:
        """Listen to nobody any more."""
        self._socket.disable_monitor()
        self._socket.close()

    def _heard(self, route: bytes, parts: list[zmq.Frame]) -> Iterator[tuple[int, FromWorker]]:
        try:
            envelope = control.decode_from_worker(parts[0].buffer if len(parts) == 1 else b"")
        except (ValueError, RecursionError):
            return self._refuse("not a word of a worker's")
        end = self._end(envelope, speaker(parts[0]))
        if end is None:
            return self._refuse("the word of a stranger")
        end.connect(route, envelope.connection)
        is_next = end.words.receive(envelope.sequence, envelope.received)
        if envelope.sequence != REPLACEABLE:
            self._send(end, REPLACEABLE)
        if is_next and envelope.word is not None:
            yield end.worker, envelope.word
        return None

    def _end(self, envelope: Envelope[FromWorker], speaker: int | None) -> _End | None:
        """Of the worker that speaks: it has a token that only it was given and, where there are keys, its key."""
        end = self._ends.get(envelope.worker)
        is_it = end is not None and compare_digest(end.token, envelope.token) and speaker in {None, end.worker}
        return end if is_it else None

    def _speak(self, end: _End) -> None:
        end.words.send(lambda sequence, word: self._send(end, sequence, word))

    def _send(self, end: _End, sequence: int, word: ToWorker | None = None) -> bool:
        envelope = Envelope(end.worker, b"", end.connection, sequence, end.words.received, word)
        return end.connection > 0 and handed_over(self._socket, [end.route, control.encode(envelope)])


class _End:
    """The job's end of one worker's line."""

    def __init__(self, worker: int, token: bytes) -> None:
        self.worker, self.token = worker, token
        self.words: Conversation[ToWorker] = Conversation()
        self.connection = 0
        self.route = b""
        """The id of the connection to answer on: the newest, though words of an older one may come after its."""

    def connect(self, route: bytes, connection: int) -> None:
        """It speaks over this one."""
        if connection > self.connection:
            self.connection, self.route = connection, route
            self.words.reconnected()
