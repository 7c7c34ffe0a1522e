"""map_async: a task's head that runs a coroutine for each record, many at a time, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from cext.channel import Channel
from cext.frame import Frame
from cext.guard import Guard, Sideline
from cext.head import Head
from cext.waker import Waker


class _Call:
    """One record under way. The loop's thread writes the outcome, then `done`; the task's thread reads."""

    __slots__ = ("born", "done", "error", "lane", "record", "result")

    def __init__(self, record: Any, lane: Channel, born: int) -> None:
        self.record, self.lane, self.born = record, lane, born
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False


class AsyncMap(Head):
    """Keeps up to `concurrency` calls of `function` under way; the records stay in flight until results leave."""

    def __init__(
        self,
        name: str,
        guard: Guard,
        function: Callable[[Any], Awaitable[Any]],
        concurrency: int,
        ordered: bool,
        timeout: float | None,
        waker: Waker,
    ) -> None:
        self.function, self.concurrency, self.timeout, self.waker = function, concurrency, timeout, waker
        self.ordered = ordered
        self._rows: list[Any] = []  # of the frame in work, the next one last
        self._source: tuple[Channel, int] | None = None  # that frame's lane, and when it was born
        self._calls: deque[_Call] = deque()  # under way, in order; never more than `concurrency`
        self._settling: list[_Call] = []  # their results have been given, their credit not yet
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._left = threading.Event()  # the loop's thread has done all that it does

    def hungry(self) -> bool:
        return not self._rows and len(self._calls) < self.concurrency

    def accept(self, lane: Channel, frame: Frame, now: int) -> None:
        self._rows = frame.rows[::-1]
        self._source = (lane, frame.born)
        self.count_in(frame.records)

    def more(self, limit: int, now: int, side: Sideline) -> list[Any] | None:
        self._submit()
        finished = self._finished(limit)
        self.waiting = bool(self._calls)
        if not finished:
            return None
        self._settling.extend(finished)
        self.born = min(call.born for call in finished)
        out = []
        for i, call in enumerate(finished):
            if call.error is None:
                out.append(call.result)
            elif not self.guard.handle(call.record, call.error, side):
                side.lose(len(finished) - i)
                break
        return out

    def _submit(self) -> None:
        if not self._rows or len(self._calls) >= self.concurrency or self._source is None:
            return
        fresh: list[_Call] = []
        while self._rows and len(self._calls) + len(fresh) < self.concurrency:
            fresh.append(_Call(self._rows.pop(), *self._source))
        self._calls.extend(fresh)
        self._running_loop().call_soon_threadsafe(self._start, fresh)

    def _finished(self, limit: int) -> list[_Call]:
        """Take out of `_calls` up to `limit` that are done: from the front only, if order is kept."""
        finished: list[_Call] = []
        if self.ordered:
            while self._calls and self._calls[0].done and len(finished) < limit:
                finished.append(self._calls.popleft())
            return finished
        rest: deque[_Call] = deque()
        for call in self._calls:
            (finished if call.done and len(finished) < limit else rest).append(call)
        self._calls = rest
        return finished

    def settle(self) -> None:
        for call in self._settling:
            call.lane.give_back(1)
        self._settling.clear()

    def drained(self) -> bool:
        return not self._rows and not self._calls

    def finish(self, whole: bool) -> None:
        pass

    def discard(self) -> int:
        dropped = len(self._rows) + len(self._calls)
        if self._source is not None and self._rows:
            self._source[0].give_back(len(self._rows))
        self._settling.extend(self._calls)
        self.settle()
        self._rows = []
        self._calls.clear()
        self.waiting = False
        return dropped

    def close(self, whole: bool) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel_all)

    def open_thread(self) -> str | None:
        if self._thread is None:
            return None
        if not self._left.is_set():  # a coroutine that blocks its loop must not block the task's thread too
            return self._thread.name
        self._thread.join()  # it is past its last line
        return None

    # The loop's thread.

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=self._run_loop, name=f"headgate-{self.name}", daemon=True)
            try:
                thread.start()
            except BaseException:  # no more threads to be had: there is none to wait for
                self._loop.close()
                self._loop = None
                raise
            self._thread = thread
        return self._loop

    def _run_loop(self) -> None:
        assert self._loop is not None
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # type: ignore[arg-type,return-value]
                self._tasks: set[asyncio.Task[None]] = set()
                self._closing = asyncio.Event()
                runner.run(self._closing.wait())
        finally:
            self._left.set()
            self.waker.notify()

    def _start(self, calls: list[_Call]) -> None:
        for call in calls:
            task = asyncio.ensure_future(self._run(call))
            self._tasks.add(task)  # the loop itself holds them only weakly
            task.add_done_callback(self._tasks.discard)

    async def _run(self, call: _Call) -> None:
        try:
            async with asyncio.timeout(self.timeout) as limit:
                call.result = await self.function(call.record)
        except BaseException as error:
            if limit.expired() and isinstance(error, TimeoutError) and not error.args:
                error.args = (f"no result within {self.timeout:g} s",)
            call.error = error
        call.done = True
        self.waker.notify()

    def _cancel_all(self) -> None:
        self._closing.set()  # Runner cancels what is left when it closes
