"""Supervision: what a job knows of its workers, and what follows from what they say; no I/O, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from engine import control
from engine.control import Abandon, Cancel, Close, FromWorker, Start, StopSources, ToWorker, Welcome
from engine.errors import JobError, WorkerLost
from engine.failures import unpack
from engine.layout import HOME
from engine.report import Report
from engine.transport import Addresses

STARTUP_SECONDS = 120.0
"""How long a worker may take to import the user's modules and build its part."""

CANCEL_SECONDS = 8.0
"""How long a cancelled or abandoned worker has before it is killed: more than it needs to leave what is stuck."""

DUMP_SECONDS = 1.0
"""How long a worker that is to be killed has to print where its threads are."""

LONGEST_LOOK_SECONDS = 1.0
"""The most that counts as gone by between two looks at the clock: beyond, the job itself was stopped or starved."""

Phase: TypeAlias = Literal["started", "welcomed", "ready", "running", "drained", "ended", "lost"]


@dataclass(frozen=True)
class Send:
    """Tell a worker."""

    worker: int
    message: ToWorker


@dataclass(frozen=True)
class Dump:
    """Have a worker print where its threads are, before it is killed."""

    worker: int


@dataclass(frozen=True)
class Kill:
    """End a worker that does not end by itself."""

    worker: int


@dataclass(frozen=True)
class Fail:
    """The job has failed with this; its sources must stop."""

    error: BaseException


@dataclass(frozen=True)
class Home:
    """Do to the part at home what workers are told to do to theirs."""

    message: ToWorker


Instruction: TypeAlias = Send | Dump | Kill | Fail | Home


@dataclass
class Member:
    """One worker as its job sees it."""

    token: bytes
    since: float
    """When it entered its phase, s."""
    phase: Phase = "started"
    heard_at: float = 0.0
    addresses: Addresses | None = None
    report: Report = field(default_factory=Report)
    stuck: list[str] = field(default_factory=list)
    killed: str = ""
    """Why it was killed, if it was, or is about to be."""
    dumped_at: float = math.inf
    """Since when it has had time to print where its threads are, while it is about to be."""

    @property
    def is_over(self) -> bool:
        return self.phase in {"ended", "lost"}

    def enter(self, phase: Phase, now: float) -> None:
        """Go on to `phase`."""
        self.phase, self.since = phase, now


