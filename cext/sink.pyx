"""Sink: the head that gathers records into batches and hands them to a connector's writer."""

import time

cimport cython
from libc.stdint cimport INT64_MAX

from cext.channel cimport Channel
from cext.frame cimport Frame
from cext.guard cimport FAIL, Guard

from cext.operator_state import OperatorState


@cython.final
cdef class Sink(Head):
    """Writes with what `open_writer()` gives: an object with write(records), finish() and abort().

    `batch`: how many records make a good write; a batch that is not full is written once nothing has come for `linger`
    ns. 0: what is there is written, up to a frame or, if that is more, up to what `cost` has shown to be a good batch.
    `is_refusal(error)` tells an error that a record is to blame for from an outage; `clock()` is monotonic ns.
    Credit goes back when `write` has returned, for then the records' fate is final.
    """

    def __cinit__(
        self,
        str name,
        Guard guard,
        open_writer,
        is_refusal,
        Py_ssize_t batch=0,
        int64_t linger=1_000_000,
        clock=time.monotonic_ns,
    ):
        self.open_writer = open_writer
        self.is_refusal = is_refusal
        self.batch = batch
        self.linger = linger
        self.frame = 1
        self.cost = Cost()
        self.clock = clock
        self.rows = []
        self.owed = []
        self.prepared = []
        self.earlier = []
        self.latency = Histogram()

    cpdef bint hungry(self):
        return len(self.rows) < self.good()

    cdef Py_ssize_t good(self) noexcept:
        """How many records make a good write: as declared, else as learned, but no less than a frame."""
        return self.batch or max(self.cost.batch, self.frame)

    cdef bint gathers(self) noexcept:
        """Whether it has records in hand that the next `more` writes, with what else may wait already."""
        return self.batch == 0 and len(self.rows) > 0

    cpdef accept(self, Channel lane, Frame frame, int64_t now):
        if not self.rows:
            self.rows = frame.rows
            self.shared = True
        else:
            if self.shared:  # other channels may hold the same list
                self.rows = list(self.rows)
                self.shared = False
            self.rows.extend(frame.rows)
        self.owed.append([lane, frame.records, frame.born])
        self.frame = lane.cut()
        self.last = now
        self.records_in += frame.records

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        cdef Py_ssize_t count = len(self.rows)
        cdef list rows
        if self.writer is None:
            self._open()
        if count == 0 or (count < self.batch and not self.hurry and now - self.last < self.linger):
            return None
        count = min(count, limit, self.good())
        if self.batch == 0:
            count = self.cost.take(count)
        if count == len(self.rows):
            rows, self.rows = self.rows, []
        else:
            rows, self.rows = self.rows[:count], self.rows[count:]
        self.born = (<list>self.owed[0])[2]  # for the letters that may come of it
        cdef uint64_t settled = self._settled()
        cdef int64_t start = self.clock()
        cdef bint is_plain = self._write(rows, side)
        cdef int64_t end = self.clock()
        if is_plain:
            self.cost.note(count, end - start)
        if side.failure is not None:
            side.lose(count - <Py_ssize_t>(self._settled() - settled))
        self._pay(count, end)
        return []

    cdef uint64_t _settled(self) noexcept:
        """How many records have been written or set aside."""
        return self.written + self.guard.skipped + self.guard.lettered

    cdef int _open(self) except -1:
        try:
            self.writer = self.open_writer()
        except BaseException as error:
            raise self.guard.described(None, error)
        return 0

    # Checkpoints.

    def complete(self, int64_t checkpoint):
        """What was prepared up to `checkpoint` may be seen. From any thread."""
        self.completed = checkpoint

    cpdef object snapshot(self, int64_t checkpoint):
        if not self.prepares:
            return None
        if self.writer is None:
            self._open()
        self.settle_commits(True)  # for what was committed is in no later checkpoint
        try:
            self.prepared.append((checkpoint, self.writer.prepare(checkpoint)))
        except BaseException as error:
            raise self.guard.described(None, error)
        return OperatorState({}, {"prepared": [token for _, token in self.prepared]})

    cpdef restore(self, list states):
        for _, single in states:
            self.earlier += single["prepared"]

    cdef bint commit(self) except -1:
        """Make visible what may be; whether anything has still to be told to the writer."""
        cdef int64_t completed = self.completed  # which may grow meanwhile
        self.settle_commits(False)
        if completed == self.told:
            return len(self.prepared) > 0
        try:
            while self.prepared and (<tuple>self.prepared[0])[0] <= completed:
                self.under_way = bool(self.writer.commit((<tuple>self.prepared[0])[1]))
                del self.prepared[0]
        except BaseException as error:
            raise self.guard.described(None, error)
        self.told = completed
        if not self.under_way:
            self._tell(completed)
        return len(self.prepared) > 0

    cdef int settle_commits(self, bint wait) except -1:
        """Say so if all that the writer was told to make visible is; with `wait`, not before it is."""
        if not self.under_way:
            return 0
        try:
            self.under_way = not self.writer.settle(wait=wait)
        except BaseException as error:
            self.under_way = False
            raise self.guard.described(None, error)
        if not self.under_way:
            self._tell(self.told)
        return 0

    cdef int _tell(self, int64_t seen) except -1:
        if self.shown is not None:
            self.shown(seen)
        return 0

    cdef bint _write(self, list rows, Sideline side) except -1:
        """All of `rows`; where a refused record does not end the job, it is found by trying each alone. Whether the
        first try was the last."""
        cdef list batch
        if self._try(rows, len(rows) == 1 or self.guard.mode == FAIL, side):
            return True
        for batch in [[row] for row in rows]:
            self._try(batch, True, side)
            if side.failure is not None:
                break
        return False

    cdef bint _try(self, list rows, bint final, Sideline side) except -1:
        """Write `rows`; False if they were refused and it was not their `final` try. An outage is no record's fault."""
        try:
            self.writer.write(rows)
            self.written += len(rows)
        except BaseException as error:
            if not self.is_refusal(error):
                self.guard.fail(None, error, side)
            elif not final and isinstance(error, Exception):
                return False
            else:
                self.guard.handle(rows[0] if len(rows) == 1 else None, error, side)
        return True

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
            self._open()
        if self.writer is None:
            return
        try:
            if whole:
                self.writer.finish()
            else:
                self._commit_the_complete()
                self.writer.abort()
        except BaseException as error:
            raise self.guard.described(None, error)
        if whole:
            self._tell(INT64_MAX)

    cdef int _commit_the_complete(self) noexcept:
        """What a cancelled job had still to show. Where it cannot be, the next run shows it."""
        try:
            self.commit()
            self.settle_commits(True)
        except BaseException:
            pass
        return 0

    cpdef Py_ssize_t discard(self):
        cdef Py_ssize_t dropped = len(self.rows)
        self.rows = []
        for channel, records, _ in self.owed:
            (<Channel>channel).release(records)
        self.owed = []
        return dropped

    cpdef int64_t deadline(self):
        return self.last + self.linger if self.rows else -1
