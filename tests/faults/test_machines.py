"""A job over two machines: over a link that loses packets, one that is cut for a while, and one that goes for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine import JobError, WorkerLost
from tests.faults.machines import FarMachine, far_machine, why_not
from tests.faults.wire import Victim, victim

WHY_NOT = why_not()
pytestmark = [pytest.mark.timeout(80), pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)]


@contextmanager
def over_two_machines(folder: Path, silence: str = "30s") -> Iterator[tuple[Victim, FarMachine]]:
    """A job that counts in worker 1, here, copies in worker 2, far away, and collects here."""
    with far_machine(folder) as machine, victim(folder, silence=silence) as job:
        yield job, machine


def test_a_worker_on_another_machine(tmp_path: Path) -> None:
    with over_two_machines(tmp_path) as (job, machine):
        assert all(f"//{machine.far}:" in each for each in (job.addresses[2].data, job.addresses[2].signals))
        job.goes_on()
        assert job.finish().refused == {}


@pytest.mark.parametrize("percent", [2, 10])
def test_a_link_that_loses_packets(tmp_path: Path, percent: int) -> None:
    with over_two_machines(tmp_path) as (job, machine):
        machine.filter(f"numgen random mod 100 < {percent} drop")
        job.goes_on()
        job.goes_on()
        job.finish()


def test_a_link_that_loses_packets_while_the_job_starts(tmp_path: Path) -> None:
    with far_machine(tmp_path) as machine:
        machine.filter("numgen random mod 100 < 10 drop")
        with victim(tmp_path) as job:
            job.goes_on()
            job.finish()


@pytest.mark.parametrize("how", ["every packet is lost", "the cable is out"])
@pytest.mark.parametrize("seconds", [1, 7])
def test_a_link_that_is_cut_and_healed(tmp_path: Path, how: str, seconds: int) -> None:
    """For less time than a connection lives without an answer, and for more."""
    with over_two_machines(tmp_path) as (job, machine):
        if how == "the cable is out":
            machine.set_link("down")
        else:
            machine.filter("drop")
        assert not job.job.join(seconds)
        if how == "the cable is out":
            machine.set_link("up")
        else:
            machine.filter()
        job.goes_on()
        job.finish()


def test_a_machine_whose_address_vanishes_is_a_lost_worker(tmp_path: Path) -> None:
    with over_two_machines(tmp_path, "2s") as (job, machine):
        machine.vanish()
        with pytest.raises(WorkerLost, match=r"worker-2 said nothing for 2 s"):
            job.job.wait(40)


def test_two_workers_that_cannot_reach_each_other_though_the_job_reaches_both(tmp_path: Path) -> None:
    with over_two_machines(tmp_path, "2s") as (job, machine):
        machine.filter(f"ip saddr {machine.near} drop", f"ip daddr {machine.near} drop")
        where = rf"tcp://({machine.near}|{machine.far}):\d+"
        said = rf"worker-. has had no connection to worker-., which listens at {where}, for 2 s"
        with pytest.raises(JobError, match=said):
            job.job.wait(40)
