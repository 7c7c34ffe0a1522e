"""Lines: what a job and a worker say to each other is heard once, and strangers are not heard."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from engine import JobError, control, process
from engine.control import Beat, Bootstrap, Cancel, Close, Drained, Ended, Envelope, FromWorker, Start, ToWorker
from engine.line import Line
from engine.process import Process
from engine.report import Report
from engine.switchboard import Switchboard
from engine.transport import Place
from tests.faults.conftest import eventually


class Pair:
    """A job's end and, once it is there, that of its worker 1."""

    def __init__(self, directory: str) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.context.setsockopt(zmq.LINGER, 0)
        self.refused: list[str] = []
        self.place = Place(directory)
        self.token = secrets.token_bytes(16)
        self.bootstrap = Bootstrap(1, self.place.file("control"), self.place, self.token)
        self.heard: list[FromWorker] = []
        self.told: list[ToWorker] = []
        self.job = self.listen()

    def listen(self) -> Switchboard:
        socket = self.context.socket(zmq.ROUTER)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        self.place.bind(socket, "control")
        return Switchboard(socket, {1: self.token}, self.refused.append)

    def worker(self) -> Line:
        return Line(self.context, self.bootstrap)

    def listen_until(self, condition: Callable[[], object], line: Line | None = None) -> None:
        """Both listen, the worker if it is there."""

        def is_so() -> object:
            self.heard += [word for _, word in self.job.hear()]
            self.told += line.hear() if line is not None else ()
            return condition()

        eventually(is_so, f"heard {self.heard}, told {self.told}, refused {self.refused}")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    tmp_path.chmod(0o700)
    made = Pair(str(tmp_path))
    yield made
    made.job.close()
    made.context.destroy()


def test_words_arrive_in_order_though_said_before_there_was_a_connection(pair: Pair) -> None:
    pair.job.say(1, Cancel())
    line = pair.worker()
    line.say(Beat(Report(1)))  # there is nobody yet, and the next one says all
    line.say(Drained())
    line.say(Ended(Report(1)))
    pair.job.say(1, Close())
    pair.listen_until(lambda: line.is_received and len(pair.told) == 2, line)
    assert pair.heard == [Drained(), Ended(Report(1))]
    assert pair.told == [Cancel(), Close()]
    line.close()


def test_a_new_connection_brings_what_the_old_one_lost(pair: Pair) -> None:
    line = pair.worker()
    line.say(Drained())
    pair.listen_until(lambda: pair.heard, line)
    pair.job._socket.close(linger=0)  # with whatever is on its way
    line.say(Ended(Report(1)))
    ends = pair.job._ends
    pair.job = pair.listen()
    pair.job._ends = ends
    pair.job.say(1, Close())
    pair.listen_until(lambda: line.is_received and pair.told, line)
    assert pair.heard == [Drained(), Ended(Report(1))]
    assert pair.told == [Close()]
    line.close()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b""], "not a word of a worker's"),
        ([b"", b""], "not a word of a worker's"),
        ([b"\x91" * 100_000], "not a word of a worker's"),
        ([control.encode(Drained())], "not a word of a worker's"),
        ([control.encode(Envelope(1, b"wrong", 1, 1, 0, Drained()))], "the word of a stranger"),
        ([control.encode(Envelope(2, b"wrong", 1, 1, 0, Drained()))], "the word of a stranger"),
    ],
)
def test_what_is_no_word_of_a_worker_is_refused(pair: Pair, parts: list[bytes], reason: str) -> None:
    stranger = pair.context.socket(zmq.DEALER)
    stranger.connect(pair.bootstrap.address)
    stranger.send_multipart(parts)
    pair.listen_until(lambda: pair.refused)
    stranger.close(linger=0)
    assert (pair.refused, pair.heard) == ([reason], [])


def test_a_worker_wants_a_welcome_first(pair: Pair) -> None:
    worker = Process(pair.bootstrap)
    pair.job.say(1, Start({}))
    eventually(lambda: worker._line._made.poll(0), "it was never connected")
    assert not list(worker._line.hear())  # but now it has said hello
    pair.listen_until(lambda: worker._line._socket.poll(0))
    with pytest.raises(JobError, match=r"worker-1 wanted a welcome, got Start\("):
        worker._welcome()
    worker._line.close()
    worker._context.term()
    worker._inbox.close()


def test_a_worker_that_hears_nothing_gives_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_WELCOME_SECONDS", 0.01)
    worker = Process(pair.bootstrap)
    with pytest.raises(JobError, match=r"worker-1 heard nothing of its job for 0\.01 s"):
        worker._welcome()
    worker._line.close()
    worker._context.term()
    worker._inbox.close()
