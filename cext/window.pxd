# Window: how many records a channel may hold, from how fast its consumer takes them.
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    PERIODS = 10  # how many periods the consumer's rate is remembered for


cdef class Window:
    cdef readonly int64_t size    # the window, in records
    cdef readonly int64_t most    # never above: what explain() adds up
    cdef readonly int64_t floor   # never below: a hop's worth, and twice the consumer's batch
    cdef int64_t least            # what the floor never goes below
    cdef readonly int64_t frame   # records of a full frame
    cdef double share             # this channel's part of target_delay, seconds
    cdef double rates[PERIODS]    # records/s released in each of the last periods
    cdef uint64_t round_trip      # of the link that the channel crosses, ns; the link writes, the consumer reads
    cdef int64_t under_way        # records that the consumer takes in a little more than that
    cdef int at                   # where in `rates` the next one goes
    cdef int64_t since            # when the running period began, ns
    cdef uint64_t seen            # records released when it began

    cdef bint due(self, int64_t now) noexcept
    cpdef int64_t update(self, int64_t now, uint64_t released, bint starved, bint blocked)
    cpdef void want(self, int64_t batch) noexcept
    cpdef void travels(self, uint64_t round_trip) noexcept
    cdef double _note(self, int64_t now, uint64_t released, int64_t periods) noexcept
    cdef int64_t _within(self, int64_t size) noexcept
