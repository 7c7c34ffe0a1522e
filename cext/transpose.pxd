# Transpose: records of one Struct type as a list for each field, and back.
from cext.conform cimport Shape


cdef class Transpose:
    cdef object struct           # the type of the records
    cdef Shape shape             # what they must be exactly
    cdef tuple names             # the fields that only a name can say, behind those that have a place
    cdef Py_ssize_t width        # how many fields there are
    cdef Py_ssize_t positional   # how many of them have a place

    cdef list _columns(self, list rows)
