"""Whole programs: signals, a parent that is killed, programs that end early, that lack a guard, that have no file."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.conftest import RUNS, SEED, Leftovers, eventually

pytestmark = pytest.mark.timeout(80 + 5 * RUNS)

ROOT = Path(__file__).parents[2]

HEAD = """
import os, sys, threading
from pathlib import Path
from connectors.memory import collect
from engine import *
from tests.faults import far

folder = Path({folder!r})
numbers, lines, gate = far.Numbers(folder), folder / "lines", far.Gate(folder / "gate")
flow = Dataflow("program")
sink = far.Lines(lines, gate)
flow.source(numbers).map(far.talk).stage("load").map(lambda i: i).sink(sink)
"""

RUN = """
if __name__ == "__main__":
    try:
        result = flow.run()
        print(result.state, result.records_read, result.records_written)
    except JobCancelled as error:
        print("cancelled")
        sys.exit(5)
"""


class Program:
    """A running program, in a session of its own, and what it wrote."""

    def __init__(self, folder: Path, text: str, *arguments: str) -> None:
        self.folder = folder
        path = folder / "program.py"
        path.write_text(HEAD.format(folder=str(folder)) + text)
        self.out = folder / "out"
        path_of_ours = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
        with self.out.open("wb") as out:
            self.child = subprocess.Popen(
                [sys.executable, str(path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path_of_ours},
            )

    @property
    def said(self) -> str:
        return self.out.read_text()

    @property
    def rows(self) -> list[str]:
        lines = self.folder / "lines"
        return lines.read_text().splitlines() if lines.exists() else []

    @property
    def state(self) -> str:
        """A letter, as the system has it."""
        return Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def signal(self, number: signal.Signals) -> None:
        """As a terminal does: to the whole group."""
        os.killpg(self.child.pid, number)

    def await_rows(self) -> None:
        self.await_that(lambda: bool(self.rows), "nothing was written")

    def await_that(self, condition: object, what: str) -> None:
        assert callable(condition)
        eventually(lambda: condition() or self.child.poll() is not None, f"{what}: {self.said}")
        assert condition(), f"{what}: {self.said}"

    def ends(self) -> int:
        return self.child.wait(40)


@contextmanager
def program(folder: Path, text: str = RUN, *, is_open: bool = True) -> Iterator[Program]:
    running = Program(folder, text)
    if is_open:
        (folder / "gate").touch()
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.child.pid, signal.SIGKILL)
        running.child.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_first_signal_drains_and_the_program_goes_on(
    tmp_path: Path, number: signal.Signals, leftovers: Leftovers
) -> None:
    with program(tmp_path) as running:
        running.await_rows()
        running.signal(number)
        assert running.ends() == 0, running.said
        state, read, written = running.said.splitlines()[-1].split()
    assert (state, read) == ("stopped", written)
    assert running.rows == [*map(str, range(int(read))), "finish"]
    leftovers.await_none()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_second_signal_stops_hard(tmp_path: Path, number: signal.Signals, leftovers: Leftovers) -> None:
    with program(tmp_path, is_open=False) as running:
        running.await_that(lambda: any(tmp_path.glob("gate.*")), "the sink was never reached")
        running.signal(number)
        running.await_that((tmp_path / "closed").exists, "the source was never told to stop")
        running.signal(number)
        if number is signal.SIGTERM:  # else the write never comes back, and is left
            (tmp_path / "gate").touch()
        assert running.ends() == 5, running.said
    assert "cancelled" in running.said
    leftovers.await_none()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGINT]], ids=len)
def test_signals_while_workers_start_end_the_job_before_it_began(
    tmp_path: Path, signals: list[signal.Signals], leftovers: Leftovers
) -> None:
    text = "if __name__ != '__main__':\n    far.Gate(folder / 'import').pass_through()\n" + RUN
    with program(tmp_path, text) as running:
        running.await_that(lambda: len(list(tmp_path.glob("import.*"))) == 2, "workers never began to import")
        for number in signals:
            running.signal(number)
        if len(signals) == 1:
            (tmp_path / "import").touch()
        assert running.ends() == (0 if len(signals) == 1 else 5), running.said
        assert running.said.splitlines()[-1] == ("stopped 0 0" if len(signals) == 1 else "cancelled")
    leftovers.await_none()


@pytest.mark.parametrize("run", range(RUNS))
def test_whenever_the_program_is_killed_nothing_is_left(
    tmp_path: Path, run: int, leftovers: Leftovers, struck: Counter[str]
) -> None:
    moment = random.Random(f"{SEED} {run}").uniform(0.1, 1.3)
    with program(tmp_path) as running:
        with suppress(subprocess.TimeoutExpired):
            running.child.wait(moment)
        struck["parents killed"] += running.child.poll() is None
        running.child.kill()
        running.child.wait()
        eventually(lambda: not leftovers.all, f"seed {SEED}, run {run}, killed after {moment:.3f} s", 20)
    rows = running.rows
    assert rows == [str(i) for i in range(len(rows))]


def test_a_stopped_worker_of_a_killed_program_goes_too(tmp_path: Path, leftovers: Leftovers) -> None:
    with program(tmp_path) as running:
        running.await_rows()
        for pid in leftovers._pids():
            if pid != running.child.pid:
                os.kill(pid, signal.SIGSTOP)
        running.child.kill()
        leftovers.await_none()


SUSPENDED = """
sink.at_home = True
flow.settings = Settings(silence="2s", listen={listen!r})

