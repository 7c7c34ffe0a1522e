# Lanes: the inputs of a task, which of them is next, what time it is by their marks, and who waits for whom.
from libc.stdint cimport int64_t, uint64_t

from cext.channel cimport Channel
from cext.frame cimport Frame


cdef class Lane:
    cdef readonly Channel channel
    cdef readonly bint waits           # may be held until others have come as far in event time
    cdef readonly int64_t least_delay  # how far its marks are at least behind what their makers have seen, ms
    cdef readonly int64_t most_delay   # ... and at most
    cdef readonly bint is_table        # its records make a table: event time does not go by it
    cdef bint was_read        # it has ended or been idle
    cdef bint ended
    cdef uint64_t brought     # the last barrier that it has brought; 0: none
    cdef bint idle            # nothing comes from it for now, so event time does not wait for it
    cdef int64_t watermark

    cdef int64_t _behind(self, int64_t delay) noexcept


cdef class Lanes:
    cdef readonly list each
    cdef readonly int64_t drift  # how far a lane may be ahead of the one furthest behind, ms; below 0: take in turn
    cdef bint tables_first    # no lane is taken from but those of tables
    cdef Lane last            # the one that the last frame is from
    cdef Py_ssize_t turn      # which lane is looked at first
    cdef int64_t furthest     # how far a lane that waits may have come
    cdef bint braked          # at the last look some lane had frames and had come further
    cdef uint64_t newest      # the newest barrier that some lane has brought
    cdef uint64_t passed      # the last one that all have brought
    cdef uint64_t expected    # the last one that is known to be on its way; any thread writes, the task's reads
    cdef uint64_t over        # none up to this one is waited for any more; any thread writes, the task's reads
    cdef bint whole           # no lane has ended cut short

    cdef Frame take(self, bint has_some)
    cdef Frame _in_turn(self, bint has_some)
    cdef bint _is_shut(self, Lane lane, uint64_t awaited) noexcept
    cdef int _was_read(self, Lane read) noexcept
    cdef Frame _by_time(self)
    cdef Frame _from(self, Py_ssize_t at)
    cdef int tell(self, int64_t watermark) noexcept
    cdef int _measure(self) noexcept
    cdef int64_t event_time(self, bint *idle) noexcept
    cdef int end(self, bint whole) noexcept
    cdef bint have_ended(self) noexcept
    cdef int bring(self, uint64_t barrier) noexcept
    cdef uint64_t aligned(self) noexcept
    cdef uint64_t _awaited(self) noexcept
