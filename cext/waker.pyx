"""Waker: an eventfd on which one thread parks and others wake it, only when it is parked."""

cimport cython
from libc.errno cimport errno
from posix.time cimport timespec
from posix.unistd cimport close, read, write

from cext.atomics cimport exchange, store

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int start, int flags) noexcept
    int EFD_NONBLOCK
    int EFD_CLOEXEC

cdef extern from "<poll.h>":
    struct pollfd:
        int fd
        short events
        short revents
    const short POLLIN
    int ppoll(pollfd *fds, unsigned long count, const timespec *timeout, const void *mask) noexcept nogil


@cython.final
cdef class Waker:
    """Where one thread waits for others.

    The waiting side calls `arm`, looks once more for work, and parks only if there was none; the other side
    makes its work visible first and calls `wake` then. Both go through one exchange of `parked`, so either
    the look after `arm` sees the work or `wake` sees the armed waker: no wake-up is lost, and
    a side that is awake costs its waker no system call.
    """

    def __cinit__(self):
        self.parked = 0
        self.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, "no eventfd could be opened to park a thread on; raise the limit of open files")

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    cdef void wake(self) noexcept nogil:
        cdef uint64_t one = 1
        if exchange(&self.parked, 0):
            write(self.fd, &one, sizeof(one))

    cdef void arm(self) noexcept nogil:
        exchange(&self.parked, 1)

    cdef void disarm(self) noexcept nogil:
        store(&self.parked, 0)

    cdef void park(self, int64_t timeout_ns) noexcept nogil:
        """Wait until woken, or for `timeout_ns`; below 0: without a limit. A signal ends it too."""
        cdef pollfd wanted
        cdef timespec limit
        wanted.fd = self.fd
        wanted.events = POLLIN
        wanted.revents = 0
        limit.tv_sec = timeout_ns // 1_000_000_000
        limit.tv_nsec = timeout_ns % 1_000_000_000
        ppoll(&wanted, 1, NULL if timeout_ns < 0 else &limit, NULL)
        self.drain()

    cdef void drain(self) noexcept nogil:
        """Be awake: whoever waited on `fd`, here or in a poll of its own, has come back."""
        cdef uint64_t wakes
        exchange(&self.parked, 0)
        read(self.fd, &wakes, sizeof(wakes))

    def notify(self):
        """Wake the parked thread; nothing happens while it is awake."""
        self.wake()

    def wait(self, double seconds=-1):
        """Park the calling thread until `notify`, for up to `seconds` (below 0: without a limit)."""
        cdef int64_t timeout = -1 if seconds < 0 else <int64_t>(seconds * 1e9)
        with nogil:
            self.arm()
            self.park(timeout)
