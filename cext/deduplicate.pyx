"""Deduplicate: of the records of a key that are close together in time, the first to come."""

cimport cython
from libc.stdint cimport int64_t

from cext.getter cimport Getter
from cext.instant cimport Instant
from cext.kept cimport Kept
from cext.partition cimport check_new
from cext.windowed cimport FOREVER, LATE, READY, TAKEN


@cython.final
cdef class Deduplicate(Windows):
    """Lets a record go on unless one of its key did whose time is less than `within` ms before or after its own.

    A record is late if it comes before the watermark, for what it may be a duplicate of may be forgotten then.
    """

    def __cinit__(self, Getter key, Instant instant, int64_t within):
        if within < 1:
            raise ValueError(f"duplicates are looked for within at least 1 ms, not {within}")
        self.given = Shelves(key, instant, 1 - within, within - 1)

    cdef int add(self, object row) except -1:
        cdef Shelves given = self.given
        cdef int64_t time = given.instant.of(row)
        cdef Kept other
        if time < self.watermark:
            return LATE
        key = given.key.get(row)
        check_new(key)
        for times in given.near(key, time + given.lower, time + given.upper):
            for other in <list>times:
                if given.lower <= other.time - time <= given.upper:
                    return TAKEN
        given.put(key, time, None)
        self.held = given.held
        self.row = row
        return READY

    cdef object ready(self):
        row, self.row = self.row, None
        return iter((row,))

    cdef object advance(self, int64_t watermark):
        if watermark > self.watermark:
            self.watermark = watermark
            self.given.drop(watermark)
            self.held = self.given.held
        return None

    cdef object finish(self):
        self.advance(FOREVER)
        return iter(())

    # Checkpoints.

    cdef dict saved(self):
        return {"given": self.given.saved()[:2]}

    cdef int load(self, dict tables) except -1:
        for key, time in zip(*tables["given"], strict=True):
            self.given.put(key, time, None)
        self.held = self.given.held
        return 0

    cdef object form(self):
        return "times by key"
