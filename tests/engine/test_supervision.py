"""Supervision: what a job tells whom, for every order in which workers speak, fail, fall silent or die."""

from __future__ import annotations

from typing import Any

import pytest

from engine import JobError, WorkerLost
from engine import control as c
from engine.failures import pack
from engine.layout import HOME
from engine.report import Report
from engine.supervision import (
    CANCEL_SECONDS,
    DUMP_SECONDS,
    STARTUP_SECONDS,
    Dump,
    Fail,
    Home,
    Instruction,
    Kill,
    Send,
    Supervision,
)
from engine.transport import Addresses

VERSIONS = ("3.11.7", "0.1.0")
SILENCE = 30.0


class Job:
    """A supervision, a clock, and all that it has been told to do."""

    def __init__(self, workers: int = 2) -> None:
        tokens = {number: bytes([number]) for number in range(1, workers + 1)}
        self.welcome = c.Welcome(b"flow", 2, b"partitions", 7, "print")
        self.now = 100.0
        self.it = Supervision(tokens, self.welcome, VERSIONS, SILENCE, self.now)
        self.it.home_ready(addresses(HOME), self.now)

    def say(self, worker: int, message: c.FromWorker) -> list[Instruction]:
        return self.it.said(worker, message, self.now)

    def hello(self, worker: int, python: str = "3.11.7", headgate: str = "0.1.0") -> list[Instruction]:
        return self.say(worker, c.Hello(1000 + worker, python, headgate))

    def ready(self, worker: int) -> list[Instruction]:
        return self.say(worker, c.Ready("print", addresses(worker)))

    def running(self) -> Job:
        for worker in self.it.members:
            self.hello(worker)
        for worker in self.it.members:
            self.ready(worker)
        return self

    def after(self, seconds: float) -> list[Instruction]:
        """What it is told while `seconds` go by and it looks at the clock every half a second."""
        found: list[Instruction] = []
        for _ in range(int(2 * seconds)):
            self.now += 0.5
            found += self.it.tick(self.now)
        return found

    def die(self, worker: int, how: str = "killed by SIGKILL", words: list[str] | None = None) -> list[Instruction]:
        return self.it.gone(worker, how, words or [], self.now)


def addresses(number: int) -> Addresses:
    return Addresses(f"data-{number}", f"signals-{number}")


def told(instructions: list[Instruction]) -> list[tuple[int, Any]]:
    """Who is told what; the part at home is HOME."""
    found: list[tuple[int, Any]] = []
    for each in instructions:
        if isinstance(each, Send):
            found.append((each.worker, each.message))
        elif isinstance(each, Home):
            found.append((HOME, each.message))
    return found


def errors(instructions: list[Instruction]) -> list[BaseException]:
    return [each.error for each in instructions if isinstance(each, Fail)]


def killed(instructions: list[Instruction]) -> list[int]:
    return [each.worker for each in instructions if isinstance(each, Kill)]


def test_a_worker_that_proves_who_it_is_gets_the_flow() -> None:
    job = Job()
    assert told(job.hello(2)) == [(2, job.welcome)]
    assert job.hello(2) == []


def test_all_start_when_all_are_ready_and_know_each_other() -> None:
    job = Job()
    job.hello(1)
    job.hello(2)
    assert job.ready(2) == []
    everybody = {number: addresses(number) for number in (HOME, 1, 2)}
    assert sorted(told(job.ready(1)), key=lambda each: each[0]) == [
        (number, c.Start(everybody)) for number in (HOME, 1, 2)
    ]


@pytest.mark.parametrize(("python", "headgate"), [("3.13.1", "0.1.0"), ("3.11.7", "0.2.0")])
def test_another_version_is_refused_before_anything_is_unpickled(python: str, headgate: str) -> None:
    instructions = Job().hello(1, python, headgate)
    (error,) = errors(instructions)
    assert isinstance(error, JobError)
    assert f"worker-1 runs Python {python} and Headgate {headgate}, the job Python 3.11.7" in str(error)
    assert not [message for _, message in told(instructions) if isinstance(message, c.Welcome)]
    assert killed(instructions) == [1, 2]


def test_another_patch_release_of_python_will_do() -> None:
    job = Job()
    assert told(job.hello(1, "3.11.2")) == [(1, job.welcome)]


def test_all_close_once_all_and_the_home_part_have_drained() -> None:
    job = Job().running()
    assert job.say(1, c.Drained()) == []
    assert job.it.home_ended(job.now) == []
    assert sorted(told(job.say(2, c.Drained())), key=lambda each: each[0]) == [(n, c.Close()) for n in (HOME, 1, 2)]
    assert job.it.home_ended(job.now) == []
    for worker in (1, 2):
        assert not job.it.is_over
        assert job.say(worker, c.Ended(Report(worker, in_flight=worker))) == []
        assert job.die(worker, "exit code 0") == []
    assert job.it.is_over
    job.say(1, c.Beat(Report(1, in_flight=9)))  # which was overtaken
    assert [each.in_flight for each in job.it.reports] == [1, 2]


def test_what_a_worker_reports_is_known() -> None:
    job = Job().running()
    job.say(1, c.Beat(Report(1, in_flight=5)))
    job.say(1, c.Beat(Report(1, in_flight=3)))
    assert [each.in_flight for each in job.it.reports] == [3, 0]


