# Ahead: calls into the cache what a loop over many objects comes to soon, as each stands somewhere else in memory.

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void *address) noexcept nogil

cdef enum:
    AHEAD = 16  # items
