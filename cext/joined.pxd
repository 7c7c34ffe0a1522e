# Joined: the head that takes the records of two inputs into a join and gives the pairs that they make.
from cext.windowed cimport Windowed, Windows


cdef class Joins(Windows):
    cdef public bint from_right  # the records that `add` is given now come from the right input


cdef class Joined(Windowed):
    cdef readonly Joins joins
    cdef public object right     # the lanes of the right input; all others are the left one's