def test_a_failure_is_raised_at_home_with_its_traceback() -> None:
    job = Job().running()
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 // 0
    failure = pack(raised.value, "worker-2")
    (error,) = errors(job.say(2, c.Failed(failure)))
    assert isinstance(error, ZeroDivisionError)
    assert "in worker-2" in error.__notes__[0]
    assert "test_supervision.py" in error.__notes__[0]


def test_a_lost_worker_ends_the_job_with_its_name_how_it_died_and_its_last_words() -> None:
    job = Job(3).running()
    instructions = job.die(2, "killed by SIGSEGV", ["first", "last"])
    (error,) = errors(instructions)
    assert isinstance(error, WorkerLost)
    assert error.worker == 2
    text = str(error)
    assert text.startswith("worker-2 ended: killed by SIGSEGV\nits last words:\n  first\n  last")
    assert told(instructions) == [(1, c.Abandon()), (3, c.Abandon()), (HOME, c.Abandon())]
    assert job.die(2) == []
    for worker in (1, 3):
        assert errors(job.say(worker, c.Ended(Report(worker)))) == []
    assert job.it.is_over


def test_those_that_fall_with_the_job_are_no_losses_of_their_own() -> None:
    job = Job(2).running()
    assert len(errors(job.die(1))) == 1
    assert errors(job.die(2)) == []
    assert job.it.is_over


def test_a_worker_lost_while_others_get_ready_ends_these_at_once() -> None:
    job = Job(3)
    job.hello(1)
    job.ready(1)
    instructions = job.die(2, "exit code 1")
    assert len(errors(instructions)) == 1
    assert killed(instructions) == [1, 3]
    for worker in (1, 3):
        assert errors(job.die(worker)) == []
    assert job.it.is_over


def test_an_end_before_its_time_is_a_loss_to_the_others_but_its_own_failure_says_why() -> None:
    job = Job(2)
    job.hello(1)
    (error,) = errors(job.say(1, c.Failed(pack(ImportError("no module"), "worker-1"))))
    assert isinstance(error, ImportError)
    instructions = job.say(1, c.Ended(Report(1)))
    assert errors(instructions) == []
    assert killed(instructions) == [2]


def test_a_silent_worker_is_killed_and_named() -> None:
    job = Job(2).running()
    assert job.after(SILENCE - 1) == []
    job.say(1, c.Beat(Report(1)))
    assert job.after(1.5) == [Dump(2)]
    assert job.after(DUMP_SECONDS) == [Kill(2)]
    assert job.after(0.5) == []
    (error,) = errors(job.die(2))
    assert str(error).startswith("worker-2 said nothing for 30 s (stopped, or starved), and was killed")


def test_a_worker_that_does_not_get_ready_is_killed_and_named() -> None:
    job = Job(1)
    assert job.after(STARTUP_SECONDS - 1) == []
    assert job.after(1.5) == [Dump(1)]
    assert job.after(DUMP_SECONDS) == [Kill(1)]
    (error,) = errors(job.die(1))
    assert f"worker-1 was not ready after {STARTUP_SECONDS:g} s" in str(error)


def test_what_is_stopped_before_it_runs_is_told_so_when_it_starts() -> None:
    job = Job(1)
    job.hello(1)
    assert told(job.it.stop(whole=True)) == [(HOME, c.StopSources(True))]
    messages = told(job.ready(1))
    assert [type(message) for _, message in messages] == [c.StopSources, c.StopSources, c.Start, c.Start]
    assert messages[0] == (1, c.StopSources(True))


def test_all_are_told_to_cancel_and_who_does_not_end_is_killed() -> None:
    job = Job(2).running()
    assert told(job.it.cancel(job.now)) == [(1, c.Cancel()), (2, c.Cancel()), (HOME, c.Cancel())]
    job.say(1, c.Ended(Report(1), ["headgate-sink-0"]))
    assert job.it.stuck == ["worker-1: headgate-sink-0"]
    assert job.after(CANCEL_SECONDS - 1) == []
    job.say(2, c.Beat(Report(2)))
    assert job.after(1.5) == [Dump(2)]
    assert job.after(DUMP_SECONDS) == [Kill(2)]
    (error,) = errors(job.die(2))
    assert "worker-2 did not end within 8 s of being told to, and was killed" in str(error)


def test_a_home_whose_loop_broke_leaves_the_others_nothing_to_wait_for() -> None:
    job = Job(2).running()
    assert told(job.it.home_ended(job.now, is_lost=True)) == [(1, c.Abandon()), (2, c.Abandon()), (HOME, c.Abandon())]


def test_the_time_in_which_the_job_itself_was_stopped_is_nobodys_silence() -> None:
    job = Job(2).running()
    job.after(1)
    job.now += 10 * SILENCE
    assert job.it.tick(job.now) == []
    job.say(1, c.Beat(Report(1)))
    assert killed(job.after(SILENCE - 5)) == []
    job.say(1, c.Beat(Report(1)))
    assert killed(job.after(10)) == [2]


def test_who_does_not_run_yet_when_all_is_cancelled_is_killed() -> None:
    job = Job(2)
    job.hello(1)
    job.ready(1)
    instructions = job.it.cancel(job.now)
    assert told(instructions) == [(HOME, c.Cancel())]
    assert killed(instructions) == [1, 2]
    assert [errors(job.die(worker)) for worker in (1, 2)] == [[], []]
    assert job.it.is_over
