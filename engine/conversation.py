"""Conversation: one side of an exchange of words over connections that may break; no I/O, no clock.

Each side numbers its words, keeps them until the other has received them, and takes those of the other once each, in
their order. Within one connection nothing is lost or overtaken, so words are sent again only after a new connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Word = TypeVar("Word")

REPLACEABLE = 0
"""The sequence number of a word that is sent once and may be lost, as the next one like it says all."""


class Conversation(Generic[Word]):
    """What one side has said and received.

    >>> here, there = Conversation(), Conversation()
    >>> here.say("begin")
    >>> here.send(lambda sequence, word: True)  # and the connection breaks
    >>> here.reconnected()
    >>> here.send(lambda sequence, word: there.receive(sequence, 0))
    >>> here.receive(REPLACEABLE, there.received), here.is_received
    (True, True)
    """

    def __init__(self) -> None:
        self.received = 0
        """The sequence number of the last word that was taken."""
        self._said = self._sent = 0
        self._kept: deque[tuple[int, Word]] = deque()
        """What was said, with sequence numbers, and is not known to be received."""

    @property
    def is_received(self) -> bool:
        """Whether the other side has all that was said."""
        return not self._kept

    def say(self, word: Word) -> None:
        """Have it sent by the next `send`, and kept until it is received."""
        self._said += 1
        self._kept.append((self._said, word))

    def send(self, hand_over: Callable[[int, Word], bool]) -> None:
        """Give each word that was not sent over this connection to `hand_over(sequence, word)`, until it says False."""
        for sequence, word in self._kept:
            if sequence > self._sent:
                if not hand_over(sequence, word):
                    return
                self._sent = sequence

    def receive(self, sequence: int, received: int) -> bool:
        """A word came from the other side, which has `received` ours: whether to take it."""
        while self._kept and self._kept[0][0] <= received:
            self._kept.popleft()
        if sequence == REPLACEABLE:
            return True
        is_next = sequence == self.received + 1
        self.received += is_next
        return is_next

    def reconnected(self) -> None:
        """There is a new connection: what the old one carried may be lost."""
        self._sent = 0
