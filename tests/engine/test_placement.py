"""Workers' processes: started, heard, killed, and gone when whoever started them is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine import JobError
from engine.placement import LocalPlacement
from engine.slot import LONGEST_LINE, LocalSlot

SECONDS = 30
ROOT = Path(__file__).parents[2]
MODULE = "tests.engine.scripted_worker"

pytestmark = pytest.mark.timeout(120)


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, what
        pause.wait(0.01)


class Heard:
    """The lines of all workers, in the order in which they came."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def await_line(self, name: str, line: str) -> None:
        eventually(lambda: (name, line) in self.lines, f"{name} never said {line!r}, but {self.lines}")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def placement(heard: Heard) -> Iterator[LocalPlacement]:
    with LocalPlacement(heard, module=MODULE) as local:
        yield local


def program(text: str) -> bytes:
    return textwrap.dedent(text).encode()


def ended(slot: LocalSlot) -> str:
    assert slot.wait(SECONDS)
    assert not slot.alive()
    return slot.exit_text()


def test_lines_come_with_names_and_exit_codes_as_text(placement: LocalPlacement, heard: Heard) -> None:
    talk = "import os, sys; print('out', os.getppid()); print('err', file=sys.stderr); sys.exit({})"
    slots = [placement.start(index, talk.format(index).encode()) for index in (0, 3)]
    assert [ended(slot) for slot in slots] == ["exit code 0", "exit code 3"]
    for name in ("worker-0", "worker-3"):
        assert [line for who, line in heard.lines if who == name] == [f"out {os.getpid()}", "err"]
    assert slots[1].last_words() == [f"out {os.getpid()}", "err"]


def test_lines_are_cut_and_mended_and_the_last_twenty_kept(placement: LocalPlacement, heard: Heard) -> None:
    slot = placement.start(
        1,
        program(f"""
        import os
        os.write(1, b"x" * {3 * LONGEST_LINE} + b"\\n" + b"caf\\xe9\\r\\n")
        os.write(1, b"".join(b"%d\\n" % i for i in range(39)) + b"no end of line")
        """),
    )
    ended(slot)
    lines = [line for _, line in heard.lines]
    assert lines[0] == "x" * LONGEST_LINE + "..."
    assert lines[1] == "caf\ufffd"
    assert slot.last_words() == [*map(str, range(39)), "no end of line"] == lines[-40:]


def test_a_callback_may_raise_and_may_ask_for_the_last_words() -> None:
    words: list[list[str]] = []

    def on_line(name: str, line: str) -> None:
        words.append(slots[0].last_words())
        raise ValueError(line)

    with LocalPlacement(on_line, module=MODULE) as placement:
        slots = [placement.start(1, b"input_ = open('/dev/stdin').read(); print(repr(input_)); print(2)")]
        ended(slots[0])
    assert words == [["''"], ["''", "2"]]


def test_a_bootstrap_of_any_size_arrives_and_start_does_not_wait(placement: LocalPlacement) -> None:
    filler = b"#" * 3_000_000
    slots = [placement.start(i, b"'" + filler + b"'; print('all')") for i in (1, 2)]
    for slot in slots:
        assert ended(slot) == "exit code 0"
        assert slot.last_words() == ["all"]


def test_a_worker_that_never_reads_its_bootstrap_holds_nobody_up(heard: Heard) -> None:
    with LocalPlacement(heard, module="no_such_module_at_all") as placement:
        slot = placement.start(1, b"x" * 3_000_000)
        assert ended(slot) == "exit code 1"
        assert "No module named no_such_module_at_all" in slot.last_words()[-1]


def test_no_such_interpreter(heard: Heard) -> None:
    with (
        LocalPlacement(heard, python="/no/such/python") as placement,
        pytest.raises(JobError, match=r"worker-4 could not be started with /no/such/python: .*No such file"),
    ):
        placement.start(4, b"")


