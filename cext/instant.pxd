# Instant: takes the event time out of a record, in milliseconds since the epoch.
from libc.stdint cimport int64_t

from cext.getter cimport Getter

cdef enum:
    NEVER = -0x4000000000000000  # before any event time


cdef class Instant:
    cdef readonly Getter what
    cdef readonly object zone    # that of datetimes without one; None: these are refused
    cdef readonly int64_t shift  # added to what the record has, ms

    cdef int64_t of(self, object record) except? -1
    cdef int64_t _of_datetime(self, object value) except? -1


cdef class Arrival(Instant):
    cdef public int64_t time  # now, in processing time; ms since the epoch


cdef inline int64_t floor_div(int64_t value, int64_t divisor) noexcept:
    """As in Python: rounded down, also below zero."""
    cdef int64_t quotient = value // divisor
    return quotient - (value % divisor < 0)
