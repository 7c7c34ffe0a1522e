# lifeline: waits, without the GIL, for the other end of a pipe to be closed.
cdef int until_closed(int fd, int parent, unsigned int grace) noexcept nogil
