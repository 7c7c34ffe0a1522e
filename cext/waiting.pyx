"""Waiting: records that wait until event time has passed them, to be given in its order."""

from heapq import heappop, heappush

cimport cython

from cext.moments cimport FOREVER


@cython.final
cdef class Waiting:
    """Records by time; of one time what came first is given first."""

    def __cinit__(self):
        self.records = {}
        self.times = []
        self.hand = []

    cdef int add(self, int64_t time, object record) except -1:
        there = self.records.get(time)
        if there is None:
            self.records[time] = [record]
            heappush(self.times, time)
        else:
            (<list>there).append(record)
        self.count += 1
        return 0

    cdef int64_t first(self):
        """The earliest time that one has; FOREVER: there is none."""
        if self.hand:
            return self.given
        if not self.times:
            return FOREVER
        return self.times[0]

    cdef object take(self):
        """A record of that time, of which there is one."""
        if not self.hand:
            self.given = heappop(self.times)
            self.hand = self.records.pop(self.given)
            self.hand.reverse()
        self.count -= 1
        return self.hand.pop()

    cdef tuple saved(self):
        """All records, and their times."""
        cdef list found = self.hand[::-1], times = [self.given] * len(self.hand)
        for time, records in self.records.items():
            found.extend(<list>records)
            times.extend([time] * len(<list>records))
        return found, times
