"""`headgate run --checkpoint` and `headgate stop --savepoint`: a job that is stopped from outside and goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import CheckpointError, HeadgateError, beacon
from engine.checkpoints import Checkpoints
from engine.cli import _commands
from engine.job import Job
from engine.stopping import stop
from tests.engine.saved import Numbers, Shown
from tests.engine.test_beacon import endless
from tests.engine.test_checkpoints import counting, often

pytest.importorskip("click")

JOB = """
from connectors.memory import generate
from connectors.files import json_lines_file
from engine import Dataflow

bad = [BAD]

def numbered(count, number):
    if number in bad:
        bad.clear()
        raise ValueError("once")
    count = (count or 0) + 1
    return count, [count, number]

flow = Dataflow("numbers")
numbers = flow.source(generate(int, count=COUNT, rate=2000), name="in")
numbers.key_by(lambda number: number % 2).stateful_map(numbered, type=list[int]).sink(json_lines_file("out.jsonl"))
"""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of the test's own, with a short path, in which alone sockets are made, by programs it starts too."""
    path = Path(tempfile.mkdtemp(prefix="hg", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr(beacon, "directories", lambda: [path / "headgate"])
    yield path
    shutil.rmtree(path)


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    return subprocess.Popen(
        [sys.executable, "-c", "from engine.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_job_is_stopped_with_a_savepoint_and_goes_on_from_it(tmp_path: Path, runtime: Path) -> None:
    (tmp_path / "job.py").write_text(JOB.replace("COUNT", "10**9").replace("BAD", "-1"))
    first = command(tmp_path, "run", "job.py", "--checkpoint", "state", "--interval", "50ms")
    results = tmp_path / "out.jsonl"
    until = time.monotonic() + 60
    while not results.exists():
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < until
        os.sched_yield()
    code, out, err = done(command(tmp_path, "stop", "numbers", "--savepoint", "a"))
    assert (code, out, err) == (0, f"job 'numbers' has ended with the savepoint {tmp_path}/state/savepoints/a\n", "")
    code, out, err = done(first)
    assert (code, err) == (0, "")
    assert out.startswith("stopped after ")
    assert "\ncheckpoint " in out
    before = results.read_text().splitlines()
    count = len(before) + 10
    (tmp_path / "job.py").write_text(JOB.replace("COUNT", str(count)).replace("BAD", str(count - 5)))
    code, out, err = done(command(tmp_path, "run", "job.py", "--checkpoint", "state", "--from", "a"))
    assert code == 0
    assert err.startswith("job 'numbers': OperatorError: operator 'stateful_map numbered' (job.py:")
    assert re.search(r"once.*; in 0\.1 s it goes on from checkpoint \d+ \(restart 1 of 5\)\n$", err)
    assert "finished after " in out
    rows = results.read_text().splitlines()
    assert rows == [f"[{number // 2 + 1},{number}]" for number in range(count)]


def test_options_that_want_a_directory_say_so(tmp_path: Path) -> None:
    from click.testing import CliRunner

    (tmp_path / "job.py").write_text("from engine import Dataflow\nflow = Dataflow('x')\n")
    told = CliRunner().invoke(_commands(), ["run", str(tmp_path / "job.py"), "--from", "a"])
    assert told.exit_code == 2
    assert "--interval, --from, --drop and --again want --checkpoint DIR" in told.output


def test_a_job_without_checkpoints_is_not_stopped_with_a_savepoint(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, gate = endless("plain")
    with flow.start() as job:
        with pytest.raises(
            CheckpointError, match=r"job 'plain' makes no checkpoints, .*\n  hint: run it with checkpoint="
        ):
            stop("plain", "a")
        assert job.state == "running"
        monkeypatch.setattr(job, "stop", lambda savepoint: gate.set())
        assert stop(str(os.getpid()), None) == "job 'plain' has ended"


def test_who_is_not_there_or_not_alone(runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadgateError, match="no job 'nobody' of yours is running"):
        stop("nobody", None)
    (one, first), (two, second) = endless("same"), endless("same")
    with one.start(), two.start():
        pids = re.escape(f"{os.getpid()}, {os.getpid()}")
        with pytest.raises(HeadgateError, match=f"2 jobs 'same' are running\n  hint: say .*: {pids}"):
            stop("same", None)
        first.set()
        second.set()


def test_one_that_ended_without_the_savepoint_is_no_success(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job: Job = counting(Shown(), None, Numbers(10**9)).start(checkpoint=often(tmp_path))
    monkeypatch.setattr(job, "stop", lambda savepoint: job.cancel())
    with pytest.raises(CheckpointError, match=f"has ended without the savepoint {tmp_path}/savepoints/a\n  hint: "):
        stop("counting", "a")
    assert job.state == "cancelled"


def test_nor_is_one_that_ended_without_a_last_checkpoint(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job: Job = counting(Shown(), None, Numbers(10**9)).start(checkpoint=Checkpoints(into=str(tmp_path), interval="1h"))
    monkeypatch.setattr(job, "stop", lambda savepoint: job.cancel())
    with pytest.raises(CheckpointError, match="has ended without another checkpoint\n  hint: "):
        stop("counting", None)
