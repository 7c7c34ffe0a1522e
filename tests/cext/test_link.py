"""Links by hand: each rule of cext.link, and each refusal of what a peer cannot mean."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pytest

from cext.channel import Channel
from cext.frame import barrier, end, watermark
from cext.inlet import Inlet
from cext.link import Peer
from cext.message import sender_of
from cext.outlet import Outlet
from cext.window import Window

MS = 1_000_000
SECOND = 1000 * MS
EPOCH = 0xC0FFEE
FIELDS = ("magic", "kind", "format", "sender", "epoch", "channel", "records", "sequence", "turn", "value", "born")
LAYOUT = struct.Struct("<IBBHQIIQIqq")
LIMIT, RELEASED, WINDOW, BYTES, RECEIVED, SLOTS, GAP = range(1, 8)  # where a credit has what


class Letters:
    """A codec of strings of one letter each: a record is a byte."""

    def encode(self, rows: list[str]) -> tuple[int, bytes]:
        return 3, "".join(rows).encode()

    def decode(self, format: int, payload: Any) -> list[str]:
        assert format == 3
        return list(bytes(payload).decode())


class Sent(NamedTuple):
    """A message as it went out: a Message itself is handed out again with another turn."""

    header: bytes
    payload: bytes


def fields(message: Sent) -> dict[str, int]:
    return dict(zip(FIELDS, LAYOUT.unpack(message.header), strict=True))


def forged(message: Sent, **changed: int) -> bytes:
    return LAYOUT.pack(*(fields(message) | changed).values())


class Pair:
    """Both halves of channel 5, which leads from worker 1 to worker 2; between them are the test's hands."""

    def __init__(self, most: int = 64, frame: int = 4, *, frame_bytes: int = 100, byte_window: int = 1000) -> None:
        self.out, self.inn = (Channel(Window(0.05, most, frame, now=1), frame) for _ in range(2))
        self.outlet = Outlet(5, self.out, Letters(), 1, EPOCH, frame_bytes, byte_window)
        self.inlet = Inlet(5, self.inn, Letters())
        self.here = Peer(1, 2, EPOCH, [self.outlet], [])
        self.there = Peer(2, 1, EPOCH, [], [self.inlet])
        self.now = 10 * SECOND

    def push(self, *frames: str) -> None:
        for letters in frames:
            self.out.push_rows(list(letters), 77)

    def messages(self) -> list[Sent]:
        found = []
        while (message := self.here.next(self.now)) is not None:
            assert message.size == len(message.payload)
            found.append(Sent(message.header, message.payload))
        return found

    def deliver(self, *messages: Sent) -> None:
        for message in messages:
            assert self.there.receive(message.header, message.payload, self.now)

    def take(self) -> str:
        """All that has come, given back at once."""
        taken = ""
        while (frame := self.inn.pop()) is not None:
            taken += "".join(frame.rows)
            self.inn.give_back(frame.records)
        return taken

    def credit(self) -> Any:
        """What worker 2 tells of the channel now, which must be something."""
        self.now += 250 * MS
        return self.there.signal(self.now)[5][0]  # type: ignore[index]

    def tell(self) -> None:
        """What both sides have to say, until they have nothing."""
        self.now += 250 * MS
        for speaker, listener in ((self.there, self.here), (self.here, self.there), (self.there, self.here)):
            if (signal := speaker.signal(self.now)) is not None:
                assert listener.hear(signal, self.now)


# The way of records and marks.


def test_frames_and_marks_come_as_they_were_sent() -> None:
    pair = Pair()
    pair.push("abc")
    assert pair.out.push(watermark(-7))
    assert pair.out.push(barrier(3))
    pair.push("d")
    assert pair.out.push(end())
    pair.deliver(*pair.messages())
    frames = [pair.inn.pop() for _ in range(5)]
    assert [(frame.kind, frame.rows, frame.value, frame.born) for frame in frames if frame is not None] == [
        (0, ["a", "b", "c"], 0, 77),
        (1, [], -7, 0),
        (2, [], 3, 0),
        (0, ["d"], 0, 77),
        (3, [], 1, 0),
    ]


def test_a_message_says_who_sends_what_as_which() -> None:
    pair = Pair()
    pair.push("abc", "d")
    assert [fields(message) for message in pair.messages()] == [
        dict(zip(FIELDS, (0x314B4748, 0, 3, 1, EPOCH, 5, count, at, 1, 0, 77), strict=True))
        for count, at in ((3, 1), (1, 2))
    ]
    assert sender_of(LAYOUT.pack(0x314B4748, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0)) == 9
    assert sender_of(b"HGK1") is None
    assert sender_of(b"") is None


