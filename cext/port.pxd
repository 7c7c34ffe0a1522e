# Port: where a task's output goes, one channel or several, and which records go to which.
from libc.stdint cimport int64_t

from cext.frame cimport Frame
from cext.getter cimport Getter
from cext.guard cimport Guard, Sideline

cdef enum Route:
    FORWARD    # the one channel
    HASH       # the channel that owns the key's group
    BROADCAST  # every channel
    REBALANCE  # whichever channel has most credit, or all of them when records are few


cdef class Port:
    cdef readonly int route
    cdef readonly list channels
    cdef Getter key              # HASH: what the records are spread by
    cdef Guard guard             # HASH: what happens to a record that has no key
    cdef int max_parallelism     # HASH: how many key groups there are
    cdef Py_ssize_t turn         # REBALANCE: where the search for credit begins
    cdef Py_ssize_t marked       # how many channels have had the mark that is on its way

    cdef Py_ssize_t room(self) noexcept
    cdef Py_ssize_t cut(self) noexcept
    cdef int emit(self, list rows, int64_t born, int64_t now, Sideline side) except -1
    cdef int flush(self, int64_t before) except -1
    cdef bint push_mark(self, Frame mark) except -1
    cdef int _rebalance(self, list rows, int64_t born, int64_t now) except -1
    cdef int _spread(self, list rows, int64_t born, int64_t now, Sideline side) except -1
    cdef Py_ssize_t _freest(self) noexcept
