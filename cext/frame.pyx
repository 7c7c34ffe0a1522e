"""Frame: what travels in a channel, a run of records or one mark."""

cimport cython

from cext.debug cimport FRAMES, HEADGATE_DEBUG, born as count_born, died as count_died

cdef list NO_ROWS = []
cdef object BUILD = object()  # internal types cannot be made half-built from Python


@cython.final
@cython.freelist(256)
cdef class Frame:
    """A run of records, or a mark between them. Made by `data`, `watermark`, `idle`, `barrier` and `end`."""

    def __cinit__(self, token):
        if token is not BUILD:
            raise TypeError("a Frame is made by data(), watermark(), idle(), barrier() or end()")
        if HEADGATE_DEBUG:
            count_born(FRAMES)

    def __dealloc__(self):
        if HEADGATE_DEBUG:
            count_died(FRAMES)

    def __repr__(self):
        if self.kind == DATA:
            return f"data({self.records} records)"
        return f"{('', 'watermark', 'barrier', 'end', 'idle')[self.kind]}({self.value})"


cdef Frame data_frame(list rows, int64_t born):
    cdef Frame frame = Frame.__new__(Frame, BUILD)
    frame.kind = DATA
    frame.rows = rows
    frame.records = len(rows)
    frame.value = 0
    frame.born = born
    return frame


cdef Frame mark_frame(int kind, int64_t value):
    cdef Frame frame = Frame.__new__(Frame, BUILD)
    frame.kind = kind
    frame.rows = NO_ROWS
    frame.records = 0
    frame.value = value
    frame.born = 0
    return frame


def data(list rows not None, int64_t born=0):
    """A frame of `rows`, at least one, the oldest of which entered the job at `born` (monotonic ns)."""
    if not rows:
        raise ValueError("a frame of records holds at least one; an empty one would cost a slot and no credit")
    return data_frame(rows, born)


def watermark(int64_t time):
    """The promise that no record with an event time before `time` (ms since the epoch) follows."""
    return mark_frame(WATERMARK, time)


def idle():
    """The word that nothing comes for now, so that event time need not wait for it; until the next frame."""
    return mark_frame(IDLE, 0)


def barrier(int64_t checkpoint):
    """The line between what belongs to `checkpoint` and what does not."""
    return mark_frame(BARRIER, checkpoint)


def end(bint whole=True):
    """The end of a stream; `whole` is False where it was cut short by a failure or a cancellation."""
    return mark_frame(END, whole)