def test_a_frame_whose_encoding_is_too_large_goes_in_pieces_and_one_record_always_whole() -> None:
    pair = Pair(frame=40, frame_bytes=3)
    pair.push("abcdefgh")
    messages = pair.messages()
    assert all(len(message.payload) <= 3 for message in messages)
    assert b"".join(message.payload for message in messages) == b"abcdefgh"
    pair.deliver(*messages)
    assert pair.take() == "abcdefgh"
    pair = Pair(frame_bytes=1)
    pair.out.push_rows(["wide" * 50])
    assert len(pair.messages()[0].payload) == 200


def test_pieces_grow_again_when_records_are_small_again() -> None:
    pair = Pair(most=1000, frame=200, frame_bytes=16)
    pair.out.push_rows(["xxxxxxxxxxxxxxxx"] * 4)
    assert [fields(message)["records"] for message in pair.messages()] == [1] * 4
    pair.out.push_rows(["a"] * 63)
    assert [fields(message)["records"] for message in pair.messages()] == [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]


def test_a_list_that_user_code_shortened_is_an_error_that_names_the_channel() -> None:
    pair = Pair()
    rows = ["a", "b"]
    pair.out.push_rows(rows)
    rows.clear()
    with pytest.raises(RuntimeError, match=r"a list of 2 records .* before channel 5 sent it"):
        pair.here.next(pair.now)


def test_outlets_take_turns() -> None:
    channels = [Channel(Window(0.05, 64, 4, now=1), 4) for _ in range(3)]
    outlets = [Outlet(i, channel, Letters(), 1, EPOCH) for i, channel in enumerate(channels)]
    peer = Peer(1, 2, EPOCH, outlets, [])
    for channel in channels[:2]:
        for letter in "abc":
            channel.push_rows([letter])
    order = []
    while (message := peer.next(1)) is not None:
        order.append(fields(Sent(message.header, b""))["channel"])
    assert order == [0, 1] * 3


# Rules 1 and 2: bytes and slots.


def test_bytes_in_flight_stay_within_the_window_until_they_are_released() -> None:
    pair = Pair(byte_window=10)
    pair.push("aaaa", "bbbb")
    pair.tell()
    messages = pair.messages()
    pair.push("ccc")
    assert pair.messages() == []
    pair.deliver(*messages)
    pair.tell()
    assert pair.messages() == []  # it has come, but is in flight
    assert pair.take() == "aaaabbbb"
    pair.tell()
    assert [message.payload for message in pair.messages()] == [b"ccc"]


def test_the_bytes_of_a_message_are_released_when_all_its_records_are() -> None:
    pair = Pair()
    pair.push("abcd")
    pair.deliver(*pair.messages())
    pair.inn.pop()
    pair.inn.give_back(3)
    assert pair.credit()[BYTES] == 0
    pair.inn.give_back(1)
    assert pair.credit()[BYTES] == 4


def test_one_message_may_go_alone_whatever_its_size() -> None:
    pair = Pair(byte_window=10, frame_bytes=10)
    pair.push("a")
    pair.out.push_rows(["b" * 500])
    first = pair.messages()
    assert len(first) == 1
    pair.deliver(*first)
    pair.take()
    pair.tell()
    assert len(pair.messages()[0].payload) == 500


def test_marks_leave_no_more_in_the_ring_than_it_has_slots_for() -> None:
    pair = Pair(most=4)
    for i in range(3):
        assert pair.out.push(watermark(i))
    early = pair.messages()
    pair.deliver(*early)
    pair.tell()
    for i in range(4):
        assert pair.out.push(watermark(10 + i))
    assert len(pair.messages()) == 1  # three of four slots are taken there
    pair.inn.pop()
    pair.tell()
    assert len(pair.messages()) == 1
    assert pair.there.refused == {}


def test_slots_that_were_given_are_not_taken_back_by_an_overtaken_signal() -> None:
    pair = Pair(most=2)
    late = pair.there.signal(pair.now)
    for i in range(2):
        assert pair.out.push(watermark(i))
    pair.deliver(*pair.messages())
    pair.inn.pop()
    pair.inn.pop()
    pair.tell()
    assert pair.here.hear(late, pair.now)
    assert pair.out.push(watermark(2))
    assert len(pair.messages()) == 1


