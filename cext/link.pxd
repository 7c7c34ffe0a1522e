# Link: what a pair of workers tell each other about the channels between them.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from cext.inlet cimport Inlet
from cext.message cimport Message
from cext.outlet cimport Outlet


cdef class Peer:
    cdef readonly uint16_t me
    cdef readonly uint16_t number     # the other worker's
    cdef readonly uint64_t epoch
    cdef readonly dict outlets
    cdef readonly dict inlets
    cdef list order                   # the outlets
    cdef Py_ssize_t at                # the one that may send next
    cdef readonly int64_t heard_at    # when its last signal came
    cdef readonly int64_t round_trip  # ns; 0: not yet known
    cdef readonly int64_t ahead       # of ours is their clock, ns, as far as we know
    cdef int64_t began                # when we first told it anything
    cdef readonly dict refused        # how many messages were refused, by reason
    cdef int64_t their_clock          # of its last signal
    cdef int64_t told_at              # when it last got a signal with everything in it

    cpdef Message next(self, int64_t now)
    cpdef tuple signal(self, int64_t now)
    cpdef bint hear(self, signal, int64_t now) except -1
    cpdef int reconnected(self, int64_t now) except -1
    cpdef bint receive(self, header, payload, int64_t now) except -1
    cpdef bint finished(self)
    cpdef int64_t deadline(self)
    cdef int64_t _by_our_clock(self, int64_t born, int64_t now) noexcept
    cdef void _compare(self, int64_t ahead, int64_t trip) noexcept
    cdef bint _refuse(self, str reason) except -1
    cdef bint _hear(self, signal, int64_t now) except -1
    cdef int _note(self, int64_t clock, int64_t echo, int64_t held, int64_t now) except -1
