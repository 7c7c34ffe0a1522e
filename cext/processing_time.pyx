"""Processing time: the clock that users' windows and timers go by, in milliseconds since the epoch.

What the engine itself waits for (credit, linger, heartbeats) goes by the monotonic clock and knows nothing of this one.
"""

from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from cext.atomics cimport load, store
from cext.clock cimport monotonic_ns

cdef int64_t LONGEST_NS = 1_000_000_000  # of one wait: then a clock that was set, or a machine that slept, is noticed


cdef class Clock:
    """The system's clock. It may be put back: who must not go back with it keeps the latest time that it has seen."""

    def __cinit__(self, *arguments):
        self.wakers = []

    cdef int64_t now(self) noexcept:
        cdef timespec at
        clock_gettime(CLOCK_REALTIME, &at)
        return <int64_t>at.tv_sec * 1000 + at.tv_nsec // 1_000_000

    cdef int64_t look_at(self, int64_t time) noexcept:
        """When whoever waits for `time` should look again, monotonic ns; below 0: when it is woken.

        It may be too early; then it is asked again. A head that says so in `deadline` is stepped by then.
        """
        cdef timespec at
        clock_gettime(CLOCK_REALTIME, &at)
        cdef int64_t ahead = time - <int64_t>at.tv_sec * 1000  # in ms first: `time` may be the end of time
        if ahead > 2000:
            return monotonic_ns() + LONGEST_NS
        return monotonic_ns() + max(0, min(LONGEST_NS, ahead * 1_000_000 - at.tv_nsec))

    def attach(self, Waker waker not None):
        """Wake `waker` whenever the clock is moved by hand."""
        self.wakers.append(waker)

    def detach(self, Waker waker not None):
        """No longer wake it."""
        self.wakers.remove(waker)

    def read(self):
        """The time, in milliseconds since the epoch."""
        return self.now()


cdef class ManualClock(Clock):
    """A clock that stands still until it is moved."""

    def __cinit__(self, int64_t time=0, *arguments):
        self.time = <uint64_t>time

    cdef int64_t now(self) noexcept:
        return <int64_t>load(&self.time)

    cdef int64_t look_at(self, int64_t time) noexcept:
        return monotonic_ns() if time <= self.now() else -1

    def move(self, int64_t time):
        """It is `time` from now on; wakes every loop that may wait for it."""
        if time < self.now():
            raise ValueError(f"the clock stands at {self.now()} ms and does not go back to {time} ms")
        store(&self.time, <uint64_t>time)
        cdef Waker waker
        for waker in list(self.wakers):
            waker.wake()
