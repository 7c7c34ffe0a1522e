# Message: what a channel between processes sends over the wire, a header and a payload.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    MAGIC = 0x314B4748  # "HGK1": what a message of ours begins with, and the version of this layout
    PROBE = 5           # a kind beside the frames': all up to its `sequence` was sent before it

cdef packed struct Header:
    uint32_t magic
    uint8_t kind        # the frame's
    uint8_t format      # the codec's, for the payload
    uint16_t sender     # the worker that sends it
    uint64_t epoch      # the job's incarnation: a secret of its workers, so it keeps strangers out too
    uint32_t channel
    uint32_t records
    uint64_t sequence   # counts the messages of this channel, from 1
    uint32_t turn       # counts from 1 how often the sender began to send again, up to this message
    int64_t value       # the mark's
    int64_t born        # of the oldest record, by the sender's monotonic clock, ns


cdef class Message:
    cdef Header head
    cdef readonly object payload  # bytes
    cdef readonly int64_t sent_at  # when it was last handed out


cpdef object sender_of(header)
cdef bint parse(header, Header *into) except -1
cdef bint makes_sense(const Header *header, Py_ssize_t size) noexcept
