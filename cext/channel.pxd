# Channel: a ring of frames between one producer and one consumer, bounded by absolute credit.
from libc.stdint cimport int64_t, uint64_t

from cext.frame cimport Frame
from cext.spsc cimport spsc_ring
from cext.waker cimport Waker
from cext.window cimport Window


cdef class Channel:
    # Shared words. All but `blocked` and `window` only grow.
    cdef spsc_ring *ring
    cdef uint64_t pushed    # records promised to the consumer, in the ring or the open frame; producer writes, all read
    cdef uint64_t limit     # `pushed` may never pass it; consumer writes, producer reads
    cdef uint64_t released  # records whose fate is final; consumer writes, all read
    cdef uint64_t window    # the consumer's present window; consumer writes, producer reads (to size its frames)
    cdef uint64_t blocked   # the producer found no credit for a frame; producer sets, consumer clears once a period
    # The producer's own.
    cdef list open          # records that wait for a full frame, counted in `pushed`
    cdef int64_t open_born  # when the oldest of them entered the job
    cdef int64_t opened     # when the open frame got its first record
    cdef readonly Py_ssize_t frame_records
    cdef readonly uint64_t most_in_flight  # the greatest pushed - released that the producer ever saw
    cdef readonly uint64_t frames
    # The consumer's own.
    cdef uint64_t taken     # records popped, released or not
    cdef bint starved       # it found the channel empty in this period
    cdef readonly Window law
    # Whom to wake; None where that side runs in the same thread as the other.
    cdef Waker producer
    cdef Waker consumer

    cdef Py_ssize_t credit(self) noexcept
    cdef Py_ssize_t cut(self) noexcept
    cdef Py_ssize_t _left(self) noexcept
    cdef bint has_room(self) noexcept
    cdef int put(self, list rows, int64_t born, int64_t now) except -1
    cdef bint flush(self) except -1
    cdef bint push_mark(self, Frame mark) except -1
    cdef Frame take(self)
    cdef bint is_empty(self) noexcept
    cdef void release(self, Py_ssize_t records) noexcept
    cpdef void adapt(self, int64_t now, bint could_work, Py_ssize_t batch=*) noexcept
    cdef void grant(self, uint64_t limit, uint64_t released, uint64_t window) noexcept
    cdef void deliver(self, Frame frame) noexcept
    cdef bint _send(self, Frame frame) noexcept
    cdef void _publish(self) noexcept
    cdef void _allow(self, uint64_t limit) noexcept
    cdef int _check(self) except -1
