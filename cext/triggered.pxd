# Triggered: one window a key without an end, whose result is given now and again.
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.windowed cimport Windows


cdef class Tally:
    cdef int64_t records  # of a key, since the beginning
    cdef int64_t fresh    # ... and since its result was given


cdef class Triggered(Windows):
    cdef Groups groups
    cdef readonly int64_t records     # give a key's result after so many of its records; 0: not by number
    cdef readonly int64_t every       # ... each time that event time passes a multiple of it, ms; 0: not by it
    cdef readonly int64_t clock_every  # ... each time that processing time does
    cdef object when                  # ... after a record for which this is true; None: not by records
    cdef readonly bint purge          # a key begins anew once its result was given
    cdef dict tallies                 # key -> Tally
    cdef dict changed                 # the same, of those keys whose result was not given as it is
    cdef int64_t time                 # the latest processing time
    cdef object fired                 # the key whose result the last record makes due

    cdef object _give(self, object key, Tally tally)
