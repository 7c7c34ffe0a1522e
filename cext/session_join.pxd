# SessionJoin: pairs of records of two inputs that have a key in common and are in one session.
from cext.getter cimport Getter
from cext.instant cimport Instant
from cext.joined cimport Joins
from cext.sessions cimport Sessions


cdef class SessionJoin(Joins):
    cdef readonly Sessions sessions  # of the records of both inputs, each with whether it is a right one
    cdef Getter left_key
    cdef Instant left_time
    cdef Getter right_key
    cdef Instant right_time
    cdef bint keep_left   # records of the left input without a partner make a pair with None
    cdef bint keep_right  # ... and those of the right one
