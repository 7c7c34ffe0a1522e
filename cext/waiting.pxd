# Waiting: records that wait until event time has passed them, to be given in its order.
from libc.stdint cimport int64_t


cdef class Waiting:
    cdef dict records   # time -> those of that time, as they came
    cdef list times     # a heap of these
    cdef list hand      # what is left of the time that is being given, the first one last
    cdef int64_t given  # that time
    cdef readonly Py_ssize_t count

    cdef int add(self, int64_t time, object record) except -1
    cdef int64_t first(self)
    cdef object take(self)
    cdef tuple saved(self)
