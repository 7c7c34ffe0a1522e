# Waker: an eventfd on which one thread parks and others wake it, only when it is parked.
from libc.stdint cimport int64_t, uint64_t


cdef class Waker:
    cdef readonly int fd
    cdef uint64_t parked  # 1 from arm() until a wake; written by the parking thread and whoever wakes it

    cdef void wake(self) noexcept nogil
    cdef void arm(self) noexcept nogil
    cdef void disarm(self) noexcept nogil
    cdef void park(self, int64_t timeout_ns) noexcept nogil
    cdef void drain(self) noexcept nogil