def test_before_the_first_word_as_much_goes_as_any_ring_holds() -> None:
    pair = Pair(most=1)
    pair.push("a")
    assert pair.out.push(watermark(1))
    assert len(pair.messages()) == 2
    assert pair.out.push(watermark(2))
    assert pair.messages() == []


# Rule 3: order, once each, and gaps.


def test_what_has_been_had_is_dropped_without_a_word() -> None:
    pair = Pair()
    pair.push("ab")
    messages = pair.messages()
    pair.deliver(*messages, *messages)
    assert pair.take() == "ab"
    assert pair.inlet.received == 1


def test_a_gap_is_told_and_closed_from_there_on() -> None:
    pair = Pair()
    pair.push("a", "b", "c")
    first, _, third = pair.messages()
    pair.deliver(first, third)
    assert pair.take() == "a"
    pair.tell()
    again = pair.messages()
    assert [(message.payload, fields(message)["turn"]) for message in again] == [(b"b", 2), (b"c", 2)]
    assert pair.outlet.resent == 2
    pair.deliver(*again)
    assert pair.take() == "bc"
    assert pair.credit()[GAP] == 0


def test_a_gap_of_an_earlier_turn_is_not_answered_again() -> None:
    """All that was behind the loss comes while what is sent again is still on its way."""
    pair = Pair()
    pair.push("a", "b", "c", "d")
    _, second, third, fourth = pair.messages()
    pair.deliver(second)
    pair.tell()
    again = pair.messages()
    for message in (third, fourth):
        pair.deliver(message)
        pair.tell()
    assert pair.messages() == []
    pair.deliver(*again)
    assert pair.take() == "abcd"


def test_what_is_lost_of_a_second_turn_begins_a_third() -> None:
    pair = Pair()
    pair.push("a", "b", "c")
    pair.deliver(pair.messages()[-1])
    pair.tell()
    pair.deliver(pair.messages()[-1])
    pair.tell()
    third = pair.messages()
    assert [fields(message)["turn"] for message in third] == [3, 3, 3]
    pair.deliver(*third)
    assert pair.take() == "abc"


def test_a_signal_that_was_overtaken_opens_no_gap_again_and_takes_nothing_back() -> None:
    pair = Pair()
    pair.push("a", "b")
    first, second = pair.messages()
    pair.deliver(second)
    late = pair.there.signal(pair.now)
    pair.deliver(first)
    pair.push("c")
    pair.deliver(second, *pair.messages())
    pair.take()
    pair.tell()
    pair.push("d")
    assert len(pair.messages()) == 1  # not received yet, so that there would be something to send again
    before = (pair.out.counters, pair.outlet.acked, pair.outlet.bytes_released)
    assert pair.here.hear(late, pair.now)
    assert (pair.out.counters, pair.outlet.acked, pair.outlet.bytes_released) == before
    assert pair.messages() == []


def test_an_overtaken_message_is_known_to_be_missing_although_the_one_before_it_came() -> None:
    pair = Pair()
    pair.push("a", "b")
    first, second = pair.messages()
    pair.deliver(second, first)
    pair.tell()
    pair.deliver(*pair.messages())
    assert pair.take() == "ab"


def test_after_a_reconnect_all_that_may_be_lost_goes_again_and_all_is_told_at_once() -> None:
    pair = Pair()
    pair.push("a", "b", "c")
    pair.deliver(pair.messages()[0])
    pair.tell()
    assert pair.there.signal(pair.now) is None
    for peer in (pair.here, pair.there):
        peer.reconnected(pair.now)
    assert [message.payload for message in pair.messages()] == [b"b", b"c"]
    assert pair.there.signal(pair.now) is not None


def test_what_is_sent_again_costs_no_credit_again() -> None:
    pair = Pair(byte_window=4)
    pair.push("abcd")
    pair.messages()
    pair.outlet.resend()
    assert len(pair.messages()) == 1
    assert pair.outlet.bytes_sent == 4


# Rule 4: the tail.


