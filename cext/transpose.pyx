"""Transpose: records of one Struct type as a list for each field, and back.

Columns name no field and tell a record's form once, so they encode to fewer bytes than records do, and faster. The
check that every record is exactly what its type says (cext/conform.pyx) is part of it: both look at each field.
"""

cimport cython
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport Py_TYPE, PyObject
from cpython.ref cimport Py_INCREF
from cpython.type cimport PyType_Check

from cext.conform cimport LEVELS, VISITS, Slot, Slots, Walk, scalar_kind

cdef extern from "Python.h":
    int PyGC_Disable()
    int PyGC_Enable()
    PyObject *PyList_GET_ITEM(list values, Py_ssize_t place) noexcept
    object PyObject_Vectorcall(object called, PyObject **arguments, size_t positional, object names)


@cython.final
cdef class Transpose:
    """Takes Structs apart and makes them again.

    `shape` is that of `struct` alone; its fields are `positional` ones, and then those named in `names`.

    >>> import msgspec
    >>> from engine.shapes import shape_of
    >>> class Reading(msgspec.Struct):
    ...     station: str
    ...     level: float
    >>> both_ways = Transpose(Reading, shape_of(Reading), 2, ())
    >>> both_ways.columns([Reading("weir", 1.5), Reading("dam", 9.0)])
    [['weir', 'dam'], [1.5, 9.0]]
    >>> both_ways.columns([Reading("weir", 2)]) is None  # 2 is no float
    True
    >>> both_ways.rows((["weir"], [1.5]))
    [Reading(station='weir', level=1.5)]
    """

    def __cinit__(self, struct not None, Shape shape not None, Py_ssize_t positional, tuple names not None):
        if shape.compounds is None or len(shape.compounds) != 1 or not isinstance(shape.compounds[0], Slots):
            raise TypeError("wanted the shape of one Struct")
        self.struct, self.shape = struct, shape
        self.positional, self.names = positional, names or None
        self.width = positional + len(names)
        if not PyType_Check(struct) or self.width != len((<Slots>shape.compounds[0]).slots) or self.width == 0:
            raise TypeError(f"wanted the fields of {struct!r}, got {positional} without a name and {names}")

    def columns(self, list rows not None):
        """A list for each field of the `rows`; None if one of them is not exactly what the shape says."""
        cdef bint collecting = PyGC_Disable()  # as in Shape.misfit: no code of a user's may run
        try:
            return self._columns(rows)
        finally:
            if collecting:
                PyGC_Enable()

    cdef list _columns(self, list rows):
        cdef Slots slots = self.shape.compounds[0]
        cdef Walk walk = Walk(LEVELS - 1, VISITS)  # the records are a level too
        cdef list columns = []
        for row in rows:
            if <PyObject *>Py_TYPE(row) != <PyObject *>slots.exact:
                return None
        for slot in slots.slots:
            column = column_of(slot, rows, &walk)
            if column is None:
                return None
            columns.append(column)
        return columns

    def rows(self, tuple columns not None):
        """The records of such `columns`, in their order; ValueError if these are not equally long."""
        cdef PyObject **arguments
        cdef Py_ssize_t place, at, length
        cdef list rows = []
        cdef bint collecting
        if len(columns) != self.width:
            raise ValueError(f"wanted {self.width} columns, got {len(columns)}")
        length = len(<list?>columns[0])
        for each in columns:
            if len(<list?>each) != length:
                raise ValueError(f"wanted columns of {length} values, got one of {len(<list>each)}")
        arguments = <PyObject **>PyMem_Malloc(self.width * sizeof(PyObject *))
        if arguments is NULL:
            raise MemoryError()
        collecting = PyGC_Disable()  # or each frame has every column walked through once or twice
        try:
            for place in range(length):
                for at in range(self.width):
                    arguments[at] = PyList_GET_ITEM(<list>columns[at], place)
                rows.append(PyObject_Vectorcall(self.struct, arguments, self.positional, self.names))
        finally:
            if collecting:
                PyGC_Enable()
            PyMem_Free(arguments)
        return rows


cdef list column_of(Slot slot, list rows, Walk *walk):
    """What the `rows` keep in `slot`, or None."""
    cdef Py_ssize_t place = 0, offset = slot.offset
    cdef Shape shape = slot.shape
    cdef int scalars = shape.scalars
    cdef PyObject *field
    cdef list column = PyList_New(len(rows))
    for row in rows:
        field = (<PyObject **>(<char *><PyObject *>row + offset))[0]
        if field is NULL:
            return None
        if not scalar_kind(<object>field) & scalars:
            if shape.compounds is None or not shape.fits_compound(<object>field, walk):
                return None
        Py_INCREF(<object>field)
        PyList_SET_ITEM(column, place, <object>field)
        place += 1
    return column
