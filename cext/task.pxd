# Task: a head and a chain of operators between input lanes and output ports, run a step at a time.
from libc.stdint cimport int64_t, uint64_t

from cext.chain cimport Router
from cext.frame cimport Frame
from cext.guard cimport Sideline
from cext.head cimport Head
from cext.lanes cimport Lanes
from cext.sink cimport Sink
from cext.source cimport Source
from cext.watermarks cimport Watermarks

cdef enum State:
    BUSY           # in a step, or its function is under way elsewhere
    IDLE           # nothing to read, or waiting for its turn
    BACKPRESSURED  # nowhere to write
    DONE


cdef class Task:
    cdef readonly str name
    cdef readonly Head head
    cdef Source source          # the head, when it is a source
    cdef Sink sink              # ... and when it is a sink
    cdef readonly list chain    # the operators behind it
    cdef readonly Lanes lanes
    cdef readonly list outputs  # for each output of the router (one without it) the ports that it feeds
    cdef readonly list letters  # the ports for dead letters
    cdef readonly list aside    # for each output aside, which the head feeds past the chain, its ports
    cdef Watermarks watermarks  # the operator of the chain that makes event time, or None: then its lanes bring it
    cdef Router router
    cdef Sideline side
    cdef Py_ssize_t frame_records
    cdef int64_t linger         # how long a record may wait for a fuller frame, ns
    cdef list ports             # those of `outputs`, `letters` and `aside`
    cdef Py_ssize_t letters_per_row
    # Marks.
    cdef Frame mark             # the mark that waits until the head is drained and every port has had it
    cdef Py_ssize_t marked      # how many ports have had it
    cdef bint passing           # some port may have had it
    cdef int64_t watermark      # the event time here; NEVER before there is any
    cdef int64_t reached        # that of its lanes, which is the same unless it makes its own
    cdef int64_t marked_at      # when it was last told, by the task's own watermarks, monotonic ns
    cdef bint idle              # those downstream have been told that nothing comes for now
    # Its life.
    cdef readonly object failure  # what ended it, or None
    cdef bint cancelled         # written by any thread
    cdef bint abandoned         # written by any thread: it waits for nobody any more
    cdef bint closed            # the head has been told to
    cdef bint dropping          # it failed or was cancelled: what comes in is dropped
    cdef readonly bint done
    # Counters; written by the task's thread, read by all.
    cdef int64_t nanoseconds[3]  # spent in each State
    cdef int64_t drifting       # of those in IDLE, while lanes that had frames were held for others further behind
    cdef int64_t adapted        # when the lanes' windows were last sized
    cdef int64_t idle_before    # the time in IDLE by then
    cdef int64_t blocked_before  # the time in BACKPRESSURED by then
    cdef int64_t since          # up to when they are counted
    cdef int state              # which of them runs now
    cdef readonly uint64_t records_out
    cdef readonly uint64_t frames_in
    cdef readonly uint64_t dropped

    cdef int step(self)
    cdef int charge(self, int64_t begin) noexcept
    cdef int64_t deadline(self) noexcept
    cdef int _account(self, int64_t now, int state) noexcept
    cdef int _step(self, int64_t now) except -1
    cdef Py_ssize_t _room(self) noexcept
    cdef Py_ssize_t _cut(self) noexcept
    cdef int _flush(self, int64_t before) except -1
    cdef bint _gather(self, int64_t now) except -1
    cdef bint _feed(self, int64_t now) except -1
    cdef int _take_mark(self, Frame mark) except -1
    cdef int _align(self) except -1
    cdef int _raise_watermark(self) except -1
    cdef int _tell(self, int64_t time, bint idle) except -1
    cdef bint _make_mark(self, int64_t now, bint is_due) except -1
    cdef bint _has_rest(self) noexcept
    cdef int _go_on(self, Py_ssize_t room, int64_t now) except -1
    cdef int _through(self, list rows, int64_t now, Py_ssize_t first=*) except -1
    cdef int _pass_mark(self) except -1
    cdef int _end(self) except -1
    cdef int _adapt(self, int64_t now) except -1
    cdef int _rest(self, int64_t now) except -1
    cdef int _send(self, list rows, int64_t now) except -1
    cdef int _send_aside(self, int64_t now) except -1
    cdef int _send_to(self, list ports, list rows, int64_t now) except -1
    cdef int _start_dropping(self) except -1
    cdef int _fail(self, object failure) except -1
    cdef int _after(self) noexcept
    cdef int _drop(self) except -1
