"""Crew: the worker processes of a job, and the thread at home that starts them, speaks with them and watches them."""

from __future__ import annotations

import os
import pickle
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import zmq

from engine import control, socket_folder
from engine.control import (
    Abandon,
    Bootstrap,
    Cancel,
    Close,
    Inbox,
    OfCheckpoint,
    SaidOfCheckpoint,
    Start,
    StopSources,
    ToWorker,
    Welcome,
)
from engine.durations import nanoseconds
from engine.layout import HOME
from engine.part import Part
from engine.placement import LocalPlacement, Placement, Slot
from engine.plan import Plan
from engine.shipping import dump, fingerprint
from engine.supervision import Dump, Fail, Home, Instruction, Kill, Send, Supervision
from engine.switchboard import Switchboard
from engine.transport import Place, Transport, places

if TYPE_CHECKING:
    from engine.dataflow import Dataflow
    from engine.saving import Saving

_LOOK_SECONDS = 0.05
_LAST_WORDS_SECONDS = 0.5
"""How long what a process had sent before it ended may be under way at most, where that cannot be known."""


def print_line(worker: str, line: str) -> None:
    """Show a line that a worker printed, in one write, so that nothing comes between it and its end.

    While a live table is on the terminal, `sys.stderr` is its, which puts lines above it.
    """
    sys.stderr.write(f"{worker}: {line}\n")
    sys.stderr.flush()


