# Cost: what a sink's write costs, a fixed part and a part for each record, and so how many records make a good one.
from libc.stdint cimport int64_t

cdef enum:
    PAIRS = 6  # of writes, a full one and a half one, that are remembered
    SAMPLES = 2 * PAIRS


cdef class Cost:
    cdef readonly Py_ssize_t batch   # how many records cost as much as the write itself; 0: no more than there are
    cdef public Py_ssize_t most      # never above
    cdef readonly double fixed       # what a write costs whatever is in it, ns
    cdef readonly double each        # what a record costs, ns
    cdef double sizes[SAMPLES]       # records of the remembered writes
    cdef double times[SAMPLES]       # what they took, ns
    cdef int kept                    # how many writes are remembered
    cdef int at                      # where the next pair goes
    cdef int64_t writes
    cdef int64_t due                 # the write from which on a half one is wanted
    cdef double last_size            # of the last write
    cdef double last_time
    cdef bint odd                    # ... which took what it should not have

    cpdef Py_ssize_t take(self, Py_ssize_t there) noexcept
    cpdef note(self, Py_ssize_t rows, int64_t took)
    cdef bint _is_half(self, double size) noexcept
    cdef bint _surprises(self, double size, double time) noexcept
    cdef int _forget(self) noexcept
    cdef int _remember(self, double size, double time) noexcept
    cdef bint _estimate(self) except -1
