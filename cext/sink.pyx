"""Sink: the head that gathers records into batches and hands them to a connector's writer."""

cimport cython
from cext.channel cimport Channel
from cext.clock cimport monotonic_ns
from cext.frame cimport Frame
from cext.guard cimport Guard


@cython.final
cdef class Sink(Head):
    """Writes with what `open_writer()` gives: an object with write(records), finish() and abort().

    `batch`: how many records make a good write, 0: whatever there is; a batch that is not full is written once nothing
    has come for `linger` ns. Credit goes back when `write` has returned, for then the records' fate is final.
    """

    def __cinit__(self, str name, Guard guard, open_writer, Py_ssize_t batch=0, int64_t linger=1_000_000):
        self.open_writer = open_writer
        self.batch = batch
        self.linger = linger
        self.rows = []
        self.owed = []
        self.latency = Histogram()

    cpdef bint hungry(self):
        return len(self.rows) < max(1, self.batch)

    cpdef accept(self, Channel lane, Frame frame, int64_t now):
        self.rows = frame.rows if not self.rows else self.rows + frame.rows
        self.owed.append([lane, frame.records, frame.born])
        self.last = now
        self.records_in += frame.records

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        cdef Py_ssize_t count = len(self.rows)
        cdef list rows
        if self.writer is None:
            self.writer = self.open_writer()
        if count == 0 or (count < self.batch and not self.hurry and now - self.last < self.linger):
            return None
        count = min(count, limit, self.batch or count)
        if count == len(self.rows):
            rows, self.rows = self.rows, []
        else:
            rows, self.rows = self.rows[:count], self.rows[count:]
        self._write(rows, side)
        self._pay(count, monotonic_ns())
        return []

    cdef int _write(self, list rows, Sideline side) except -1:
        """All of `rows`; where a failure does not end the job, what is at fault is found record by record."""
        try:
            self.writer.write(rows)
            self.written += len(rows)
            return 0
        except BaseException as error:
            if self.guard.mode == 0 or len(rows) == 1:
                self.guard.handle(rows[0] if len(rows) == 1 else None, error, side)
                return 0
        for row in rows:
            try:
                self.writer.write([row])
                self.written += 1
            except BaseException as error:
                if not self.guard.handle(row, error, side):
                    break
        return 0

    cdef int _pay(self, Py_ssize_t records, int64_t now) except -1:
        """Give `records` of credit back, to the oldest frames first."""
        cdef Py_ssize_t part
        cdef list debt
        while records > 0:
            debt = <list>self.owed[0]
            part = min(records, <Py_ssize_t>debt[1])
            (<Channel>debt[0]).release(part)
            self.latency.add(now - <int64_t>debt[2], part)
            debt[1] = <Py_ssize_t>debt[1] - part
            if debt[1] == 0:
                del self.owed[0]
            records -= part
        return 0

    cpdef bint drained(self):
        return not self.rows

    cpdef close(self, bint whole):
        """Finish the writer, or abort it when the stream was cut short; an empty stream opens it first."""
        if self.writer is None and whole:
            self.writer = self.open_writer()
        if self.writer is None:
            return
        if whole:
            self.writer.finish()
        else:
            self.writer.abort()

    cpdef Py_ssize_t discard(self):
        cdef Py_ssize_t dropped = len(self.rows)
        self.rows = []
        for channel, records, _ in self.owed:
            (<Channel>channel).release(records)
        self.owed = []
        return dropped

    cpdef int64_t deadline(self):
        return self.last + self.linger if self.rows else -1
