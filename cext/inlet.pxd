# Inlet: the consumer's half of a channel that crosses processes.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from cext.channel cimport Channel
from cext.frame cimport Frame
from cext.message cimport Header
from cext.task cimport Task

cdef enum:
    UNTOLD_NS = 5_000_000  # how long a small change may wait before it is told

cdef enum Verdict:
    TAKEN    # it is in the channel
    DOUBLED  # it has been taken before
    EARLY    # one before it is missing
    BEYOND   # it passes the credit that was given, in records or in slots; or says that something has

cdef struct Credit:  # where an inlet is; all but `window` and `gap` only grow
    uint64_t limit          # the channel's, in records
    uint64_t released       # the channel's
    uint64_t window         # the channel's
    uint64_t bytes_released
    uint64_t received       # the sequence of the last message taken
    uint64_t slots          # up to which sequence there is room in the ring
    uint64_t gap            # the newest turn that showed something missing; 0: nothing is


cdef class Inlet:
    cdef readonly uint32_t number
    cdef readonly Channel channel     # its producer is this, its consumer is a task
    cdef object codec
    cdef public Task task             # whose time decoding is: the consumer, if its thread serves the links; or None
    cdef readonly int64_t coding      # how long decoding took, ns
    cdef object unread                # (error) is told of records that cannot be decoded
    cdef readonly bint is_cut         # some could not: the channel has got an end cut short, and gets nothing more
    cdef readonly uint64_t dropped    # records that it did not get; the channel's own counts are so much less
    cdef readonly uint64_t received   # the sequence of the last message taken
    cdef readonly bint ended          # ... which was the channel's end
    cdef uint64_t seen                # the greatest sequence that is known to have been sent
    cdef uint32_t turn                # the newest of a message that showed a gap
    cdef object owed                  # (records, bytes) in all, after each message whose bytes are not released
    cdef uint64_t bytes_received
    cdef readonly uint64_t bytes_released
    cdef bint peer_blocked            # its producer has no credit
    cdef Credit told                  # what the peer was told last
    cdef uint64_t slots               # the greatest sequence that the peer may have sent, by all that it was told
    cdef int64_t changed_at           # since when there is something that it was not told; 0: there is nothing

    cdef int take(self, Header *header, object payload) except -1
    cdef Frame _frame(self, Header *header, object payload)
    cdef Frame _decoded(self, Header *header, object payload)
    cdef Credit present(self)
    cdef bint due(self, int64_t now) except -1
    cdef tuple tell(self)
