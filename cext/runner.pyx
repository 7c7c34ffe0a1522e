"""Runner: one thread's loop over its tasks."""

cimport cython

from cext.clock cimport monotonic_ns
from cext.debug cimport HEADGATE_DEBUG, RUNNERS, born as count_born, died as count_died
from cext.task cimport BUSY, Task

from cext.turns import give_way

cdef int64_t TURN_NS = 1_000_000  # then links and sources have theirs


@cython.final
cdef class Runner:
    """Steps `tasks` until all are done, those nearest the sinks first: what is downstream leaves before more comes in,
    so little waits inside a process, and a frame is worked on while it is in the processor's cache.

    When nothing moves it parks on `waker`, which everybody who feeds or drains its channels wakes.
    `failed(task, error)` is called once for each task that fails, in this thread. With `links` it serves those too, and
    goes on after its tasks are done until `links.close()` says that nobody needs an answer any more; `drained()` is
    called once when they, and all channels of the links, have ended. `clock`, where one is moved by hand, wakes it too.
    """

    def __cinit__(
        self, list tasks not None, Waker waker not None, failed, Links links=None, drained=None, Clock clock=None
    ):
        self.tasks = list(tasks)
        self.waker = waker
        self.failed = failed
        self.links = links
        self.drained = drained
        self.clock = clock
        if HEADGATE_DEBUG:
            count_born(RUNNERS)

    def __dealloc__(self):
        if HEADGATE_DEBUG:
            count_died(RUNNERS)

    def run(self):
        """Return when every task is done."""
        if self.clock is not None:
            self.clock.attach(self.waker)
        try:
            self._loop()
        finally:
            if self.clock is not None:
                self.clock.detach(self.waker)
            self.failed = self.drained = None  # they lead back to whoever holds this runner

    cdef int _loop(self) except -1:
        cdef int64_t timeout
        while self._open():
            if self._pass():
                continue
            self.waker.arm()
            if self._pass():  # what came before arm() would wake nobody
                self.waker.disarm()
                continue
            timeout = self._timeout()
            if self.links is not None:
                self.links.park(self.waker, timeout)
                continue
            with nogil:
                self.waker.park(timeout)

    cdef bint _open(self) except -1:
        """Whether there is anything left to do."""
        if self.tasks:
            return True
        if self.links is None:
            return False
        if self.drained is not None and self.links.drained():
            drained, self.drained = self.drained, None
            drained()
        return not self.links.closing

    cdef bint _pass(self) except -1:
        """Step every task once; whether anything moved."""
        cdef bint moved = False
        self.passes += 1
        if self.links is not None:
            moved = self.links.receive(monotonic_ns())
        moved |= self._step_tasks()
        if self.links is not None:
            moved |= self.links.send(monotonic_ns())
        return moved

    cdef bint _step_tasks(self) except -1:
        """Carry what is here as far as it goes, then let the sources read; whether anything moved."""
        cdef int64_t begin = monotonic_ns()
        cdef Py_ssize_t at = 0
        cdef bint moved = False, ended = False
        cdef Task task
        while at < len(self.tasks):
            task = <Task>self.tasks[at]
            at += 1
            if task.step() != BUSY:
                continue
            give_way()
            moved = True
            ended |= task.done or task.failure is not None
            if task.source is None and task.since - begin < TURN_NS:
                at = 0  # first to those behind it
        if ended:
            self._retire()
        return moved

    cdef int _retire(self) except -1:
        cdef Task task
        for task in self.tasks:
            failure = task.take_failure()
            if failure is not None:
                self.failed(task, failure)
        self.tasks = [task for task in self.tasks if not (<Task>task).done]
        return 0

    cdef int64_t _timeout(self):
        """Nanoseconds until a task or a link wants a look; 0: now; below 0: none does."""
        cdef int64_t deadline, first = -1 if self.links is None else self.links.deadline()
        cdef Task task
        for task in self.tasks:
            deadline = task.deadline()
            if deadline >= 0 and (first < 0 or deadline < first):
                first = deadline
        return -1 if first < 0 else max(0, first - monotonic_ns())