def exchange(pair: Pair, milliseconds: int) -> None:
    """Signals both ways for so long, each there in no time."""
    for _ in range(milliseconds // 250):
        pair.tell()


def test_a_tail_that_was_lost_is_found_by_a_probe() -> None:
    pair = Pair()
    pair.push("a", "b")
    assert len(pair.messages()) == 2  # and both are lost
    exchange(pair, 1000)
    assert pair.messages() == []
    exchange(pair, 500)
    (probe,) = pair.messages()
    assert (fields(probe)["kind"], fields(probe)["sequence"], probe.payload) == (5, 2, b"")
    pair.deliver(probe)
    pair.tell()
    pair.deliver(*pair.messages())
    assert pair.take() == "ab"


def test_a_probe_that_finds_everything_there_changes_nothing() -> None:
    pair = Pair()
    pair.push("a", "b")
    late = pair.messages()
    exchange(pair, 1500)
    probe = pair.messages()
    pair.deliver(*late, *probe)
    assert pair.inlet.received == 2
    assert pair.credit()[GAP] == 0
    pair.tell()
    assert pair.messages() == []


def test_a_peer_that_is_merely_slow_gets_one_probe_a_second_and_no_message_twice() -> None:
    pair = Pair()
    pair.push("a", "b")
    pair.messages()
    probes = 0
    for _ in range(40):
        exchange(pair, 250)
        probes += len(pair.messages())
    assert 5 <= probes <= 9
    assert pair.outlet.resent == 0


def test_a_peer_that_is_silent_gets_not_even_probes() -> None:
    pair = Pair()
    pair.push("a")
    pair.messages()
    for _ in range(40):
        pair.now += SECOND
        pair.here.signal(pair.now)
        assert pair.messages() == []


# Rule 5: what is told, and when.


def test_credit_is_told_by_eighths_of_the_window_and_anyway_soon() -> None:
    pair = Pair(most=1024, frame=40)  # a window of 80
    pair.push("a" * 40)
    pair.deliver(*pair.messages())
    pair.tell()
    pair.inn.pop()
    pair.inn.give_back(9)
    assert pair.there.signal(pair.now) is None
    assert pair.there.deadline() == pair.now + 5 * MS
    pair.inn.give_back(1)
    assert pair.there.signal(pair.now)[5][0][LIMIT] == 90  # type: ignore[index]
    pair.inn.give_back(1)
    assert pair.there.signal(pair.now) is None
    pair.now += 5 * MS - 1
    assert pair.there.signal(pair.now) is None
    pair.now += 1
    assert pair.there.signal(pair.now) is not None
    assert pair.there.signal(pair.now) is None


def test_slots_are_told_by_eighths_of_the_ring() -> None:
    pair = Pair(most=64)
    for i in range(8):
        assert pair.out.push(watermark(i))
    pair.deliver(*pair.messages())
    pair.tell()
    for _ in range(7):
        pair.inn.pop()
        assert pair.there.signal(pair.now) is None
    pair.inn.pop()
    assert pair.there.signal(pair.now)[5][0][SLOTS] == 64 + 8  # type: ignore[index]


def test_a_blocked_producer_is_told_at_once_of_credit_that_it_can_use() -> None:
    pair = Pair(most=100, frame=64)
    pair.push("a" * 50, "a" * 50)
    pair.deliver(*pair.messages())
    pair.tell()
    assert pair.out.available() == 0
    pair.tell()
    pair.inn.pop()
    pair.inn.give_back(6)
    assert pair.there.signal(pair.now) is None  # less than the quarter of a frame, which is one of the window
    pair.inn.give_back(1)
    assert pair.there.signal(pair.now) is not None
    pair.inn.give_back(1)
    assert pair.there.signal(pair.now) is None  # it has some now


def test_a_producer_without_credit_says_so_20_times_a_second_at_most() -> None:
    pair = Pair()
    pair.push(*["abcd"] * 4)
    assert pair.here.signal(pair.now) is not None
    said = []
    for _ in range(190):
        pair.now += MS
        pair.out.available()
        if (signal := pair.here.signal(pair.now)) is not None:
            assert signal[6] == [5]
            said.append(pair.now)
            assert pair.there.hear(signal, pair.now)
    assert len(said) == 4
    assert pair.here.deadline() <= said[-1] + 250 * MS
    pair.out.available()
    assert pair.here.deadline() == said[-1] + 50 * MS


def test_everything_is_told_with_each_heartbeat() -> None:
    pair = Pair()
    pair.tell()
    for _ in range(3):
        assert pair.there.deadline() == pair.now + 250 * MS
        pair.now += 250 * MS - 1
        assert pair.there.signal(pair.now) is None
        pair.now += 1
        signal = pair.there.signal(pair.now)
        assert signal is not None
        assert len(signal[5]) == 1


def test_a_round_trip_is_measured_without_the_time_that_the_peer_held_it() -> None:
    pair = Pair()
    out = pair.here.signal(1_000 * MS)
    assert pair.there.hear(out, 1_020 * MS)
    back = pair.there.signal(1_100 * MS)
    assert pair.here.hear(back, 1_130 * MS)
    assert pair.here.round_trip == 50 * MS
    assert pair.here.heard_at == 1_130 * MS


def test_a_round_trip_falls_at_once_and_rises_slowly() -> None:
    pair = Pair()

    def trip(of: int) -> int:
        pair.now += SECOND
        assert pair.here.hear((EPOCH, 2, pair.now, pair.now - of, 0, [], []), pair.now)
        return pair.here.round_trip

    assert [trip(80), trip(160), trip(40), trip(40)] == [80, 90, 40, 40]


def test_windows_learn_how_far_their_producers_are() -> None:
    pair = Pair(most=1000)
    assert pair.there.hear((EPOCH, 1, pair.now, pair.now - SECOND, 0, [], []), pair.now)
    assert pair.inn.law.update(SECOND, 100, False, True) == 126  # a hundred a second, 1.25 seconds and 10 ms


# What cannot be meant.


def refused(peer: Peer, reason: str, before: int = 0) -> bool:
    return peer.refused == {reason: before + 1}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"magic": 1}, "not a message"),
        ({"epoch": EPOCH + 1}, "a stranger"),
        ({"sender": 3}, "a stranger"),
        ({"channel": 6}, "an unknown message"),
        ({"kind": 5}, "an unknown message"),
        ({"kind": 255}, "an unknown message"),
        ({"kind": 1}, "an unknown message"),  # a mark with records
        ({"kind": 4}, "an unknown message"),
        ({"kind": 1, "records": 0}, "an unknown message"),  # a mark with a payload
        ({"kind": 4, "records": 0}, "an unknown message"),
        ({"records": 0}, "an unknown message"),
        ({"sequence": 0}, "an unknown message"),
        ({"records": 2**32 - 1}, "more than there is credit for"),
        ({"records": 17}, "more than there is credit for"),
        ({"sequence": 2**64 - 1}, "more than there is credit for"),
        ({"sequence": 2**64 - 1, "turn": 2**32 - 1}, "more than there is credit for"),
    ],
)
def test_a_message_that_cannot_be_meant_is_refused_and_counted(changed: dict[str, int], reason: str) -> None:
    pair = Pair()
    pair.push("ab")
    (message,) = pair.messages()
    assert not pair.there.receive(forged(message, **changed), message.payload, pair.now)
    assert refused(pair.there, reason)
    assert pair.inn.counters[0] == pair.inlet.received == 0
    pair.deliver(message)
    assert pair.take() == "ab"


