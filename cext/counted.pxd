# Counted: windows of so many records of a key.
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.windowed cimport Windows


cdef class Counted(Windows):
    cdef readonly int64_t size
    cdef Groups groups
    cdef dict counts    # key -> how many of its records have come
    cdef object full    # the key whose window the last record has filled
