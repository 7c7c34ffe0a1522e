# Words shared between two threads: the compiler's atomic built-ins, by the few orders that the core uses.
from libc.stdint cimport uint64_t

cdef extern from * nogil:
    int ORDER_RELAXED "__ATOMIC_RELAXED"
    int ORDER_ACQUIRE "__ATOMIC_ACQUIRE"
    int ORDER_RELEASE "__ATOMIC_RELEASE"
    int ORDER_ACQ_REL "__ATOMIC_ACQ_REL"
    uint64_t __atomic_load_n(const uint64_t *word, int order) noexcept
    void __atomic_store_n(uint64_t *word, uint64_t value, int order) noexcept
    uint64_t __atomic_exchange_n(uint64_t *word, uint64_t value, int order) noexcept


cdef inline uint64_t load(const uint64_t *word) noexcept nogil:
    return __atomic_load_n(word, ORDER_ACQUIRE)


cdef inline void store(uint64_t *word, uint64_t value) noexcept nogil:
    __atomic_store_n(word, value, ORDER_RELEASE)


cdef inline uint64_t exchange(uint64_t *word, uint64_t value) noexcept nogil:
    return __atomic_exchange_n(word, value, ORDER_ACQ_REL)
