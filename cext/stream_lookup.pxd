# StreamLookup: the head that looks records up in a table made of the records of other lanes.
from libc.stdint cimport int64_t

from cext.chain cimport Lookup
from cext.getter cimport Getter
from cext.guard cimport Sideline
from cext.head cimport Holding


cdef class StreamLookup(Holding):
    cdef readonly Lookup lookup  # what meets its match in `table`
    cdef readonly dict table     # the last record of each key
    cdef Getter table_key
    cdef object delete           # (record) -> whether it takes its key out of the table; None: none does
    cdef public object tables    # the lanes whose records make it

    cdef list _learn(self, Py_ssize_t limit, Sideline side)
    cdef int _put(self, object row) except -1
