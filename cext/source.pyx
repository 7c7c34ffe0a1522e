"""Source: the head that asks a connector's readers for as many records as there is credit for."""

cimport cython
from cpython.ref cimport PyObject, PyTypeObject

from cext.clock cimport monotonic_ns
from cext.guard cimport Guard
from cext.instant cimport NEVER

from cext.operator_state import OperatorState

cdef extern from "Python.h":
    # As C sees them: no reference is counted.
    Py_ssize_t PyList_GET_SIZE(list rows) noexcept
    PyObject *PyList_GET_ITEM(list rows, Py_ssize_t at) noexcept
    PyTypeObject *Py_TYPE(PyObject *value) noexcept

cdef int64_t FIRST_BACKOFF_NS = 1_000_000
cdef int64_t LAST_BACKOFF_NS = 16_000_000
cdef double LONGEST_HINT = 3600  # seconds


cdef int64_t reached(Reading reading) noexcept:
    """How far its event time has come."""
    return NEVER if reading.part is None else reading.part.furthest


@cython.final
cdef class Reading:
    """One partition that is being read."""

    def __cinit__(self, reader, str partition, Part part=None):
        self.reader = reader
        self.partition = partition
        self.part = part


@cython.final
cdef class Source(Head):
    """Reads partitions with what `open_reader(partition)` gives: an object with read(limit), poll_after() and close().

    `in_turn`: all partitions are open and read in turn, else one after the other; `bad_record`: the class that
    stands, with `raw` and `error`, where a record could not be read; `blocking`: a read may wait, so what came before
    it must not. With `watermarks`, the operator right behind it, all partitions are open, and the one whose event time
    is furthest behind is asked first: so none runs further ahead of the others, which it would have to wait for, than
    it must.
    """

    def __cinit__(
        self,
        str name,
        Guard guard,
        open_reader,
        list partitions not None,
        bint in_turn,
        bad_record,
        bint blocking=True,
        Watermarks watermarks=None,
    ):
        self.open_reader = open_reader
        self.unopened = partitions[::-1]
        self.finished = set()
        self.earlier = {}
        self.readers = []
        self.in_turn = in_turn or watermarks is not None
        self.watermarks = watermarks
        self.bad_record = bad_record
        self.blocking = blocking
        self.backoff = FIRST_BACKOFF_NS

    def stop(self, bint whole):
        """Ask for no more records; `whole`: what was read so far is to count as the whole stream. From any thread."""
        self.whole = whole
        self.stopping = True

    def request(self, int64_t checkpoint):
        """Ask for the barrier of `checkpoint` behind what was read so far. From any thread."""
        self.requested = checkpoint

    cpdef object snapshot(self, int64_t checkpoint):
        """Where each partition stands: (position, event time), None where it was read to its end."""
        cdef dict known = {**self.earlier, **dict.fromkeys(self.finished)}
        for reading in self.readers:
            known[(<Reading>reading).partition] = self._known(reading)
        return OperatorState({}, {"partitions": known})

    cdef object _known(self, Reading reading):
        return reading.reader.position(), reached(reading)

    cpdef restore(self, list states):
        cdef dict known = {}
        for _, single in states:
            known.update(single["partitions"])
        self.finished.update([partition for partition, reached in known.items() if reached is None])
        self.unopened = [partition for partition in self.unopened if partition not in self.finished]
        self.earlier = {partition: known[partition] for partition in self.unopened if partition in known}

    cpdef bint hungry(self):
        return False

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        cdef list rows
        if self.stopping or self.exhausted:
            self.exhausted = True
            return None
        if now < self.retry_at:
            return None
        try:
            rows = self._read(limit, now, side)
        except BaseException as error:
            self.guard.fail(None, error, side)
            return []
        if rows is not None:
            self.born = monotonic_ns()
            self.records_in += len(rows)
        return rows

    cdef list _read(self, Py_ssize_t limit, int64_t now, Sideline side):
        cdef list rows
        self._open()
        if self.watermarks is not None and len(self.readers) > 1:
            self.readers.sort(key=reached)
            self.turn = -1
        for _ in range(len(self.readers)):
            rows = self._ask(limit, now, side)
            if rows is not None:
                self.retry_at = 0
                self.backoff = FIRST_BACKOFF_NS
                return rows
        if not self.readers:
            self.exhausted = self.whole = True
            return None
        self._back_off(now)
        return None

    cdef int _open(self) except -1:
        while self.unopened and (self.in_turn or not self.readers):
            self.readers.append(self._begin(self.unopened.pop()))
        return 0

    cdef Reading _begin(self, str partition):
        cdef tuple known = self.earlier.pop(partition, None)
        cdef Part part = None
        if self.watermarks is not None:
            part = self.watermarks.begin(NEVER if known is None else known[1])
        reader = self.open_reader(partition)
        if known is not None:
            reader.seek(known[0])
        return Reading(reader, partition, part)

    cdef list _ask(self, Py_ssize_t limit, int64_t now, Sideline side):
        """Rows of the reader whose turn it is, none when it has ended or all were bad; None: nothing came."""
        self.turn = (self.turn + 1) % len(self.readers)
        cdef Reading reading = self.readers[self.turn]
        rows = reading.reader.read(limit)
        if rows is None:
            del self.readers[self.turn]
            self.finished.add(reading.partition)
            if self.watermarks is not None:
                self.watermarks.end(reading.part)
            reading.reader.close()
            return []
        if len(rows) == 0:
            if self.watermarks is not None:
                self.watermarks.silent(reading.part, now)
            return None
        if len(rows) > limit:
            name = type(reading.reader).__name__
            raise ValueError(f"{name}.read({limit}) returned {len(rows)} records, more than asked for")
        if self.watermarks is not None:
            self.watermarks.part = reading.part
        return self._without_bad(rows, side)

    cdef list _without_bad(self, object rows, Sideline side):
        cdef list out, copy = list(rows)  # the reader may use its own again, and frames are shared
        cdef PyTypeObject *bad = <PyTypeObject *>self.bad_record
        cdef Py_ssize_t at, count = PyList_GET_SIZE(copy)
        for at in range(count):
            if Py_TYPE(PyList_GET_ITEM(copy, at)) == bad:
                break
        else:
            return copy
        out = []
        for row in copy:
            if type(row) is not self.bad_record:
                out.append(row)
            elif not self.guard.handle(row.raw, row.error, side):
                break
        return out

    cdef int _back_off(self, int64_t now) except -1:
        """Nothing came: ask again when the reader says, or after ever longer."""
        self.retry_at = now + self.backoff
        self.backoff = min(2 * self.backoff, LAST_BACKOFF_NS)
        hints = [(<Reading>reading).reader.poll_after() for reading in self.readers]
        if None not in hints:
            # Sooner would bring fewer at a time, and "never" must not keep the thread from looking up.
            self.retry_at = now + max(FIRST_BACKOFF_NS, <int64_t>(1e9 * min(LONGEST_HINT, *hints)))
        cdef int64_t deadline = -1 if self.watermarks is None else self.watermarks.deadline()
        if deadline >= 0:
            self.retry_at = min(self.retry_at, max(deadline, now + FIRST_BACKOFF_NS))
        return 0

    cpdef bint drained(self):
        return True

    cpdef int64_t deadline(self):
        return self.retry_at or -1

    cpdef close(self, bint whole):
        """Close every reader, each even if another's close raises."""
        cdef list readers = self.readers
        self.readers = []
        failure = None
        for reading in readers:
            try:
                (<Reading>reading).reader.close()
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise self.guard.described(None, failure)
