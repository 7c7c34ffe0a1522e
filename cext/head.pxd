# Head: how a task turns the frames of its lanes into rows for its chain.
from libc.stdint cimport int64_t, uint64_t

from cext.channel cimport Channel
from cext.frame cimport Frame
from cext.groups cimport Groups
from cext.guard cimport Guard, Sideline
from cext.processing_time cimport Clock


cdef class Head:
    cdef readonly str name
    cdef readonly Guard guard
    cdef public Clock clock    # the job's, for processing time
    cdef public int64_t born   # when the oldest of the rows that `more` gave entered the job, monotonic ns
    cdef public bint hurry     # a mark waits behind what the head holds: let go of it now
    cdef public bint waiting   # its work is under way elsewhere: it is busy though `more` gives nothing
    cdef readonly int64_t delay  # what it gives may be so much behind the event time here, ms
    cdef readonly uint64_t records_in

    cpdef bint hungry(self)
    cpdef accept(self, Channel lane, Frame frame, int64_t now)
    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side)
    cpdef settle(self)
    cpdef bint drained(self)
    cpdef advance(self, int64_t watermark)
    cpdef idle(self)
    cpdef finish(self, bint whole)
    cpdef close(self, bint whole)
    cpdef str open_thread(self)
    cpdef Py_ssize_t discard(self)
    cpdef int64_t deadline(self)
    cpdef object snapshot(self, int64_t checkpoint)
    cpdef restore(self, list states)


cdef class Holding(Head):
    cdef Channel lane       # where `frame` came from
    cdef Frame frame        # the frame in work, or None
    cdef Py_ssize_t at      # its next record
    cdef Py_ssize_t spent   # its records that are done with but not yet released


cdef class Pass(Holding):
    pass


cdef class Expand(Holding):
    cdef object function
    cdef object items       # what is left of the expansion of the record at `at`, or None
    cdef bint given         # something of it has gone on, so that it does not count as dropped

    cdef bint _start(self, Sideline side) except -1
    cdef int _next(self, list out, Sideline side) except -1


cdef class Batch(Holding):
    cdef object function
    cdef Py_ssize_t size
    cdef object items       # what is left of the result of the batch in work, or None
    cdef Py_ssize_t pending  # records of that batch
    cdef Py_ssize_t kept    # those of them that nothing has come of yet: each record given counts for one

    cdef object _call(self, list rows, Sideline side)


cdef class Giving(Holding):
    cdef object results     # an iterator of those that are due and still to be given, or None

    cdef list _results(self, Py_ssize_t limit, Sideline side)


cdef class Aggregate(Giving):
    cdef readonly Groups groups
    cdef bint ended         # nothing more comes
