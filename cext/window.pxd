# Window: how many records a channel may hold, from how fast its consumer takes them.
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    PERIODS = 20  # how many the consumer's rate is remembered for
    NEWEST = 10   # of how many it is the best


cdef class Window:
    cdef readonly int64_t size    # the window, in records
    cdef readonly int64_t most    # never above: what explain() adds up
    cdef readonly int64_t floor   # never below: a hop's worth, and twice the consumer's batch
    cdef int64_t least            # what the floor never goes below
    cdef readonly int64_t frame   # records of a full frame
    cdef readonly int64_t capped  # for how long, ns, `most` and nothing else has held up a link with a long way
    cdef double share             # this channel's part of target_delay, seconds
    cdef double rates[PERIODS]    # records/s released in each of the last periods
    cdef uint64_t round_trip      # of the link that the channel crosses, ns; the link writes, the consumer reads
    cdef int64_t under_way        # records that the consumer takes at its best in a little more than that
    cdef double mean              # records/s over all periods that are remembered
    cdef double best              # records/s in the best of the newest ones
    cdef int64_t fed              # for how many periods, PERIODS at most, the consumer has not been out of records
    cdef int at                   # where in `rates` the next one goes
    cdef int64_t since            # when the running period began, ns
    cdef uint64_t seen            # records released when it began

    cdef bint due(self, int64_t now) noexcept
    cpdef int64_t update(self, int64_t now, uint64_t released, bint starved, bint blocked)
    cpdef void want(self, int64_t batch) noexcept
    cpdef void travels(self, uint64_t round_trip) noexcept
    cdef int _note(self, int64_t now, uint64_t released, int64_t periods) noexcept
    cdef double _there_and_back(self) noexcept
    cdef int64_t _within(self, int64_t size) noexcept