class Crew:
    """The workers of `flow`, planned for `processes`; `part` is what runs at home.

    `failed(error)` and `ended()` are called in the crew's thread, the latter once nothing is left of any worker.
    `saving`: who makes the checkpoints, if there are any; it starts with all the others. `placement`: where its
    workers have been prepared, if they have.
    """

    def __init__(
        self,
        flow: Dataflow,
        processes: int | None,
        part: Part,
        failed: Callable[[BaseException], None],
        ended: Callable[[], None],
        saving: Saving | None = None,
        placement: Placement | None = None,
    ) -> None:
        self._part, self._failed, self._ended, self._saving = part, failed, ended, saving
        worker = part.worker
        plan = worker.plan
        partitions = pickle.dumps(worker.partitions)
        saved = None if saving is None else saving.saved
        welcome = Welcome(dump(flow), processes, partitions, worker.epoch, fingerprint(flow), saved)
        tokens = {number: secrets.token_bytes(16) for number in plan.workers}
        silence = nanoseconds(plan.settings.silence) / 1e9
        self.supervision = Supervision(tokens, welcome, control.versions(), silence, time.monotonic())
        self._max_record = plan.settings.max_record_bytes
        self._inbox = Inbox()
        self._slots: dict[int, Slot] = {}
        self._gone: dict[int, float] = {}  # since when a process is no more
        self._mourned: set[int] = set()  # those of them of whom it was said
        self._home_over = threading.Event()
        self._transport: Transport | None = None
        self._switchboard: Switchboard | None = None
        self._placement = placement or _placement_for(plan)
        everybody = (HOME, *plan.workers)
        self._places = places({number: self._placement.address(number) for number in everybody})
        self._folder_lock = -1
        """Says that the folder of our sockets is in use; -1: there is none."""
        self._thread = threading.Thread(target=self._run, name="headgate-crew", daemon=True)

    def start(self) -> None:
        """Start the workers; their parts, and the one at home, start once all are ready."""
        self._thread.start()

    def stop_sources(self, *, whole: bool) -> None:
        """Tell everybody; from any thread, as the next ones."""
        self._inbox.put(lambda: self.supervision.stop(whole))

    def cancel(self) -> None:
        """Tell everybody to drop what is on its way."""
        self._inbox.put(lambda: self.supervision.cancel(time.monotonic()))

    def tell(self, word: OfCheckpoint) -> None:
        """Tell every worker that runs."""
        self._inbox.put(lambda: self.supervision.tell(word))

    def home_ended(self) -> None:
        """The part at home has ended."""
        self._home_over.set()
        is_lost = bool(self._part.faults)
        self._inbox.put(lambda: self.supervision.home_ended(time.monotonic(), is_lost=is_lost))

    def prepare_successors(self) -> Placement:
        """Let workers for another attempt start; from any thread. Whoever gets the placement closes it."""
        plan = self._part.worker.plan
        placement = _placement_for(plan)
        placement.prepare(plan.workers)
        return placement

    def join(self) -> None:
        """Wait until the crew's thread is gone."""
        self._thread.join()

    # The crew's thread, which Ctrl-C does not reach.

    def _run(self) -> None:
        try:
            self._open()
            while not (self.supervision.is_over and self._home_over.is_set()):
                self._wait()
                self._look()
        except BaseException as error:
            self._failed(error)
            self._end_home()
        finally:
            try:
                self._leave()
            finally:
                self._ended()

    def _end_home(self) -> None:
        """Once the workers cannot be heard any more: what runs at home may not use its sockets when they are closed."""
        self._tell_home(Abandon())
        while not self._home_over.wait(_LOOK_SECONDS):
            self._part.leave_the_stuck()

    def _open(self) -> None:
        """Where sockets are files, workers first: whenever this process is killed, somebody is there to remove them."""
        place = self._places[HOME]
        if place.keys is None:
            self._start_workers(place.file("control"))
            socket_folder.sweep(os.path.dirname(place.directory))
            self._folder_lock = socket_folder.make(place.directory)
            self._listen_at(place)
        else:
            self._start_workers(self._listen_at(place))

    def _start_workers(self, address: str) -> None:
        for number, member in self.supervision.members.items():
            bootstrap = Bootstrap(number, address, self._places[number], member.token)
            self._slots[number] = self._placement.start(number, control.encode(bootstrap))

    def _listen_at(self, place: Place) -> str:
        self._transport = Transport(place, HOME, self._max_record, self._part.worker.refused)
        socket, address = self._transport.control()
        tokens = {number: member.token for number, member in self.supervision.members.items()}
        self._switchboard = Switchboard(socket, tokens, self._transport.refuse)
        self._do(self.supervision.home_ready(self._transport.addresses, time.monotonic()))
        return address

    def _wait(self) -> None:
        transport, switchboard = self._transport, self._switchboard
        assert transport is not None
        assert switchboard is not None
        ends = [end for worker, slot in self._slots.items() if worker not in self._gone for end in slot.awaited]
        awaited = [*switchboard.awaited, (self._inbox.fd, zmq.POLLIN), *transport.door, *ends]
        zmq.zmq_poll(awaited, int(_LOOK_SECONDS * 1000))
        transport.attend()
        for action in self._inbox.take():
            self._do(action())
        for worker, word in switchboard.hear():
            if isinstance(word, SaidOfCheckpoint) and self._saving is not None:
                self._saving.say(word)
            self._do(self.supervision.said(worker, word, time.monotonic()))

    def _look(self) -> None:
        """Who is gone, and who is overdue?"""
        now = time.monotonic()
        for worker, slot in self._slots.items():
            if worker not in self._mourned and not slot.alive() and self._has_heard_all(worker, now):
                self._mourned.add(worker)
                slot.wait()
                self._do(self.supervision.gone(worker, slot.exit_text(), slot.last_words(), now))
        self._do(self.supervision.tick(now))
        self._part.leave_the_stuck()

    def _has_heard_all(self, worker: int, now: float) -> bool:
        """Whether nothing that one who is gone had said is under way: no connection can be its, or long ago."""
        assert self._transport is not None
        assert self._switchboard is not None
        waited = now - self._gone.setdefault(worker, now)
        living = sum(slot.alive() for slot in self._slots.values())
        is_silent = self._transport.speakers <= living and not self._switchboard.has_more
        return is_silent or waited >= _LAST_WORDS_SECONDS

    def _do(self, instructions: Iterable[Instruction]) -> None:
        for each in instructions:
            if isinstance(each, Send):
                assert self._switchboard is not None
                self._switchboard.say(each.worker, each.message)
            elif isinstance(each, Dump):
                self._slots[each.worker].signal(signal.SIGQUIT)
            elif isinstance(each, Kill):
                self._slots[each.worker].kill()
            elif isinstance(each, Fail):
                self._failed(each.error)
            elif isinstance(each, Home):
                self._tell_home(each.message)

    def _tell_home(self, message: ToWorker) -> None:
        part = self._part
        if self._transport is not None and isinstance(message, Abandon | Cancel | Close):
            self._transport.is_needed = False
        if not part.has_started and isinstance(message, Abandon | Cancel):
            self._home_over.set()
        if isinstance(message, Start) and self._transport is not None and not self._home_over.is_set():
            links = self._transport.connect(part.worker.peers, message.addresses, part.worker.plan.settings.silence)
            if self._saving is not None:
                self._saving.start()
            part.start(links if links.wires else None, self._home_drained)
        elif isinstance(message, StopSources):
            part.stop_sources(whole=message.whole)
        elif isinstance(message, Cancel):
            part.cancel()
        elif isinstance(message, Abandon):
            part.abandon()
        elif isinstance(message, Close):
            part.close()

    def _home_drained(self) -> None:
        self._inbox.put(lambda: self.supervision.home_ended(time.monotonic()))

    def _leave(self) -> None:
        """Nothing stays behind: no process, no socket, no file."""
        self._placement.close()
        if self._switchboard is not None:
            self._switchboard.close()
        if self._transport is not None:
            self._part.when_links_are_free(self._transport.close)
        if self._folder_lock >= 0:
            shutil.rmtree(self._places[HOME].directory, ignore_errors=True)
            os.close(self._folder_lock)
        self._inbox.close()


def _placement_for(plan: Plan) -> Placement:
    return LocalPlacement(print_line, listen=plan.settings.listen)
