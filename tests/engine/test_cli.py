"""The command: run and explain a flow that stands in a file or module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import HeadgateError
from engine.cli import load

pytest.importorskip("click")

JOB = """
from engine import Dataflow
from tests.engine.helpers import ListSink, ListSource

def make():
    flow = Dataflow("made")
    flow.source(ListSource([1, 2, 0])).map(lambda x: 1 // x, name="divide").sink(ListSink())
    return flow

flow = Dataflow("ready")
flow.source(ListSource([1, 2, 3]), name="in").sink(ListSink(), name="out")
also = flow
number = 3
"""


HIDDEN = """
import sys
from engine.cli import main
main()
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job_for_tests.py"
    path.write_text(JOB)
    return path


def headgate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    command = "from engine.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_prints_what_was_done(job: Path) -> None:
    done = headgate("run", job)
    assert done.returncode == 0
    assert done.stdout.startswith("finished after ")
    assert "3 records read" in done.stdout
    assert done.stderr == ""


def test_a_job_that_fails_prints_its_result_and_its_error(job: Path) -> None:
    done = headgate("run", f"{job}:make")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("failed after ")
    assert "OperatorError: operator 'divide' (job_for_tests.py:7) failed in lambda (" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_explain(job: Path) -> None:
    done = headgate("explain", f"{job}:flow")
    assert done.returncode == 0
    assert done.stdout.startswith("flow 'ready'\nin (source list)\n")
    assert headgate("explain", job, "--mermaid").stdout.startswith("flowchart LR\n")


def test_what_is_loaded(job: Path) -> None:
    assert load(str(job)).name == "ready"
    assert load(f"{job}:also").name == "ready"
    assert load(f"{job}:make").name == "made"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nowhere.py", "there is no file nowhere.py in "),
        ("no_such_module_at_all", "there is no module 'no_such_module_at_all'\n  hint: give a path that ends in .py"),
        ("{job}:nothing", "wanted a Dataflow, or a function that returns one, as 'nothing' in .*, found None"),
        ("{job}:number", "wanted a Dataflow, or a function that returns one, as 'number' in .*, found 3"),
        ("textwrap", "wanted one Dataflow in textwrap, found none\n  hint: name it: textwrap:flow"),
    ],
)
def test_what_is_not_there(job: Path, target: str, text: str) -> None:
    with pytest.raises(HeadgateError, match=text):
        load(target.format(job=job))


def test_two_flows_in_a_file_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "two_for_tests.py"
    path.write_text("from engine import Dataflow\none, two = Dataflow('one'), Dataflow('two')\n")
    with pytest.raises(HeadgateError, match=r"wanted one Dataflow in .*, found 2: one, two"):
        load(str(path))
    assert load(f"{path}:two").name == "two"


def test_bench_lists_the_benchmarks_of_a_checkout_and_says_where_they_are_not(tmp_path: Path) -> None:
    assert "slow-sink" in headgate("bench", "--help").stdout
    (tmp_path / "benchmarks").mkdir()  # somebody else's
    (tmp_path / "benchmarks" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, "bench", "slow-sink"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the benchmarks are not here" in done.stderr
