# Joined: the head that takes the records of two inputs into a join and gives the pairs that they make.
from libc.stdint cimport int64_t

from cext.windowed cimport Windowed, Windows


cdef class Joins(Windows):
    cdef public bint from_right  # the records that `add` is given now come from the right input
    cdef readonly int64_t delay  # how far behind the watermark that let it be made a pair may be, ms


cdef class Joined(Windowed):
    cdef readonly Joins joins
    cdef public object right     # the lanes of the right input; all others are the left one's
