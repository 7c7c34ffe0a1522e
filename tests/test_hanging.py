"""What a test that hangs says in a run of several at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

TEST = """
import subprocess, sys, threading, time

def waits_for_ever():
    time.sleep(1000)

def test_hangs():
    print("what it has printed")
    threading.Thread(target=waits_for_ever, name="stuck", daemon=True).start()
    program = "def child_waits():\\n    import time; print('up', flush=True); time.sleep(1000)\\nchild_waits()"
    child = subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", program], stdout=subprocess.PIPE)
    child.stdout.readline()
    child.wait()
    time.sleep(1000)
"""


def test_a_test_that_hangs_says_where_all_its_threads_and_processes_are(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--numprocesses", "1", "--max-worker-restart", "0"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--timeout", "2", "--rootdir", tmp_path, tmp_path / "test_it.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, str(ROOT)]))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 1
    for said in (
        "test_it.py::test_hangs has not ended within 2 s\n",
        "--- thread stuck\n",
        "in waits_for_ever",
        "--- thread MainThread\n",
        "child.wait()",
        "-X faulthandler -c def child_waits():",
        "--- captured\nwhat it has printed\n",
        "in child_waits",
        "worker 'gw0' crashed while running 'test_it.py::test_hangs'",
    ):
        assert said in ran.stdout, ran.stdout
