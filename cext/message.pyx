"""Message: what a channel between processes sends over the wire, a header and a payload."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from cext.frame cimport DATA


@cython.final
cdef class Message:
    """One message of a channel: `header` and `payload` are what goes over the wire."""

    @property
    def header(self):
        return PyBytes_FromStringAndSize(<char *>&self.head, sizeof(Header))

    @property
    def size(self):
        """Bytes of the payload."""
        return len(<bytes>self.payload)


cdef bint parse(header, Header *into) except -1:
    """Copy a message's header; False if it is none of ours."""
    cdef const unsigned char[::1] raw = header
    if raw.shape[0] != sizeof(Header):
        return False
    memcpy(into, &raw[0], sizeof(Header))
    return into.magic == MAGIC


cpdef object sender_of(header):
    """The worker that a message says it comes from; None if it is no message of ours."""
    cdef Header parsed
    return parsed.sender if parse(header, &parsed) else None


cdef bint makes_sense(const Header *header, Py_ssize_t size) noexcept:
    """Whether any message could be so: records with a payload, marks and probes without, all counted from 1."""
    if header.sequence == 0 or header.kind > PROBE:
        return False
    return header.records > 0 if header.kind == DATA else header.records == 0 and size == 0
