# Guard: what an operator does with a record that it could not handle.
from libc.stdint cimport uint64_t

cdef enum OnError:
    FAIL         # deliver what came before, then fail the job
    SKIP         # count it
    DEAD_LETTER  # count it and send it on as a dead letter


cdef class Sideline:
    cdef readonly object failure  # the error that ends the task, raised once the records before it are out
    cdef readonly list aside      # of each output aside, its records of this step, not yet sent
    cdef readonly Py_ssize_t set_aside  # how many those are
    cdef readonly list letters    # dead letters of this step, not yet sent; never more than its records
    cdef readonly Py_ssize_t lost  # records that go no further for `failure`: the one that failed, and those behind it

    cpdef lose(self, Py_ssize_t records)
    cpdef put_aside(self, Py_ssize_t output, object record)


cdef class Guard:
    cdef readonly int mode
    cdef object describe           # (record, exception) -> the JobError to raise
    cdef object letter             # (record, exception) -> the dead letter to send
    cdef readonly uint64_t skipped
    cdef readonly uint64_t lettered

    cdef bint caught(self, object record, Sideline side) except -1
    cpdef bint handle(self, object record, object error, Sideline side) except -1
    cdef int fail(self, object record, object error, Sideline side) except -1
    cdef object described(self, object record, object error)
