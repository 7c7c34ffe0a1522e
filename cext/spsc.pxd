"""The ring of spsc.h, for Cython; the header says who may call what."""

from libc.stdint cimport uint64_t


cdef extern from "spsc.h" nogil:
    ctypedef struct spsc_ring:
        pass  # opaque here: only the functions below touch its fields

    spsc_ring *spsc_new(uint64_t slots) noexcept
    void spsc_free(spsc_ring *ring) noexcept
    bint spsc_push(spsc_ring *ring, void *item) noexcept  # producer only; False when full
    void *spsc_pop(spsc_ring *ring) noexcept  # consumer only; NULL when empty
    uint64_t spsc_room(spsc_ring *ring) noexcept  # producer only
    bint spsc_is_empty(spsc_ring *ring) noexcept  # consumer only