def test_who_is_prepared_begins_when_it_is_started(placement: LocalPlacement, heard: Heard) -> None:
    placement.prepare([1, 2])
    waiting = placement._slots[:]
    slots = [placement.start(index, b"print('begun')") for index in (1, 2, 1)]
    assert slots[:2] == waiting
    assert [ended(slot) for slot in slots] == ["exit code 0"] * 3
    assert sorted(heard.lines) == [("worker-1", "begun"), ("worker-1", "begun"), ("worker-2", "begun")]


def test_who_has_died_in_waiting_is_started_anew(placement: LocalPlacement) -> None:
    placement.prepare([1])
    (waiting,) = placement._slots
    waiting.kill()
    ended(waiting)
    assert ended(placement.start(1, b"print('begun')")) == "exit code 0"


def test_what_cannot_be_prepared_is_told_by_the_start(heard: Heard) -> None:
    with LocalPlacement(heard, python="/no/such/python") as placement:
        placement.prepare([1])
        with pytest.raises(JobError, match="worker-1 could not be started"):
            placement.start(1, b"")


def test_the_end_of_a_worker_can_be_polled_for(placement: LocalPlacement) -> None:
    slot = placement.start(1, b"import time; time.sleep(1000)")
    ((descriptor, events),) = slot.awaited
    poll = select.poll()
    poll.register(descriptor, events)
    assert poll.poll(0) == []
    slot.kill()
    assert poll.poll(1000 * SECONDS)
    assert not slot.alive()


def test_signals_are_named(placement: LocalPlacement, heard: Heard) -> None:
    wait = b"import time; print('up'); time.sleep(1000)"
    slots = [placement.start(index, wait) for index in (1, 2)]
    for slot in slots:
        heard.await_line(slot.name, "up")
        assert slot.alive()
        assert slot.exit_text() == "still running"
        assert not slot.wait(0)
    slots[0].kill()
    slots[1].signal(signal.SIGTERM)
    assert [ended(slot) for slot in slots] == ["killed by SIGKILL", "killed by SIGTERM"]
    slots[0].kill()
    slots[0].signal(signal.SIGTERM)


def test_a_crash_in_c_leaves_its_traceback(placement: LocalPlacement) -> None:
    slot = placement.start(1, b"import ctypes; ctypes.string_at(0)")
    assert ended(slot) == "killed by SIGSEGV"
    assert any("Segmentation fault" in line for line in slot.last_words())


def test_kill_takes_along_what_the_worker_started(placement: LocalPlacement, heard: Heard) -> None:
    slot = placement.start(
        1,
        program("""
        import subprocess
        print(subprocess.Popen(["sleep", "1000"]).pid)
        print("up")
        input_ = __import__("time").sleep(1000)
        """),
    )
    heard.await_line("worker-1", "up")
    other = int(slot.last_words()[0])
    slot.kill()
    assert ended(slot) == "killed by SIGKILL"
    eventually(lambda: is_gone(other), "what the worker started still runs")


def test_workers_are_out_of_reach_of_the_terminal(placement: LocalPlacement) -> None:
    slot = placement.start(1, b"import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())")
    ended(slot)
    assert slot.last_words() == ["True"]