if __name__ == "__main__":
    import time
    from engine import crew

    class Clock:
        @staticmethod
        def monotonic():
            return time.monotonic() / 1000 + 1000 * (folder / "late").exists()

    crew.time = Clock
"""
"""The clock of the job goes so slowly that no worker is ever late, however busy the machine, until it is set on."""


@pytest.mark.parametrize("listen", ["", "127.0.0.1"], ids=["files", "tcp"])
def test_a_program_that_was_suspended_goes_on(tmp_path: Path, listen: str) -> None:
    """Whatever the silence that a worker may keep: its parent did not listen, and was in reach all the time."""
    with program(tmp_path, SUSPENDED.format(listen=listen) + RUN) as running:
        running.await_rows()
        os.kill(running.child.pid, signal.SIGSTOP)
        running.await_that(lambda: running.state == "T", "it was not stopped")
        (tmp_path / "late").touch()
        with suppress(subprocess.TimeoutExpired):  # longer than its workers may be without a connection
            running.child.wait(3)
        os.kill(running.child.pid, signal.SIGCONT)
        before = len(running.rows)
        running.await_that(lambda: len(running.rows) > before + 20_000, "nothing more was written")
        running.signal(signal.SIGINT)
        assert running.ends() == 0, running.said
        state, read, written = running.said.splitlines()[-1].split()
    assert (state, read) == ("stopped", written)
    assert running.rows == [*map(str, range(int(read))), "finish"]


def test_a_program_that_ends_with_a_job_running_ends(tmp_path: Path, leftovers: Leftovers) -> None:
    text = """
if __name__ == "__main__":
    job = flow.start()
    while not lines.exists():
        threading.Event().wait(0.005)
    print("leaving")
"""
    with program(tmp_path, text) as running:
        assert running.ends() == 0, running.said
        assert "leaving" in running.said.splitlines()
        leftovers.await_none()


def test_a_program_that_ends_while_workers_start_ends(tmp_path: Path, leftovers: Leftovers) -> None:
    with program(tmp_path, 'if __name__ == "__main__":\n    job = flow.start()\n    print("leaving")\n') as running:
        assert running.ends() == 0, running.said
        assert running.said == "leaving\n"
        leftovers.await_none()


def test_a_program_without_a_guard_is_told_to_have_one(tmp_path: Path, leftovers: Leftovers) -> None:
    with program(tmp_path, "flow.run()\n") as running:
        assert running.ends() == 1
        assert "GraphError: flow 'program' is run while a worker process imports" in running.said
        assert 'hint: put flow.run(...) under if __name__ == "__main__":' in running.said
    leftovers.await_none()


INTERACTIVE = """
from connectors.memory import collect, generate
from engine import Dataflow
import msgspec

class Pair(msgspec.Struct):
    key: int
    value: int

def pair(i: int) -> Pair:
    return Pair(i % 3, i)

flow, got = Dataflow("repl"), []
pairs = flow.source(generate(lambda i: i, count=30)).map(pair)
pairs.key_by("key").fold(int, lambda s, p: s + p.value).sink(collect(got))
flow.run(processes=2).state
sorted(got)
"""


def test_a_flow_from_a_repl_on_a_pipe(leftovers: Leftovers) -> None:
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=INTERACTIVE.replace("\n\nd", "\n\n\nd"),
        capture_output=True,
        text=True,
        timeout=40,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    expected = [(k, sum(range(k, 30, 3))) for k in range(3)]
    assert done.stdout.splitlines() == ["'finished'", str(expected)], done.stderr
    leftovers.await_none()


def test_lines_of_workers_do_not_tear_the_live_table(tmp_path: Path) -> None:
    """On a terminal, each stands whole on a line of its own."""
    text = """
if __name__ == "__main__":
    flow.run(progress=True)
"""
    (tmp_path / "gate").touch()
    (tmp_path / "program.py").write_text(HEAD.format(folder=str(tmp_path)) + text)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(PYTHONPATH=str(ROOT), COLUMNS="150", TERM="xterm")
        os.execv(sys.executable, [sys.executable, str(tmp_path / "program.py")])
    seen = b""
    with suppress(OSError):  # the terminal goes with the program
        while some := os.read(terminal, 1 << 16):
            if seen.count(b"worker-1: <talk") < 200 <= (seen + some).count(b"worker-1: <talk"):
                os.kill(pid, signal.SIGINT)
            seen += some
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen[-2000:]
    assert b"\x1b[" in seen
    lines = [line for line in seen.split(b"\n") if b"<talk" in line]
    assert len(lines) >= 200
    numbers = [line.partition(b"worker-1: <" + b"talk " * 10)[2].partition(b">")[0] for line in lines]
    assert numbers == [str(50 * i).encode() for i in range(len(numbers))]
