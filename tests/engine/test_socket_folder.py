"""Folders of sockets: what nobody uses any more is removed by the next job, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.memory import collect, generate
from engine import Dataflow, socket_folder


def test_the_folder_of_a_killed_job_goes_with_the_next_one(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = tmp_path_factory.mktemp("t")  # paths of sockets are short
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    others = {"headgate-0", "headgate-ours", "other-0123456789abcdef"}
    for name in others:
        (tmp_path / name).mkdir()
    used = socket_folder.new_name(str(tmp_path))
    lock = socket_folder.make(used)
    killed = socket_folder.new_name(str(tmp_path))
    program = "import os, sys; from engine.socket_folder import make; make(sys.argv[1]); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program, killed], timeout=30, check=False).returncode == -9
    Path(killed, "0-data").touch()
    Path(used, "0-data").touch()
    flow, got = Dataflow("next"), list[int]()
    flow.source(generate(int, count=10)).map(abs).sink(collect(got))
    flow.run(processes=2)
    assert {*os.listdir(tmp_path)} == {*others, os.path.basename(used)}
    assert os.listdir(used) == ["0-data"]
    os.close(lock)
    socket_folder.sweep(str(tmp_path))
    assert {*os.listdir(tmp_path)} == others
