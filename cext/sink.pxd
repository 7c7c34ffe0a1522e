# Sink: the head that gathers records into batches and hands them to a connector's writer.
from libc.stdint cimport int64_t, uint64_t

from cext.cost cimport Cost
from cext.guard cimport Sideline
from cext.head cimport Head
from cext.histogram cimport Histogram


cdef class Sink(Head):
    cdef object open_writer       # () -> writer, called at the first step, in the thread that writes
    cdef object writer
    cdef object is_refusal        # (exception) -> whether a record is to blame, not the world outside
    cdef Py_ssize_t batch         # how many records make a good write, as declared; 0: see `cost`
    cdef readonly Cost cost       # what writes have cost so far
    cdef Py_ssize_t frame         # how many records make a frame at the window of the lane that last brought some
    cdef object clock             # () -> monotonic ns
    cdef int64_t linger
    cdef list rows                # taken, not yet written
    cdef bint shared              # `rows` is a frame's own list, not ours to change
    cdef list owed                # [channel, records, born] of the frames that `rows` came from, in order
    cdef int64_t last             # when the last of them came
    # Checkpoints, of a writer that can keep what it has written from sight until one is complete.
    cdef public bint prepares     # it is such a writer
    cdef list prepared            # (checkpoint, what its prepare gave) of what is not to be seen yet, in order
    cdef readonly list earlier    # what earlier writers had prepared for the checkpoint that the job goes on from
    cdef int64_t completed        # the last complete checkpoint; written by any thread
    cdef int64_t told             # up to which checkpoint the writer was told to make all visible; written by its task
    cdef bint under_way           # it has not said yet that it has
    cdef public object shown      # (checkpoint) -> None, told in the task's thread up to which all is visible; or None
    cdef readonly uint64_t written
    cdef readonly Histogram latency  # from the source to here, ns

    cdef Py_ssize_t good(self) noexcept
    cdef bint gathers(self) noexcept
    cdef uint64_t _settled(self) noexcept
    cdef int _open(self) except -1
    cdef bint commit(self) except -1
    cdef int settle_commits(self, bint wait) except -1
    cdef int _tell(self, int64_t seen) except -1
    cdef int _commit_the_complete(self) noexcept
    cdef bint _try(self, list rows, bint final, Sideline side) except -1
    cdef bint _write(self, list rows, Sideline side) except -1
    cdef int _pay(self, Py_ssize_t records, int64_t now) except -1
