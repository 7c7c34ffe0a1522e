"""Another machine, as far as the network knows: a namespace behind a link that can lose packets, be cut, or vanish."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine import crew
from engine.placement import LocalPlacement
from engine.slot import LocalSlot, OnLine

RULES = """
table inet headgate {{
    chain coming {{ type filter hook input priority 0; {rule}; }}
    chain going {{ type filter hook output priority 0; {rule}; }}
}}
"""


class FarMachine:
    """A network namespace, the link to it, and what happens on that."""

    def __init__(self) -> None:
        number = _new_namespace()
        self.name, self.link = f"headgate-{number}", f"hg-{number}"
        network = f"198.{18 + number // 256}.{number % 256}"  # RFC 2544: of tests, on no real network
        self.home, self.far, self.near = (f"{network}.{host}" for host in (1, 2, 3))
        """Where the job is, its far worker, and the near one, which is on the job's machine."""
        self.has_rules = False

    def connect(self) -> None:
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "far", "netns", self.name)
        for address in (self.home, self.near):
            _run("ip", "address", "add", f"{address}/24", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        for command in (f"address add {self.far}/24 dev far", "link set far up", "link set lo up"):
            _run("ip", "-n", self.name, *command.split())

    def remove(self) -> None:
        """The link goes with it."""
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, timeout=20, check=False)

    def filter(self, *rules: str) -> None:
        """Have its kernel treat what comes and what goes by these rules alone; without any all passes."""
        if self.has_rules:
            self._nft("delete table inet headgate")
        self.has_rules = bool(rules)
        if rules:
            self._nft(RULES.format(rule="; ".join(rules)))

    def set_link(self, state: str) -> None:
        """Plug its end of the link in ("up") or out ("down")."""
        _run("ip", "-n", self.name, "link", "set", "far", state)

    def vanish(self) -> None:
        """Have its address no more."""
        _run("ip", "-n", self.name, "address", "flush", "dev", "far")

    def python(self, folder: Path) -> Path:
        """An interpreter that runs there."""
        script = folder / "far-python"
        script.write_text(f'#!/bin/sh\nexec ip netns exec {self.name} {sys.executable} "$@"\n')
        script.chmod(0o700)
        return script

    def _nft(self, rules: str) -> None:
        _run("ip", "netns", "exec", self.name, "nft", "-f", "-", text=rules)


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _new_namespace() -> int:
    """The number of one that is this test's alone, as are the addresses made of it: no other can make it too."""
    for number in random.SystemRandom().sample(range(512), 512):
        try:
            _run("ip", "netns", "add", f"headgate-{number}")
        except OSError as error:
            if "File exists" not in str(error):
                raise
        else:
            return number
    raise OSError("512 network namespaces of tests are there already")


@contextmanager
def _connected() -> Iterator[FarMachine]:
    machine = FarMachine()
    try:
        machine.connect()
        yield machine
    finally:
        machine.remove()


def why_not() -> str:
    """Why this machine cannot have another one; "" if it can."""
    missing = [each for each in ("ip", "nft") if shutil.which(each) is None]
    if missing:
        return f"needs {' and '.join(missing)} (of Debian's packages iproute2 and nftables)"
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    try:
        with _connected() as machine:
            machine.filter("numgen random mod 100 < 1 drop")
    except OSError as error:
        return f"needs network namespaces, links between them and packet filters: {error}"
    return ""


class _Placement(LocalPlacement):
    """Starts worker 2 on the far machine, the others here."""

    def __init__(self, on_line: OnLine, machine: FarMachine, folder: Path) -> None:
        super().__init__(on_line)
        self._machine, self._far_python = machine, str(machine.python(folder))

    def _launch(self, index: int) -> LocalSlot:
        self._python = self._far_python if index == 2 else sys.executable
        return super()._launch(index)

    def address(self, index: int) -> str:
        return (self._machine.home, self._machine.near, self._machine.far)[index]


@contextmanager
def far_machine(folder: Path) -> Iterator[FarMachine]:
    """Worker 2 of jobs that start meanwhile is on this machine."""
    with _connected() as machine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "LocalPlacement", lambda on_line, listen: _Placement(on_line, machine, folder))
        yield machine
