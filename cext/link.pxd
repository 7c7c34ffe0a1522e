# Link: the two halves of a channel that crosses processes, and what a pair of workers tell each other.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from cext.channel cimport Channel
from cext.frame cimport Frame
from cext.message cimport Header, Message

cdef enum Verdict:
    TAKEN    # it is in the channel
    DOUBLED  # it has been taken before
    EARLY    # one before it is missing
    BEYOND   # it passes the credit that was given, in records or in slots

cdef struct Credit:  # where an inlet is; all but `window` and `gap` only grow
    uint64_t limit          # the channel's, in records
    uint64_t released       # the channel's
    uint64_t window         # the channel's
    uint64_t bytes_released
    uint64_t received       # the sequence of the last message taken
    uint64_t slots          # up to which sequence there is room in the ring
    uint64_t gap            # the newest turn that showed something missing; 0: nothing is


cdef class Outlet:
    cdef readonly uint32_t number     # the channel's, the same on both sides
    cdef readonly Channel channel     # its producer is a task, its consumer is this
    cdef object codec
    cdef uint16_t sender
    cdef uint64_t epoch
    cdef Py_ssize_t frame_bytes       # a larger payload is cut
    cdef readonly uint64_t byte_window  # the most encoded bytes in flight
    cdef Py_ssize_t record_bytes      # a larger record is refused
    cdef Frame frame                  # the one in work
    cdef Py_ssize_t at                # its next record
    cdef Py_ssize_t chunk             # how many records fit into frame_bytes, as it seems
    cdef Message ready                # made, and not yet within the credit for bytes
    cdef object unacked               # messages that the peer may not have, in order
    cdef readonly uint64_t sequence   # of the last message handed out
    cdef readonly uint64_t acked      # the peer has all up to this one
    cdef readonly bint ended          # the last message handed out was the channel's end
    cdef uint64_t slots               # the peer has room for all up to this one
    cdef uint64_t cursor              # the next to be handed out; up to `sequence`: once more
    cdef uint32_t turn                # goes into every header: one more each time all is sent again
    cdef readonly uint64_t resent     # messages handed out once more
    cdef bint probing                 # a probe is to be sent
    cdef int64_t probed_at            # when the last one was
    cdef readonly uint64_t bytes_sent
    cdef readonly uint64_t bytes_released
    cdef int64_t blocked_at           # when the peer was last told that the producer is blocked

    cpdef Message next(self, int64_t now)
    cpdef bint granted(self, credit, int64_t now) except -1
    cpdef int resend(self) except -1
    cdef bint finished(self) noexcept
    cdef bint is_blocked(self, int64_t now) noexcept
    cdef int doubt(self, int64_t seen) except -1
    cdef Message _fresh(self)
    cdef Message _make(self)
    cdef Message _message(self, int kind, uint64_t sequence, bytes payload)
    cdef bytes _encoded(self, int *format, Py_ssize_t *count)


cdef class Inlet:
    cdef readonly uint32_t number
    cdef readonly Channel channel     # its producer is this, its consumer is a task
    cdef object codec
    cdef readonly uint64_t received   # the sequence of the last message taken
    cdef readonly bint ended          # ... which was the channel's end
    cdef uint64_t seen                # the greatest sequence that is known to have been sent
    cdef uint32_t turn                # the newest of a message that showed a gap
    cdef object owed                  # (records, bytes) in all, after each message whose bytes are not released
    cdef uint64_t bytes_received
    cdef readonly uint64_t bytes_released
    cdef bint peer_blocked            # its producer has no credit
    cdef Credit told                  # what the peer was told last
    cdef int64_t changed_at           # since when there is something that it was not told; 0: there is nothing

    cdef int take(self, Header *header, object payload) except -1
    cdef Frame _decoded(self, Header *header, object payload)
    cdef Credit present(self)
    cdef bint due(self, int64_t now) except -1
    cdef tuple tell(self)


cdef class Peer:
    cdef readonly uint16_t me
    cdef readonly uint16_t number     # the other worker's
    cdef readonly uint64_t epoch
    cdef readonly dict outlets
    cdef readonly dict inlets
    cdef list order                   # the outlets
    cdef Py_ssize_t at                # the one that may send next
    cdef readonly uint32_t asked      # the channel of the one that was asked last
    cdef readonly int64_t heard_at    # when its last signal came
    cdef readonly int64_t round_trip  # ns; 0: not yet known
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
    cdef bint _refuse(self, str reason) except -1
    cdef bint _hear(self, signal, int64_t now) except -1
    cdef int _note(self, int64_t clock, int64_t echo, int64_t held, int64_t now) except -1
