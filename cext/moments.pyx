"""Moments: what is due when, in order of time.

What is due at one time lies together, so the heap has an int for each time, whatever is due then. Nothing is looked for
in it: a time at which nothing is due any more stays there until it comes, or until half of them are such.
"""

from heapq import heapify, heappop, heappush

cimport cython

cdef Py_ssize_t FEW = 64  # times that are not worth tidying


@cython.final
cdef class Moments:
    """Anything that can be in a dict, each once at a time; of one time what was added first comes first."""

    def __cinit__(self):
        self.due = {}
        self.times = []
        self.hand = []

    cdef bint add(self, int64_t time, object what) except -1:
        """False: it was there."""
        cdef dict there = self.due.get(time)
        if there is None:
            self.due[time] = {what: None}
            heappush(self.times, time)
        elif what in there:
            return False
        else:
            there[what] = None
        self.count += 1
        return True

    cdef bint remove(self, int64_t time, object what) except -1:
        """False: it was not there, or is being taken."""
        cdef dict there = self.due.get(time)
        if there is None or what not in there:
            return False
        del there[what]
        self.count -= 1
        if not there:
            del self.due[time]
            if len(self.times) > 2 * len(self.due) + FEW:
                self.times = list(self.due)
                heapify(self.times)
            self._tidy()
        return True

    cdef int64_t first(self) except? -1:
        """The time at which anything is due first; FOREVER: nothing is."""
        if self.hand:
            return self.taken
        if not self.times:
            return FOREVER
        return self.times[0]

    cdef object take(self):
        """What is due first, of which there is some."""
        if not self.hand:
            self.taken = self.first()
            self.hand = list(<dict>self.due.pop(self.taken))
            self.hand.reverse()
            self._tidy()
        self.count -= 1
        return self.hand.pop()

    cdef dict last(self):
        """When each of those that are due is so for the last time."""
        cdef dict found = {}
        for time in sorted(self.due):
            found.update(dict.fromkeys(<dict>self.due[time], time))
        return found

    cdef tuple saved(self):
        """All that is due, and when."""
        cdef list found = self.hand[::-1], times = [self.taken] * len(self.hand)
        for time, there in self.due.items():
            found.extend(<dict>there)
            times.extend([time] * len(<dict>there))
        return found, times

    cdef int load(self, tuple table) except -1:
        for what, time in zip(*table, strict=True):
            self.add(time, what)
        return 0

    cdef int _tidy(self) except -1:
        """Something is due at the first of the times."""
        while self.times and self.times[0] not in self.due:
            heappop(self.times)
        return 0

    # For tests and tools that drive it by hand.

    def put(self, int64_t time, what):
        """Let `what` be due at `time`; False if it is already."""
        return self.add(time, what)

    def cancel(self, int64_t time, what):
        """Let it no longer be; False if it was not."""
        return self.remove(time, what)

    def take_until(self, int64_t time):
        """Take all that is due up to `time`, each with its time."""
        found = []
        while self.first() <= time:
            what = self.take()
            found.append((self.taken, what))
        return found

    @property
    def known_times(self):
        """How many times it keeps in order."""
        return len(self.times)
