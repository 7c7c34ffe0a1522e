# Source: the head that asks a connector's readers for as many records as there is credit for.
from libc.stdint cimport int64_t

from cext.guard cimport Sideline
from cext.head cimport Head
from cext.watermarks cimport Part, Watermarks


cdef class Reading:
    cdef object reader
    cdef str partition
    cdef Part part  # what the watermarks know of its partition, or None


cdef class Source(Head):
    cdef object open_reader      # (partition) -> reader
    cdef list unopened           # partitions not yet opened, the next one last
    cdef set finished            # those read to their end, in this life of the job or an earlier one
    cdef dict earlier            # of partitions not yet opened: (position, event time) where an earlier life stopped
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
    cdef int64_t requested       # the last checkpoint that was asked for; written by any thread
    cdef int64_t passed          # the last one whose barrier has gone on; written by the task

    cdef int _open(self) except -1
    cdef Reading _begin(self, str partition)
    cdef object _known(self, Reading reading)
    cdef list _read(self, Py_ssize_t limit, int64_t now, Sideline side)
    cdef list _ask(self, Py_ssize_t limit, int64_t now, Sideline side)
    cdef list _without_bad(self, object rows, Sideline side)
    cdef int _back_off(self, int64_t now) except -1
