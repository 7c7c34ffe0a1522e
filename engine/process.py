"""A worker process: builds its part of the plan, runs it, and does what the job says.

Started by a placement; everything that it must know comes on its lifeline and its control socket.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import shutil
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import zmq

from engine import control, lifeline
from engine.control import (
    Abandon,
    BeginCheckpoint,
    Bootstrap,
    Cancel,
    Close,
    CompleteCheckpoint,
    GiveUpCheckpoint,
    Inbox,
    SaidOfCheckpoint,
    Start,
    StopSources,
    ToWorker,
    Welcome,
)
from engine.errors import HeadgateError, JobError
from engine.failures import pack
from engine.line import Line
from engine.part import ABANDONED_SECONDS, Part
from engine.plan import Plan
from engine.report import Report
from engine.shipping import fingerprint, load
from engine.transport import Transport
from engine.worker import Worker

if TYPE_CHECKING:
    from engine.keeper import Keeper

_LOOK_SECONDS = 0.1
"""How often a word that a new connection did not take at once is said again, while there is nothing else to do."""

_WELCOME_SECONDS = 60.0
_LAST_WORD_SECONDS = 60.0
"""How long to wait for a connection over which the job gets the last word."""


class Process:
    """What runs in a worker: a part of a job, and its line to the job."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self.number = bootstrap.worker
        self._place = bootstrap.place
        self._inbox = Inbox()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._line = Line(self._context, bootstrap)
        self._part: Part | None = None
        self._transport: Transport | None = None
        self._keeper: Keeper | None = None
        self._over = False
        self._line.say(control.Hello(os.getpid(), *control.versions()))

    def run(self) -> None:
        """From the welcome to the last word."""
        try:
            beat = self._build(self._welcome())
            while not self._over:
                self._wait(beat)
                if self._part is not None and not self._over:
                    self._leave_the_stuck(self._part)
                    self._line.say(control.Beat(self._part.report()))
        except BaseException as error:
            self._line.say(control.Failed(pack(error, f"worker-{self.number}")))
            if self._part is not None:
                self._part.abandon()
        self._leave()

    def _part_ended(self) -> None:
        """It is over once what its tasks have kept is written, which may take its time."""
        if self._keeper is None:
            self._inbox.put(Close())
        else:
            self._keeper.end(lambda: self._inbox.put(Close()))

    def _welcome(self) -> Welcome:
        until = time.monotonic() + _WELCOME_SECONDS
        while (left := until - time.monotonic()) > 0:
            self._poll(min(left, _LOOK_SECONDS))
            for word in self._line.hear():
                if not isinstance(word, Welcome):
                    raise JobError(f"worker-{self.number} wanted a welcome, got {word!r}")
                return word
        raise JobError(f"worker-{self.number} heard nothing of its job for {_WELCOME_SECONDS:g} s")

    def _build(self, welcome: Welcome) -> float:
        """Build its part; how often it shall say what that has done, seconds."""
        flow = load(welcome.flow)
        mine = fingerprint(flow)
        if mine != welcome.fingerprint:
            raise JobError(
                f"worker-{self.number} has another flow {flow.name!r} than the job that started it",
                hint="the main module must build the same graph each time that it is imported",
            )
        plan = Plan.of(flow, welcome.processes, saves=welcome.saved is not None)
        life = None if welcome.saved is None else welcome.saved.life
        worker = Worker(plan, pickle.loads(welcome.partitions), self.number, welcome.epoch, life)
        if welcome.saved is not None:
            from engine.saving import keep  # which most jobs do without

            self._keeper = keep(worker, welcome.saved, self._inbox.put, self._inbox.put)
        self._transport = Transport(self._place, self.number, plan.settings.max_record_bytes, worker.refused)
        self._part = Part(worker, self._inbox.put, self._part_ended)
        self._line.say(control.Ready(mine, self._transport.addresses))
        return plan.settings.beat_s

    def _leave_the_stuck(self, part: Part) -> None:
        part.leave_the_stuck()
        if self._keeper is not None and part.is_over and part.is_overdue(2 * ABANDONED_SECONDS):
            part.stuck.append(self._keeper.thread.name)
            self._over = True

    def _wait(self, seconds: float) -> None:
        """Serve the job's messages and what the part's threads say, for so long."""
        until = time.monotonic() + seconds
        while not self._over and (left := until - time.monotonic()) > 0:
            self._poll(left)
            for thing in self._inbox.take():
                self._heard_inside(thing)
            for word in self._line.hear():
                self._told(word)

    def _poll(self, seconds: float) -> None:
        door = [] if self._transport is None else self._transport.door
        zmq.zmq_poll([*self._line.awaited, (self._inbox.fd, zmq.POLLIN), *door], max(1, int(seconds * 1000)))
        if self._transport is not None:
            self._transport.attend()

    def _heard_inside(self, thing: object) -> None:
        if isinstance(thing, BaseException):
            self._line.say(control.Failed(pack(thing, f"worker-{self.number}")))
        elif isinstance(thing, SaidOfCheckpoint):
            self._line.say(thing)
        elif isinstance(thing, control.Drained):
            if self._transport is not None:
                self._transport.is_needed = False
            self._line.say(thing)
        else:
            self._over = True

    def _told(self, message: ToWorker) -> None:
        part = self._part
        if part is None or self._transport is None:
            raise HeadgateError(f"worker-{self.number} was told {message!r} before it was ready")
        if isinstance(message, Abandon | Cancel | Close):
            self._transport.is_needed = False
        if isinstance(message, Start):
            links = self._transport.connect(part.worker.peers, message.addresses, part.worker.plan.settings.silence)
            if self._keeper is not None:
                self._keeper.start()
            part.start(links, lambda: self._inbox.put(control.Drained()))
            return
        actions: dict[type, Callable[[], None]] = {Cancel: part.cancel, Abandon: part.abandon, Close: part.close}
        if isinstance(message, StopSources):
            part.stop_sources(whole=message.whole)
        elif isinstance(message, BeginCheckpoint):
            if self._keeper is not None:
                self._keeper.begin(message.checkpoint, message.place)
            part.begin_checkpoint(message.checkpoint)
        elif isinstance(message, GiveUpCheckpoint):
            part.give_up_checkpoint(message.checkpoint)
        elif isinstance(message, CompleteCheckpoint):
            part.complete_checkpoint(message.checkpoint)
        else:
            actions[type(message)]()

    def _leave(self) -> None:
        """Say the last word and go, with threads that do not come back or without."""
        if self._part is not None:
            self._part.join()
            for fault in self._part.faults:
                self._line.say(control.Failed(pack(fault, f"worker-{self.number}")))
            self._line.say(control.Ended(self._part.report(), self._part.stuck))
        else:
            self._line.say(control.Ended(Report(self.number)))
        if self._transport is not None and self._part is not None:
            self._part.when_links_are_free(self._transport.close)
        self._await_the_job()
        self._line.close()
        self._context.term()

    def _await_the_job(self) -> None:
        """Until it has the last word, maybe over a new connection."""
        until = time.monotonic() + _LAST_WORD_SECONDS
        while not self._line.is_received and (left := until - time.monotonic()) > 0:
            zmq.zmq_poll(self._line.awaited, int(min(left, _LOOK_SECONDS) * 1000))
            for _ in self._line.hear():  # nothing is left to be told
                pass


def main() -> None:
    """Do what the job that started this process says, then exit; at once when that job's process is gone.

    On SIGQUIT it prints where each of its threads is, whatever they do, and goes on.
    """
    faulthandler.register(signal.SIGQUIT)
    bootstrap = control.decode_bootstrap(lifeline.read_bootstrap())
    lifeline.watch(lambda: _remove(bootstrap.place.directory))
    Process(bootstrap).run()
    os._exit(0)  # threads that are stuck in a call of their own must not hold it


def _remove(directory: str) -> None:
    """Until it is gone: other workers may still be making their sockets in it."""
    while os.path.isdir(directory):
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
