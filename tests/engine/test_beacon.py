"""The beacon: a job's socket is there while it runs, only for its user, and costs a job nothing when it cannot be."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Dataflow, JobCancelled, beacon
from engine.beacon import ask, directories, found
from engine.job import Job
from engine.snapshot import Snapshot
from tests.engine.helpers import ListSink, ListSource

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of the test's own, with a short path, in which alone sockets are made."""
    path = Path(tempfile.mkdtemp(prefix="hg", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr(beacon, "directories", lambda: [path / "headgate"])
    yield path / "headgate"
    shutil.rmtree(path)


def endless(name: str = "endless") -> tuple[Dataflow, threading.Event]:
    """A flow that waits for an event in its sink."""
    gate, flow = threading.Event(), Dataflow(name)
    flow.source(ListSource(range(100)), name="in").sink(
        ListSink(refuse=lambda record: gate.wait(60), blocking=True, batch=1), name="out"
    )
    return flow, gate


def test_a_running_job_answers_and_leaves_nothing(runtime: Path) -> None:
    flow, gate = endless()
    with flow.start() as job:
        (path,) = found()
        assert path == runtime / f"endless-{os.getpid()}"
        for _ in range(3):
            seen = ask(path)
            assert (seen.name, seen.pid, seen.state) == ("endless", os.getpid(), "running")
            assert [each.name for each in seen.metrics().operators] == ["in", "out"]
            assert seen.reports[0].memory > 1_000_000
        assert runtime.stat().st_mode & 0o777 == 0o700
        gate.set()
        job.wait()
    assert list(runtime.iterdir()) == []
    with pytest.raises(OSError, match=r"No such file|refused"):
        ask(path)
    assert job.metrics().records_written == 100


def test_nothing_is_computed_while_nobody_asks(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    take = Job.snapshot

    def snapshot(job: Job) -> Snapshot:
        asked.append(job)
        return take(job)

    monkeypatch.setattr(Job, "snapshot", snapshot)
    flow, gate = endless()
    job = flow.start()
    (path,) = found()
    assert not asked
    ask(path)
    assert len(asked) == 1
    gate.set()
    assert job.join()


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_nothing_is_left_however_a_job_ends(runtime: Path, how: str) -> None:
    flow, gate = endless()
    job = flow.start()
    assert len(list(runtime.iterdir())) == 1
    job.cancel() if how == "is cancelled" else job._failed(job.attempt, RuntimeError("planted"))
    gate.set()
    with pytest.raises((JobCancelled, RuntimeError)):
        job.wait()
    assert list(runtime.iterdir()) == []


def test_a_job_that_cannot_start_leaves_nothing(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(endless()[0])
    monkeypatch.setattr(job.attempt.part, "start", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        job.start()
    assert list(runtime.iterdir()) == []


def test_jobs_of_one_name_have_a_socket_each(runtime: Path) -> None:
    (one, gate), (two, other) = endless("a job/with a näme" * 9), endless("a job/with a näme" * 9)
    with one.start(), two.start():
        paths = list(found())
        assert {ask(path).name for path in paths} == {one.name}
        assert len(paths) == 2
        gate.set()
        other.set()
    assert list(runtime.iterdir()) == []


def test_the_first_place_that_will_do_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    own = Path(f"/tmp/headgate-{os.getuid()}")
    assert directories() == [Path("/run/user/7/headgate"), own]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert directories() == [own]


@pytest.mark.parametrize("why", ["no parent", "a file", "a link", "others may enter", "a long path", "no thread"])
def test_a_job_goes_on_where_no_socket_can_be_made(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path
) -> None:
    directory = tmp_path / "headgate"
    if why == "no parent":
        directory = tmp_path / "missing" / "headgate"
    elif why == "a file":
        directory.write_text("")
    elif why == "a link":
        runtime.mkdir(mode=0o700)
        directory.symlink_to(runtime)
    elif why == "others may enter":
        directory.mkdir()
        directory.chmod(0o755)
    elif why == "a long path":
        directory = tmp_path / ("x" * 100)
    else:
        directory = runtime
    monkeypatch.setattr(beacon, "directories", lambda: [directory])
    flow, gate = endless()
    with monkeypatch.context() as context:
        if why == "no thread":
            real = threading.Thread
            context.setattr(
                "threading.Thread",
                lambda *args, **named: 1 / 0 if named.get("name") == "headgate-top" else real(*args, **named),
            )
        job = flow.start()
    assert list(found()) == []
    gate.set()
    assert job.wait().state == "finished"
    assert not directory.is_dir() or list(directory.iterdir()) == []


PROGRAM = """
import sys
from tests.engine.test_beacon import endless
flow, gate = endless("child")
job = flow.start()
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def child(runtime: Path) -> Iterator[subprocess.Popen[str]]:
    """A program with a running job, which ends with the next line that it reads, the job still running."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_program_that_ends_with_its_job_running_removes_the_socket(
    runtime: Path, child: subprocess.Popen[str]
) -> None:
    (path,) = found()
    assert ask(path).pid == child.pid
    child.communicate("\n", timeout=60)
    assert list(runtime.iterdir()) == []


def test_what_a_killed_process_leaves_the_next_one_removes(runtime: Path, child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    assert len(list(runtime.iterdir())) == 1
    flow, gate = endless()
    with flow.start():
        assert [path.name for path in runtime.iterdir()] == [f"endless-{os.getpid()}"]
        gate.set()


def test_whoever_looks_removes_what_a_killed_process_left(runtime: Path, child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    assert list(found()) == []
    assert list(runtime.iterdir()) == []


def test_a_stopped_job_is_there_and_does_not_answer(
    runtime: Path, child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beacon, "_ASK_SECONDS", 0.1)
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)  # a signal takes its time
    (path,) = found()
    with pytest.raises(TimeoutError):
        ask(path)
    child.send_signal(signal.SIGCONT)


def test_whoever_asks_and_goes_does_no_harm(runtime: Path) -> None:
    flow, gate = endless()
    with flow.start():
        (path,) = found()
        for _ in range(5):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(str(path))
        assert ask(path).name == "endless"
        gate.set()


def test_an_answer_of_another_version_is_no_answer(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    path = runtime / f"other-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(1) == b"", "a question that says nothing comes whole before the answer"
                connection.sendall(b"\x93\x01\x02\x03")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ValueError, match=r"Expected .* of at least length"):
            ask(path)
        thread.join()
