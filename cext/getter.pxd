# Getter: how a key or a value is taken out of a record.

cdef enum How:
    WHOLE   # the record itself
    FIELD   # a named field: attribute of an object, item of a mapping
    SEVERAL  # a tuple of these
    CALL    # a user's function


cdef class Getter:
    cdef readonly int how
    cdef readonly object what  # a name, a function, a tuple of these, or None
    cdef object seen           # FIELD: the type of the last record that was looked at ...
    cdef Py_ssize_t offset     # ... and where such a record keeps the field; 0: where getattr finds it

    cdef object get(self, object record)
    cdef object _field(self, object record)
