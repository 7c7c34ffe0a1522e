# AsOfJoin: each left record meets the right record of its key that was the latest at its time.
from libc.stdint cimport int64_t

from cext.getter cimport Getter
from cext.instant cimport Instant
from cext.joined cimport Joins
from cext.kept cimport Agenda, Kept


cdef class History:
    cdef list rows      # Kept, by time; of one time as they came
    cdef bint expires   # one of them is on the agenda `expiring`


cdef class AsOfJoin(Joins):
    cdef Getter left_key
    cdef Instant left_time
    cdef Getter right_key
    cdef Instant right_time
    cdef bint keep_left     # a left record without a match makes a pair with None
    cdef int64_t tolerance  # how much older than a left record its match may be, ms
    cdef Agenda waiting     # left records whose time has not passed
    cdef dict histories     # key -> History of the right records that left ones may still meet
    cdef Agenda coming      # right records whose time has not passed: then those before them go
    cdef Agenda expiring    # of each key the one to go when it is too old

    cdef int _add_left(self, object row) except -1
    cdef int _add_right(self, object row) except -1
    cdef Kept _match(self, Kept kept)
    cdef int _drop(self) except -1
    cdef int _shorten(self, object key) except -1


cdef tuple saved_kept(list kept)
