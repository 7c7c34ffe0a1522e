# Keyed: what a user's process has of the key in work, its state, its times and its timers.
from libc.stdint cimport int64_t

from cext.moments cimport Moments

cdef object ABSENT  # what a row has for a state that its key has not


cdef class Undoable:
    cdef int take_back(self, tuple change) except -1


cdef class Timers(Undoable):
    cdef Keyed owner
    cdef readonly bint in_event_time
    cdef readonly Moments pending  # keys
    cdef dict last                 # once the stream has ended: up to when each key's timers still fire; until then None

    cdef int _check(self) except -1


cdef class State(Undoable):
    cdef public str name
    cdef public Py_ssize_t index  # its place in a row
    cdef readonly int64_t ttl     # how long what is not written is kept, ms; 0: for ever

    cdef object make_view(self, Keyed owner)
    cdef object plain(self, object cell)
    cdef int replaced(self, Keyed owner, object old, object new) except -1
    cdef bint keep(self, Keyed owner, object key, object cell, int64_t now) except -1
    cpdef str title(self)
    cdef tuple saved(self, dict rows)
    cdef int load(self, Keyed owner, tuple table) except -1


cdef class Keyed(Undoable):
    cdef readonly object key
    cdef readonly int64_t watermark  # no record of an earlier time is to come; NEVER before there is one
    cdef readonly bint at_end        # the stream has ended, no record comes any more
    cdef readonly Timers event_timers
    cdef readonly Timers processing_timers
    cdef bint has_time               # whether its records have event time
    cdef bint in_work                # there is a key
    cdef int64_t moment              # the event time of the record or the timer in work
    cdef int64_t wall                # processing time, ms since the epoch
    cdef int64_t now                 # what time-to-live goes by: event time where there is one, else processing time
    cdef tuple states                # of its class, by their index
    cdef list views                  # of those that are lists and maps, by the same
    cdef dict rows                   # key -> row: what it has of each state, in a list; others are left out
    cdef list row                    # that of the key in work, or None
    cdef bint emptied                # the row in work may have nothing left
    cdef Moments expiring            # (key, state's index), at the time when some of it may be over
    cdef list journal                # changes since the record or timer in work began, or None: they need not be undone

    cdef int bind(self, tuple states, object timers, bint has_time, bint undoes) except -1
    cdef int begin(self, object key, int64_t moment, int64_t now) except -1
    cdef int done(self) except -1
    cdef int undo(self) except -1
    cdef object cell(self, Py_ssize_t at)
    cdef int put(self, Py_ssize_t at, object cell) except -1
    cdef int place(self, Py_ssize_t at, object cell) except -1
    cdef bint sweep(self, int64_t now) except -1
    cdef dict saved(self)
    cdef int load(self, dict tables) except -1
    cdef int give(self, object key, Py_ssize_t at, object cell) except -1