@pytest.mark.parametrize("header", [b"", b"x", b"HGK2" * 13, bytes(51), bytes(53), bytes(10_000)])
def test_bytes_that_are_no_header_are_refused(header: bytes) -> None:
    pair = Pair()
    assert not pair.there.receive(header, b"", pair.now)
    assert refused(pair.there, "not a message")


def test_marks_beyond_the_slots_are_refused() -> None:
    pair = Pair(most=2)
    assert pair.out.push(watermark(1))
    (mark,) = pair.messages()
    for i in (1, 2):
        assert pair.there.receive(forged(mark, sequence=i), b"", pair.now)
    assert not pair.there.receive(forged(mark, sequence=3), b"", pair.now)
    assert refused(pair.there, "more than there is credit for")


@pytest.mark.parametrize("changed", [{"sequence": 9}, {"sequence": 9, "turn": 2**32 - 1}])
def test_a_sequence_that_was_never_sent_only_opens_a_gap(changed: dict[str, int]) -> None:
    pair = Pair()
    pair.push("ab")
    (message,) = pair.messages()
    pair.deliver(message)
    assert pair.there.receive(forged(message, **changed), message.payload, pair.now)
    for _ in range(20):
        pair.tell()
        pair.messages()
    assert pair.outlet.resent == 0
    pair.push("cd")
    pair.deliver(*pair.messages())
    assert pair.take() == "abcd"


@pytest.mark.parametrize(
    ("payload", "what"), [(b"a", "has 1 records, not 2"), (b"abc", "has 3 records"), (b"\xff", "utf-8")]
)
def test_a_payload_that_is_not_what_it_should_be_is_an_error_that_changes_nothing(payload: bytes, what: str) -> None:
    pair = Pair()
    pair.push("ab")
    (message,) = pair.messages()
    before = pair.credit()
    with pytest.raises(ValueError, match=what):
        pair.there.receive(message.header, payload, pair.now)
    assert pair.credit() == before
    pair.deliver(message)
    assert pair.take() == "ab"


