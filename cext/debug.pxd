# The debug build's checks: HEADGATE_DEBUG is a constant, so a release build has no trace of them.
cdef extern from *:
    """
    #ifndef HEADGATE_DEBUG
    #define HEADGATE_DEBUG 0
    #endif
    """
    const bint HEADGATE_DEBUG

cdef enum Kind:
    FRAMES
    CHANNELS
    TASKS
    RUNNERS
    KINDS

cdef void born(Kind kind) noexcept
cdef void died(Kind kind) noexcept