def test_a_worker_finds_what_its_parent_finds_and_nothing_in_the_folder(
    placement: LocalPlacement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.py").write_text("raise ImportError('another engine')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    slot = placement.start(1, b"import engine, cext, sys; print(engine.__file__, cext.__file__)")
    assert ended(slot) == "exit code 0"
    assert slot.last_words() == [f"{sys.modules['engine'].__file__} {sys.modules['cext'].__file__}"]


def test_leaving_kills_and_leaves_no_thread(heard: Heard) -> None:
    with LocalPlacement(heard, module=MODULE) as placement:
        slot = placement.start(1, b"import time; time.sleep(1000)")
    assert slot.exit_text() == "killed by SIGKILL"
    assert not [thread for thread in threading.enumerate() if thread.name == "headgate-placement"]


# The parent dies.

PARENT = f"""
import os, sys, threading
from engine.placement import LocalPlacement

def say(name, line):
    print(line, flush=True)

placement = LocalPlacement(say, module="{MODULE}")
slot = placement.start(1, open(sys.argv[1], "rb").read())
print(slot.pid, flush=True)
if sys.argv[2:] == ["fork"] and os.fork() == 0:
    threading.Event().wait(1000)
threading.Event().wait(1000)
"""

WATCHED = """
import os, signal, time
from engine.lifeline import watch
watch(lambda: open({mark!r}, "w").close())
{then}
"""

ENDINGS = {
    "sleeps": "print('up'); time.sleep(1000)",
    "spins": "print('up')\nwhile True: pass",
    "keeps the GIL in C": "import ctypes; ctypes.PyDLL(None).system(b'echo up; exec sleep 1000')",
    "blocks every signal": "signal.pthread_sigmask(signal.SIG_BLOCK, {*range(1, 31)}); print('up'); time.sleep(1000)",
    "is stopped": "print('up'); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(1000)",
}


def is_gone(pid: int) -> bool:
    """Whether `pid` runs no more; nobody may be there to reap an orphan."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def kill_the_parent(tmp_path: Path, then: str, *arguments: str) -> Path:
    """Start a parent whose worker does `then`, kill it, await the worker's end; the mark of its clean-up."""
    mark = tmp_path / "cleaned"
    (tmp_path / "worker").write_text(WATCHED.format(mark=str(mark), then=then))
    command = [sys.executable, "-c", PARENT, str(tmp_path / "worker"), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            assert parent.stdout.readline() == "up\n"
            if "SIGSTOP" in then:
                eventually(lambda: state_of(pid) == "T", "the worker does not stop")
            parent.kill()
            eventually(lambda: is_gone(pid), "the worker outlives its parent")
        finally:
            for group in (parent.pid, pid):  # with what it has started
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
    return mark


@pytest.mark.parametrize("then", ENDINGS.values(), ids=ENDINGS)
def test_a_killed_parent_leaves_no_worker(tmp_path: Path, then: str) -> None:
    mark = kill_the_parent(tmp_path, then)
    assert mark.exists() == ("PyDLL" not in then)


def test_a_fork_of_the_parent_does_not_keep_its_workers_alive(tmp_path: Path) -> None:
    assert kill_the_parent(tmp_path, ENDINGS["sleeps"], "fork").exists()


WAITING_PARENT = f"""
import os, threading
from engine.placement import LocalPlacement

placement = LocalPlacement(print, module="{MODULE}")
placement.prepare([1])
if os.fork() == 0:
    threading.Event().wait(1000)
print(placement._slots[0].pid, flush=True)
threading.Event().wait(1000)
"""


def test_a_worker_that_waits_for_its_bootstrap_ends_with_its_parent_though_a_fork_holds_the_pipe() -> None:
    command = [sys.executable, "-c", WAITING_PARENT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            eventually(lambda: os.readlink(f"/proc/{pid}/fd/0") == os.devnull, "the worker does not wait")
            parent.kill()
            eventually(lambda: is_gone(pid), "the worker outlives its parent")
        finally:
            for group in (parent.pid, pid):
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)


def test_a_clean_up_that_hangs_or_raises_does_not_keep_a_worker(tmp_path: Path) -> None:
    for trouble in ("time.sleep(1000)", "1 / 0"):
        kill_the_parent(tmp_path, f"watch(lambda: {trouble}); {ENDINGS['sleeps']}")


def test_a_parent_that_dies_before_it_has_said_everything() -> None:
    command = [sys.executable, "-m", MODULE]
    done = subprocess.run(
        command, input=b"\0" * 7 + b"\5abc", capture_output=True, timeout=SECONDS, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr.endswith(b"EOFError: the process that started this worker is gone\n")
