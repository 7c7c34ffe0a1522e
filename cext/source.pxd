# Source: the head that asks a connector's readers for as many records as there is credit for.
from libc.stdint cimport int64_t

from cext.guard cimport Sideline
from cext.head cimport Head
from cext.watermarks cimport Part, Watermarks


cdef class Reading:
    cdef object reader
    cdef Part part  # what the watermarks know of its partition, or None


cdef class Source(Head):
    cdef object open_reader      # (partition) -> reader
    cdef list unopened           # partitions not yet opened, the next one last
    cdef list readers            # those being read, each a Reading, in turn
    cdef bint in_turn            # all partitions are read in turn, not one after the other
    cdef Watermarks watermarks   # the operator behind it that wants to know of partitions, or None
    cdef object bad_record       # the class that stands for a record that could not be read
    cdef bint blocking           # a read may wait
    cdef Py_ssize_t turn
    cdef int64_t retry_at        # after an empty read: when to ask again, monotonic ns
    cdef int64_t backoff
    cdef readonly bint exhausted  # nothing will ever come again
    cdef readonly bint whole      # ... because every partition was read to its end, or the user stopped the job
    cdef bint stopping

    cdef int _open(self) except -1
    cdef list _read(self, Py_ssize_t limit, int64_t now, Sideline side)
    cdef list _ask(self, Py_ssize_t limit, int64_t now, Sideline side)
    cdef list _without_bad(self, object rows, Sideline side)
    cdef int _back_off(self, int64_t now) except -1
