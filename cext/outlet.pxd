# Outlet: the producer's half of a channel that crosses processes.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from cext.channel cimport Channel
from cext.frame cimport Frame
from cext.message cimport Message
from cext.task cimport Task

cdef enum:
    BLOCKED_NS = 50_000_000  # how often a producer without credit says so: twice in a window's period


cdef class Outlet:
    cdef readonly uint32_t number     # the channel's, the same on both sides
    cdef readonly Channel channel     # its producer is a task, its consumer is this
    cdef object codec
    cdef public Task task             # whose time encoding is: the producer, if its thread serves the links; or None
    cdef readonly int64_t coding      # how long encoding took, ns
    cdef uint16_t sender
    cdef uint64_t epoch
    cdef Py_ssize_t frame_bytes       # a larger payload is cut
    cdef readonly uint64_t byte_window  # the most encoded bytes in flight
    cdef Py_ssize_t record_bytes      # a larger record is refused
    cdef object unsent                # (error) -> whether to go on without the record that it blames
    cdef readonly bint is_cut         # one could not be sent: the peer gets an end cut short, and nothing more
    cdef readonly uint64_t withheld   # records that the peer will never see; what it counts is so much less
    cdef readonly uint64_t dropped    # those of them that went nowhere since the channel was cut
    cdef Frame frame                  # the one in work
    cdef Py_ssize_t at                # its next record
    cdef Py_ssize_t chunk             # how many records fit into frame_bytes, as it seems
    cdef Message ready                # made, and not yet within the credit for bytes
    cdef object unacked               # messages that the peer may not have, in order
    cdef readonly uint64_t sequence   # of the last message handed out
    cdef readonly uint64_t acked      # the peer has all up to this one
    cdef readonly bint ended          # the channel's end was taken
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
    cdef Message _mark(self)
    cdef Message _records(self)
    cdef int _pass(self, Py_ssize_t count) except -1
    cdef Message _refused(self, error)
    cdef int _drop(self) except -1
    cdef int _withhold(self, Py_ssize_t records) except -1
    cdef Message _message(self, int kind, uint64_t sequence, bytes payload)
    cdef bytes _encoded(self, int *format, Py_ssize_t *count)


cdef uint64_t first_slots(Channel channel) noexcept
