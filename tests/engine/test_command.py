"""The command as a process: exit codes, jobs of several processes, and a look at one from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from engine.cli import CANCELLED, FAILED

pytest.importorskip("click")

ROOT = Path(__file__).parents[2]
SECONDS = 60

JOB = """
import os, sys, time
from connectors.memory import generate
from engine import Dataflow, Sink, Writer

class Slow(Sink, Writer):
    def open(self, context):
        return self
    def write(self, records):
        if not os.path.exists("ready"):
            open("ready", "w").close()
            print("loading", flush=True)
        time.sleep(len(records) / 2000)

class Drip(Slow):
    batch_records = 1
    def write(self, records):
        super().write(records)
        time.sleep(0.05)

def divide(x):
    return 60 // (3 - x)

def make(sink, count=None):
    flow = Dataflow("command")
    flow.source(generate(int, count=count), name="read").map(abs, name="same").stage("load").sink(sink, name="load")
    return flow

def short():
    return make(Slow(), 100)

def endless():
    return make(Slow())

def long_to_drain():
    return make(Drip())

def wrong():
    flow = Dataflow("wrong")
    flow.source(generate(int, count=10)).map(divide, name="divide").sink(Slow())
    return flow
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "command_job.py"
    path.write_text(JOB)
    return path


def start(job: Path, *arguments: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    return subprocess.Popen(
        [sys.executable, "-c", "from engine.cli import main; main()", *arguments],
        cwd=job.parent,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def headgate(job: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    with start(job, *arguments) as process:
        out, errors = process.communicate(timeout=SECONDS)
        return process.returncode, out, errors


@contextmanager
def loading(job: Path, target: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """`headgate run` of a target of `job`, once its sink has the first records, and its errors."""
    with start(job, "run", f"command_job.py:{target}", "--processes", "1") as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line == "worker-2: loading\n":
                    break
            yield process, process.stderr
        finally:
            process.kill()


def test_a_job_of_several_processes_finishes(job: Path) -> None:
    code, out, errors = headgate(job, "run", "command_job.py:short", "--processes", "2")
    assert (code, errors) == (0, "worker-3: loading\n")
    assert out.startswith("finished after ")
    assert " 100 records read" in out


def test_the_plan_for_several_processes(job: Path) -> None:
    code, out, _ = headgate(job, "explain", "command_job.py:short", "--processes", "2")
    assert code == 0
    assert "[worker 1, worker 2]" in out
    assert "[worker 3]" in out
    assert "[worker 3]" not in headgate(job, "explain", "command_job.py:short")[1]


def test_a_number_of_processes_below_one_is_a_wrong_command_line(job: Path) -> None:
    code, _, errors = headgate(job, "run", "command_job.py:short", "--processes", "0")
    assert code == 2
    assert "--processes" in errors


def test_a_failure_comes_with_the_traceback_of_the_users_function_alone(job: Path) -> None:
    code, out, errors = headgate(job, "run", "command_job.py:wrong", "--processes", "2")
    assert (code, out) == (FAILED, "")
    assert "OperatorError: operator 'divide'" in errors
    assert "ZeroDivisionError" in errors
    assert "in worker-1:\nTraceback (most recent call last):\n" in errors
    assert "in divide\n" in errors
    assert "engine/" not in errors


def test_the_first_interrupt_stops_the_job_and_that_is_no_failure(job: Path) -> None:
    with loading(job, "endless") as (process, _):
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        assert out.startswith("stopped after ")
        assert " 0 written" not in out


def test_the_second_interrupt_cancels_it(job: Path) -> None:
    with loading(job, "long_to_drain") as (process, errors):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == CANCELLED
        text = errors.read()
        assert "JobCancelled: job 'command' was cancelled" in text
        assert "Traceback" not in text


def test_the_exit_codes_are_in_the_help(job: Path) -> None:
    told = " ".join(headgate(job, "run", "--help")[1].split())
    assert "Exit codes: 0 it finished, or was stopped by the first Ctrl-C; 1 it failed" in told
    assert "130 it was cancelled by the second" in told


def test_top_sees_a_job_of_another_program(job: Path) -> None:
    with loading(job, "endless") as (process, _):
        code, out, errors = headgate(job, "top", str(process.pid), "--once", "--every", "0.5")
        assert (code, errors) == (0, "")
        assert out.startswith("command: running for ")
        for word in ("read", "same", "load", "worker 1", "worker 2", "home"):
            assert word in out
        code, out, _ = headgate(job, "top", str(process.pid), "--json", "--every", "0.5")
        assert code == 0
        told = json.loads(out)
        assert told["bottleneck"] == {"operator": "load", "worker": None}
        assert told["sentence"].startswith("sink 'load' is the bottleneck: busy ")
        assert [each["worker"] for each in told["processes"]] == [0, 1, 2]
        assert all(os.path.exists(f"/proc/{each['pid']}") for each in told["processes"])
    code, out, errors = headgate(job, "top", str(process.pid), "--once")
    assert (code, out) == (FAILED, "")
    assert errors.startswith(f"HeadgateError: no job '{process.pid}' of yours is running")
