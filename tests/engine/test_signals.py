"""SIGINT and SIGTERM: the first drains, the second cancels; a job that somebody starts and waits for is theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parent.parent.parent

PROGRAM = """
import itertools, os, signal, threading
import engine.job
import engine.part
from engine import *
from tests.engine.helpers import ListSink, ListSource, Nothing

signal.signal(signal.SIGINT, {interrupt})

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # safe in a signal's handler, which print is not

def noted(name):
    method = getattr(engine.job.Job, name)
    def call(self):
        running = self.state == "running"
        method(self)
        if running:
            say(name)
    setattr(engine.job.Job, name, call)

noted("stop")
noted("cancel")
engine.part.STUCK_SECONDS = engine.part.ABANDONED_SECONDS = 0.05
blocking = {blocking}
written = []
never, entered = threading.Event(), threading.Event()

def slow(record):
    if not written:
        entered.wait(50)
        say("ready")
    written.append(record)
    never.wait({pause})

flow = Dataflow("signals", settings=Settings(max_window=64))
sink = ListSink(blocking=blocking, batch=1, refuse=slow)
flow.source(ListSource(itertools.count, blocking=blocking)).map(lambda x: x).sink(sink)
"""

RUN = """
entered.set()
try:
    result = flow.run()
    say("result", result.state, result.records_read, result.records_written, len(sink.records), sink.ends)
    say("in order", sink.records == list(range(len(sink.records))))
except JobCancelled as error:
    say("cancelled", error, sink.ends)
say("next line")
"""


@contextmanager
def program(
    text: str, *, blocking: bool, pause: float, interrupt: str = "signal.default_int_handler"
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A running program, and its output; it is killed if it is still there at the end."""
    source = PROGRAM.format(blocking=blocking, pause=pause, interrupt=interrupt) + text
    child = subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        yield child, child.stdout
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()


@pytest.mark.parametrize("blocking", [False, True], ids=["inline", "threads"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_drains_and_the_program_goes_on(number: signal.Signals, blocking: bool) -> None:
    with program(RUN, blocking=blocking, pause=0.0005) as (child, out):
        child.send_signal(number)
        assert out.readline() == "stop\n"
        word, state, *numbers, ends = out.readline().split(maxsplit=5)
        read, written, kept = map(int, numbers)
        assert (word, state, ends) == ("result", "stopped", "['finish']\n")
        assert read == written == kept > 0
        assert out.read() == "in order True\nnext line\n"
        assert child.wait() == 0


@pytest.mark.parametrize("blocking", [False, True], ids=["inline", "threads"])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_cancels(first: signal.Signals, second: signal.Signals, blocking: bool) -> None:
    with program(RUN, blocking=blocking, pause=0.02) as (child, out):
        child.send_signal(first)
        assert out.readline() == "stop\n"
        child.send_signal(second)
        assert out.readline() == "cancel\n"
        assert out.readline() == "cancelled job 'signals' was cancelled ['abort']\n"
        assert out.read() == "next line\n"
        assert child.wait() == 0


@pytest.mark.parametrize("blocking", [False, True], ids=["inline", "threads"])
def test_a_sink_that_never_comes_back_does_not_hold_the_program(blocking: bool) -> None:
    with program(RUN, blocking=blocking, pause=10_000) as (child, out):
        child.send_signal(signal.SIGINT)
        assert out.readline() == "stop\n"
        child.send_signal(signal.SIGINT)
        assert out.readline() == "cancel\n"
        assert out.readline().startswith("cancelled job 'signals' was cancelled, but a call of ")
        assert out.read() == "next line\n"
        assert child.wait() == 0


def test_an_interrupt_that_was_ignored_stays_ignored() -> None:
    """As it is in what a shell runs in the background."""
    with program(RUN, blocking=False, pause=0.0005, interrupt="signal.SIG_IGN") as (child, out):
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGTERM)
        assert out.readline() == "stop\n"
        assert out.readline().startswith("result stopped")


STARTED = """
try:
    with flow.start() as job:
        entered.set()
        job.wait()
except KeyboardInterrupt:
    say("interrupted", job.state, sink.ends)
"""


@pytest.mark.parametrize("blocking", [False, True], ids=["inline", "threads"])
def test_whoever_starts_a_job_has_the_interrupt_and_the_block_cancels(blocking: bool) -> None:
    with program(STARTED, blocking=blocking, pause=0.0005) as (child, out):
        child.send_signal(signal.SIGINT)
        assert out.readline() == "cancel\n"
        assert out.read() == "interrupted cancelled ['abort']\n"
        assert child.wait() == 0


AFTERWARDS = """
flow = Dataflow("short")
flow.source(ListSource([1])).sink(ListSink())
flow.run()
try:
    say("ready")
    never.wait(50)
except KeyboardInterrupt:
    say("interrupted")
"""


def test_after_a_run_an_interrupt_is_an_interrupt_again() -> None:
    with program(AFTERWARDS, blocking=False, pause=0) as (child, out):
        child.send_signal(signal.SIGINT)
        assert out.read() == "interrupted\n"
        assert child.wait() == 0


ABANDONED = """
entered.set()
job = flow.start()
while not written:
    never.wait(0.001)
say("leaving")
"""


def test_a_program_that_ends_with_a_job_running_ends() -> None:
    with program(ABANDONED, blocking=True, pause=0.001) as (child, out):
        assert out.readline() == "leaving\n"
        assert out.read() == ""
        assert child.wait() == 0