HUGE = [-1, 2**63, 2**64 - 1, 2**64, 10**40]


@pytest.mark.parametrize("field", [LIMIT, RELEASED, WINDOW, BYTES, RECEIVED, SLOTS])
@pytest.mark.parametrize("value", [*HUGE, 65, float("inf"), float("nan"), "1", None, [1], b"1"])
def test_a_credit_that_cannot_be_true_is_refused_and_nothing_is_done(field: int, value: Any) -> None:
    pair = Pair()
    pair.push("ab")
    pair.messages()
    before = pair.out.counters
    credit = list(pair.credit())
    good = list(credit)
    credit[field] = value
    if value == 65:  # likely, but one more than can be
        credit[field] = {LIMIT: 200, SLOTS: 200, RELEASED: 3, RECEIVED: 2}.get(field, value)
    assert not pair.here.hear((EPOCH, 2, pair.now, 0, 0, [credit], []), pair.now)
    assert sum(pair.here.refused.values()) == 1
    assert pair.out.counters == before
    assert (pair.outlet.acked, pair.outlet.bytes_released) == (0, 0)
    assert pair.here.heard_at == 0
    assert pair.here.hear((EPOCH, 2, pair.now, 0, 0, [good], []), pair.now)


@pytest.mark.parametrize("value", [*HUGE, 77])
def test_a_gap_of_no_turn_of_ours_is_no_gap(value: int) -> None:
    pair = Pair()
    pair.push("ab")
    pair.messages()
    credit = [*pair.credit()[:GAP], value]
    pair.here.hear((EPOCH, 2, pair.now, 0, 0, [credit], []), pair.now)
    assert pair.messages() == []


NO_CLOCK = ("", None, float("nan"), 2**63, -(2**63) - 1, 10**40)
NO_CLOCKS = [each for no in NO_CLOCK for each in ((no, 1, 1), (1, no, 1), (1, 1, no))]


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (None, "not a signal"),
        (7, "not a signal"),
        ((), "not a signal"),
        ("a signal", "not a signal"),
        ((EPOCH, 2, 1, 1, 1, []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [], [], []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, None, []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [None], []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [[]], []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [[5]], []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [[5] + [0] * 8], []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [[[]] + [0] * 7], []), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [], 5), "not a signal"),
        ((EPOCH, 2, 1, 1, 1, [], [[]]), "not a signal"),
*[((EPOCH, 2, *clocks, [], []), "not a signal") for clocks in NO_CLOCKS],
        ((EPOCH + 1, 2, 1, 1, 1, [], []), "a stranger"),
        ((None, 2, 1, 1, 1, [], []), "a stranger"),
        ((EPOCH, 1, 1, 1, 1, [], []), "a stranger"),
        ((EPOCH, 10**40, 1, 1, 1, [], []), "a stranger"),
        ((EPOCH, 2, 1, 1, 1, [[6, 8, 0, 8, 0, 0, 64, 0]], []), "an impossible credit"),
        ((EPOCH, 2, 1, 1, 1, [], [6]), "an unknown channel"),
        ((EPOCH, 2, 1, 1, 1, [], [-(10**40)]), "an unknown channel"),
    ],
)  # fmt: skip
def test_a_signal_that_cannot_be_meant_is_refused_and_counted(signal: Any, reason: str) -> None:
    pair = Pair()
    pair.push("ab")
    pair.messages()
    before = pair.out.counters
    assert not pair.here.hear(signal, pair.now)
    assert refused(pair.here, reason)
    assert (pair.out.counters, pair.here.heard_at, pair.here.round_trip) == (before, 0, 0)


@pytest.mark.parametrize("clock", [0, -1, -(2**63)])
@pytest.mark.parametrize(
    ("echo", "held"),
    [(0, 0), (-(2**63), 2**63 - 1), (2**63 - 1, 0), (1, -1), (1, -(2**63)), (1, 2**63 - 1), (10 * SECOND, 0)],
)
def test_clocks_that_cannot_be_say_nothing(clock: int, echo: int, held: int) -> None:
    pair = Pair()
    assert pair.here.hear((EPOCH, 2, clock, echo, held, [], []), pair.now)
    assert (pair.here.heard_at, pair.here.round_trip) == (0, 0)
