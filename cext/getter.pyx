"""Getter: how a key or a value is taken out of a record."""

cimport cython
from cpython.dict cimport PyDict_Check
from cpython.object cimport Py_TYPE, PyObject

from cext.conform cimport slot_in


cdef object part_of(object record, object what):
    if not isinstance(what, str):
        return what(record)
    if PyDict_Check(record):
        return record[what]
    return getattr(record, what)


cdef Py_ssize_t slot_of(object owner, str name) except -1:
    """Where instances of `owner` keep what getattr gives as `name`; 0: it is not as simple as that."""
    if owner.__getattribute__ is not object.__getattribute__:
        return 0
    try:
        return slot_in(owner, name)
    except TypeError:
        return 0


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
        cdef PyObject *field
        if self.how == FIELD:
            if self.offset > 0 and <PyObject *>Py_TYPE(record) == <PyObject *>self.seen:
                field = (<PyObject **>(<char *><PyObject *>record + self.offset))[0]
                if field is not NULL:
                    return <object>field
            return self._field(record)
        if self.how == CALL:
            return self.what(record)
        if self.how == SEVERAL:
            return tuple([part_of(record, what) for what in <tuple>self.what])
        return record

    cdef object _field(self, object record):
        value = part_of(record, self.what)
        if type(record) is not self.seen:  # records are of one type, as a rule, and the next one comes at once
            self.seen = type(record)
            self.offset = slot_of(self.seen, self.what)
        return value

    def __call__(self, record):
        return self.get(record)
