# Deduplicate: of the records of a key that are close together in time, the first to come.
from cext.shelves cimport Shelves
from cext.windowed cimport Windows


cdef class Deduplicate(Windows):
    cdef Shelves given   # the times of what went on, by key
    cdef object row      # the last record, which goes on
