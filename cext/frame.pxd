# Frame: what travels in a channel, a run of records or one mark.
from libc.stdint cimport int64_t

cdef enum Kind:
    DATA       # records
    WATERMARK  # no record with an earlier event time will come
    BARRIER    # what came before belongs to the checkpoint, what comes after does not
    END        # nothing comes after
    IDLE       # nothing comes for now, so event time need not wait for this channel, until its next frame


cdef class Frame:
    cdef readonly int kind
    cdef readonly list rows           # the records of a DATA frame, never changed once pushed; empty for a mark
    cdef readonly Py_ssize_t records  # what the frame costs in credit; a mark costs none
    cdef readonly int64_t value       # WATERMARK: event time, ms; BARRIER: checkpoint; END: 1 whole, 0 cut short
    cdef readonly int64_t born        # when its oldest record entered the job, monotonic ns


cdef Frame data_frame(list rows, int64_t born)
cdef Frame mark_frame(int kind, int64_t value)