class Supervision:
    """Events in, instructions out. `silence`: seconds after which a worker that says nothing counts as lost.

    Workers go through their phases together: when all are ready all start, when all have drained all close. The part
    at home takes part under the number HOME.
    """

    def __init__(
        self, tokens: dict[int, bytes], welcome: Welcome, versions: tuple[str, str], silence: float, now: float
    ):
        self.members = {worker: Member(token, now) for worker, token in tokens.items()}
        self.home_drained = False
        self._welcome, self._versions, self._silence = welcome, versions, silence
        self._addresses: dict[int, Addresses] = {}
        self._closing = False
        self._said: list[StopSources] = []
        """What holds for those who start later, too."""
        self._dying_since: float | None = None
        self._looked_at = now

    @property
    def is_over(self) -> bool:
        """Whether every worker has said its last word or is lost."""
        return all(member.is_over for member in self.members.values())

    @property
    def reports(self) -> list[Report]:
        """What each worker last said that it did."""
        return [member.report for member in self.members.values()]

    @property
    def stuck(self) -> list[str]:
        """The threads in workers that did not come back, by worker and name."""
        return [f"worker-{worker}: {name}" for worker, member in self.members.items() for name in member.stuck]

    def silent(self, now: float) -> dict[int, float]:
        """How long each worker has said nothing, seconds; those that have not spoken yet, or are over, are left out."""
        spoken = {worker: member for worker, member in self.members.items() if member.heard_at and not member.is_over}
        return {worker: now - member.heard_at for worker, member in spoken.items()}

    # What happens.

    def home_ready(self, addresses: Addresses, now: float) -> list[Instruction]:
        """The part at home can be reached."""
        self._addresses[HOME] = addresses
        return []

    def said(self, worker: int, message: FromWorker, now: float) -> list[Instruction]:
        """A worker, known by its token, says something."""
        member = self.members[worker]
        member.heard_at = now
        if isinstance(message, control.Hello):
            return self._hello(worker, member, message, now)
        if isinstance(message, control.Ready):
            return self._ready(worker, member, message, now)
        if isinstance(message, control.Beat | control.SaidOfCheckpoint):
            if isinstance(message, control.Beat) and not member.is_over:  # else overtaken over a new connection
                member.report = message.report
            return []
        if isinstance(message, control.Failed):
            return [Fail(unpack(message.failure))]
        if isinstance(message, control.Drained):
            member.enter("drained", now)
            return self._close_if_drained()
        member.report, member.stuck = message.report, message.stuck
        early = not member.is_over and not self._closing and self._dying_since is None and member.phase != "drained"
        member.enter("ended", now)
        return self._mourn(now) if early else []

    def home_ended(self, now: float, *, is_lost: bool = False) -> list[Instruction]:
        """The tasks at home are done, or its loop broke."""
        self.home_drained = True
        if is_lost:
            return self._mourn(now)
        return self._close_if_drained()

    def gone(self, worker: int, how: str, last_words: list[str], now: float) -> list[Instruction]:
        """A worker's process has ended, `how`; all that it had sent has been heard."""
        member = self.members[worker]
        if member.is_over:
            return []
        member.enter("lost", now)
        if self._dying_since is not None and member.killed == "":
            return []  # what is cut down with the job is no loss of its own
        why = member.killed or f"ended: {how}"
        words = "\n".join(["", "its last words:", *(f"  {line}" for line in last_words)]) if last_words else ""
        error = WorkerLost(f"worker-{worker} {why}{words}", worker=worker, hint=_HINT)
        return [Fail(error), *self._mourn(now)]

    def stop(self, whole: bool) -> list[Instruction]:
        """The sources must stop, everywhere."""
        self._said.append(StopSources(whole))
        return self._tell(StopSources(whole))

    def tell(self, word: ToWorker) -> list[Instruction]:
        """Everybody who runs is to know it; home knows."""
        return [each for each in self._tell(word) if isinstance(each, Send)]

    def cancel(self, now: float) -> list[Instruction]:
        """Drop everything, everywhere; who does not run yet has nothing to drop."""
        self._dying_since = self._dying_since or now
        return [*self._tell(Cancel()), *self._kill_the_idle()]

    def tick(self, now: float) -> list[Instruction]:
        """Time goes by: who should have said something by now?"""
        self._forgive(now)
        found: list[Instruction] = []
        for worker, member in self.members.items():
            why = self._overdue(member, now)
            if why and not member.is_over and not member.killed:
                member.killed, member.dumped_at = why, now
                found.append(Dump(worker))
            elif now - member.dumped_at >= DUMP_SECONDS:
                member.dumped_at = math.inf
                found.append(Kill(worker))
        return found

    # What follows.

    def _forgive(self, now: float) -> None:
        """What went by while the job itself was stopped (Ctrl-Z) is nobody's silence."""
        slept = now - self._looked_at - LONGEST_LOOK_SECONDS
        self._looked_at = now
        if slept <= 0:
            return
        if self._dying_since is not None:
            self._dying_since += slept
        for member in self.members.values():
            member.heard_at += slept
            member.since += slept

    def _overdue(self, member: Member, now: float) -> str:
        if self._dying_since is not None and now - self._dying_since > CANCEL_SECONDS:
            return f"did not end within {CANCEL_SECONDS:g} s of being told to, and was killed"
        if member.phase in {"started", "welcomed"}:
            late = now - member.since > STARTUP_SECONDS
            return f"was not ready after {STARTUP_SECONDS:g} s, and was killed" if late else ""
        if now - member.heard_at > self._silence:
            return f"said nothing for {self._silence:g} s (stopped, or starved), and was killed"
        return ""

    def _hello(self, worker: int, member: Member, hello: control.Hello, now: float) -> list[Instruction]:
        if member.phase != "started":
            return []
        theirs, ours = (hello.python, hello.headgate), self._versions
        if _minor(theirs[0]) != _minor(ours[0]) or theirs[1] != ours[1]:
            return [
                Fail(
                    JobError(
                        f"worker-{worker} runs Python {theirs[0]} and Headgate {theirs[1]}, the job Python {ours[0]} "
                        f"and Headgate {ours[1]}",
                        hint="run the same versions everywhere",
                    )
                ),
                *self._mourn(now),
            ]
        member.enter("welcomed", now)
        return [Send(worker, self._welcome)]

    def _ready(self, worker: int, member: Member, ready: control.Ready, now: float) -> list[Instruction]:
        member.enter("ready", now)
        self._addresses[worker] = ready.addresses
        if any(each.phase != "ready" for each in self.members.values()):
            return []
        for each in self.members.values():
            each.enter("running", now)
        # In this order nothing is read when the job was stopped before.
        before = [each for message in self._said for each in self._tell(message)]
        return [*before, *self._tell(Start(dict(self._addresses)))]

    def _close_if_drained(self) -> list[Instruction]:
        everybody = self.home_drained and all(
            member.phase == "drained" or member.is_over for member in self.members.values()
        )
        if not everybody or self._closing:
            return []
        self._closing = True
        return self._tell(Close())

    def _mourn(self, now: float) -> list[Instruction]:
        """Somebody is lost: the others wait for nobody and end; those that do not run yet have nothing to end."""
        self._dying_since = self._dying_since or now
        return [*self._tell(Abandon()), *self._kill_the_idle()]

    def _kill_the_idle(self) -> list[Instruction]:
        return [Kill(worker) for worker, member in self.members.items() if not member.is_over and not _runs(member)]

    def _tell(self, message: ToWorker) -> list[Instruction]:
        reached = [worker for worker, member in self.members.items() if _runs(member)]
        return [*(Send(worker, message) for worker in reached), Home(message)]


_HINT = "what sinks had promised stays true: what was committed is there, nothing else"


def _runs(member: Member) -> bool:
    """Before, a worker knows only how to get ready."""
    return member.phase in {"running", "drained"}


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
