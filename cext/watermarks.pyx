"""Watermarks: the operator that makes event time, from the times of the records that go by.

1. A part's watermark is its latest event time less `out_of_order`: what the stream's author promised that no later
   record of that part comes before. The operator's is the least of its parts'.
2. A part that was asked in vain for `idle_after` is set aside until it gives something. The time in which it was not
   asked, for want of credit, does not count. When all are set aside, the one furthest ahead tells the time.
3. The task tells others of it when it likes, for whoever keeps the promise is not judged by it. Before a record that
   breaks it the mark goes out first: so what becomes of that record does not depend on how frames are cut.
"""

cimport cython
from cext.guard cimport Guard, Sideline
from cext.instant cimport NEVER

from cext.operator_state import OperatorState


@cython.final
cdef class Part:
    """What is known of one part of a stream, such as a partition of a source."""

    def __cinit__(self):
        self.furthest = NEVER


@cython.final
cdef class Watermarks(Operator):
    """Records go on unchanged; their times, by `instant`, make the watermark.

    `out_of_order`: how much earlier than another before it a record may be, ms; `idle_after`: ns, below 0: never.
    Where no source says what part rows come from, there is one.
    """

    def __cinit__(
        self, str name, Guard guard, Instant instant not None, int64_t out_of_order=0, int64_t idle_after=-1
    ):
        self.instant = instant
        self.out_of_order = out_of_order
        self.idle_after = idle_after
        self.parts = []
        self.rest = []
        self.furthest = self.time = self.told = NEVER

    cdef list apply(self, list rows, Sideline side):
        cdef Py_ssize_t i = 0, count = len(rows)
        cdef int64_t time, others = self._of_others()
        cdef Part part = self.part if self.part is not None else self.begin()
        cdef list out = None  # once it is not `rows`
        part.idle = False
        part.silent_since = 0
        while i < count:
            try:
                while i < count:
                    row = rows[i]
                    time = self.instant.of(row)
                    if time > part.furthest:
                        part.furthest = time
                    elif time < part.furthest - self.out_of_order and self._is_news(part, others, time):
                        self.rest = rows[i:] + self.rest
                        self.records_in -= count - i  # these come in again
                        return rows[:i] if out is None else out
                    if out is not None:
                        out.append(row)
                    i += 1
            except BaseException as error:
                if out is None:
                    out = rows[:i]
                if not self.guard.handle(row, error, side):
                    side.lose(count - i)
                    break
                i += 1
        return rows if out is None else out

    cdef bint _is_news(self, Part part, int64_t others, int64_t time) noexcept:
        """Whether `time` is behind a watermark that was not told yet."""
        cdef int64_t least = max(self.time, min(others, part.furthest - self.out_of_order))
        return time < least and least > self.told

    cdef list take_rest(self, Py_ssize_t limit):
        """Up to `limit` of the rows that were kept back; the mark that they waited for is out."""
        cdef list rows = self.rest[:limit]
        del self.rest[:limit]
        return rows

    # Event time.

    cpdef int64_t watermark(self) noexcept:
        """What no record that keeps the promise will be before, ms; only grows."""
        cdef int64_t least = -NEVER, furthest = self.furthest
        cdef Part part
        for part in self.parts:
            furthest = max(furthest, part.furthest)
            if not part.idle:
                least = min(least, part.furthest)
        least = min(least, furthest)  # where all are idle
        if least != NEVER:
            self.time = max(self.time, least - self.out_of_order)
        return self.time

    cdef int64_t _of_others(self) noexcept:
        """The least watermark of those parts that the rows in hand are not from."""
        cdef int64_t least = -NEVER
        cdef Part part
        for part in self.parts:
            if part is not self.part and not part.idle:
                least = min(least, part.furthest if part.furthest == NEVER else part.furthest - self.out_of_order)
        return least

    cpdef bint is_idle(self) noexcept:
        """Whether every part is set aside."""
        cdef Part part
        for part in self.parts:
            if not part.idle:
                return False
        return len(self.parts) > 0

    cpdef object snapshot(self):
        """What is known of parts that have not ended is kept by who reads them."""
        return OperatorState({}, {"time": self.watermark(), "furthest": self.furthest})

    cpdef restore(self, list states):
        self.time = min([single["time"] for _, single in states])
        self.furthest = min([single["furthest"] for _, single in states])

    # Parts.

    cdef Part begin(self, int64_t furthest=NEVER):
        """One more part of the stream, in which event time has come to `furthest` before."""
        cdef Part part = Part.__new__(Part)
        part.furthest = furthest
        self.parts.append(part)
        self.part = part
        return part

    cdef int end(self, Part part) except -1:
        """Nothing more comes from `part`."""
        self.furthest = max(self.furthest, part.furthest)
        self.parts.remove(part)
        return 0

    cdef int silent(self, Part part, int64_t now) except -1:
        """`part` was asked and had nothing."""
        cdef Part each
        if self.held:
            self.held = False
            for each in self.parts:
                each.silent_since = 0
        if part.silent_since == 0:
            part.silent_since = now
        if self.idle_after >= 0 and now - part.silent_since >= self.idle_after:
            part.idle = True
        return 0

    cdef int64_t deadline(self) noexcept:
        """When a part becomes idle if it goes on like this, monotonic ns; below 0: none does."""
        cdef int64_t first = -1
        cdef Part part
        for part in self.parts:
            if self.idle_after >= 0 and part.silent_since != 0 and not part.idle:
                if first < 0 or part.silent_since + self.idle_after < first:
                    first = part.silent_since + self.idle_after
        return first
