"""Conversation: whatever connections lose, each side gets the other's words once each, in order."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.conversation import REPLACEABLE, Conversation


class Side:
    """One side, what it got, and what is on its way to it over the connection that there is."""

    def __init__(self) -> None:
        self.it: Conversation[int] = Conversation()
        self.got: list[int] = []
        self.incoming: deque[tuple[int, int, int]] = deque()

    def send_to(self, other: Side, room: int = 1_000_000) -> None:
        """Hand over all that was said, as long as the connection takes no more than `room` words."""

        def hand_over(sequence: int, word: int) -> bool:
            if len(other.incoming) >= room:
                return False
            other.incoming.append((sequence, self.it.received, word))
            return True

        self.it.send(hand_over)

    def take(self, count: int) -> None:
        for _ in range(min(count, len(self.incoming))):
            sequence, received, word = self.incoming.popleft()
            if self.it.receive(sequence, received) and sequence != REPLACEABLE:
                self.got.append(word)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 1)),
        st.tuples(st.just("send"), st.integers(0, 1), st.integers(0, 4)),
        st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.just("break"), st.integers(0, 2)),
        st.tuples(st.just("again"), st.integers(0, 1)),
    ),
    max_size=60,
)


@given(steps)
def test_words_come_once_and_in_order_however_connections_break(schedule: list[tuple[Any, ...]]) -> None:
    sides = Side(), Side()
    said: tuple[list[int], list[int]] = [], []
    for what, who, *more in schedule:
        here, there = sides[who % 2], sides[1 - who % 2]
        if what == "say":
            said[who].append(len(said[who]))
            here.it.say(said[who][-1])
        elif what == "send":
            here.send_to(there, *more)
        elif what == "take":
            here.take(*more)
        elif what == "break":  # what was on its way is lost, but for its beginning
            for side in sides:
                side.take(who)
                side.incoming.clear()
                side.it.reconnected()
        else:  # one side hears of a new connection twice
            here.it.reconnected()
    for _ in range(2):  # the second time brings what was received
        for side, other in (sides, sides[::-1]):
            side.it.reconnected()
            side.send_to(other)
            other.incoming.append((REPLACEABLE, side.it.received, -1))
            other.take(1_000)
    assert [side.got for side in sides] == [said[1], said[0]]
    assert all(side.it.is_received for side in sides)


def test_a_word_is_kept_until_it_is_received_and_sent_once_over_one_connection() -> None:
    here: Conversation[str] = Conversation()
    sent: list[tuple[int, str]] = []

    def hand_over(sequence: int, word: str) -> bool:
        sent.append((sequence, word))
        return True

    for word in ("a", "b"):
        here.say(word)
        here.send(hand_over)
    assert sent == [(1, "a"), (2, "b")]
    here.receive(REPLACEABLE, 1)
    assert not here.is_received
    here.reconnected()
    here.send(hand_over)
    assert sent[2:] == [(2, "b")]
    here.receive(REPLACEABLE, 2)
    assert here.is_received
