# Getter: how a key or a value is taken out of a record.

cdef enum How:
    WHOLE   # the record itself
    FIELD   # a named field: attribute of an object, item of a mapping
    SEVERAL  # a tuple of these
    CALL    # a user's function


cdef class Getter:
    cdef readonly int how
    cdef readonly object what  # a name, a function, a tuple of these, or None

    cdef object get(self, object record)
