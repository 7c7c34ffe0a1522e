"""Getter: how a key or a value is taken out of a record."""

cimport cython
from cpython.dict cimport PyDict_Check


cdef object part_of(object record, object what):
    if not isinstance(what, str):
        return what(record)
    if PyDict_Check(record):
        return record[what]
    return getattr(record, what)


@cython.final
cdef class Getter:
    """Takes a key or a value out of a record.

    `what`: a field's name, a function of the record, a tuple of such (giving a tuple), or None for the record itself.

    >>> Getter("name")({"name": "Ada"}), Getter(("real", abs))(3 + 4j), Getter(abs)(-7)
    ('Ada', (3.0, 5.0), 7)
    """

    def __cinit__(self, what=None):
        self.what = what
        if what is None:
            self.how = WHOLE
        elif isinstance(what, str):
            self.how = FIELD
        elif isinstance(what, tuple) and all([isinstance(part, str) or callable(part) for part in what]):
            self.how = SEVERAL
        elif callable(what):
            self.how = CALL
        else:
            raise TypeError(f"wanted a field's name, a function or a tuple of them, got {what!r}")

    cdef object get(self, object record):
        if self.how == FIELD:
            return part_of(record, self.what)
        if self.how == CALL:
            return self.what(record)
        if self.how == SEVERAL:
            return tuple([part_of(record, what) for what in <tuple>self.what])
        return record

    def __call__(self, record):
        return self.get(record)
