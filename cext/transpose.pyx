"""Transpose: records of one Struct type as a list for each field, and back.

Columns name no field and tell a record's form once, so they encode to fewer bytes than records do, and faster. For
links the check that every record is exactly what its type says (cext/conform.pyx) is part of it: both look at each
field. What is kept for checkpoints is taken apart whatever it holds.
"""

cimport cython
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport Py_TYPE, PyObject
from cpython.ref cimport Py_INCREF
from cpython.type cimport PyType_Check

from cext.conform cimport LEVELS, VISITS, Slot, Slots, Walk, scalar_kind, slot_in

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
        if len(columns) != self.width:
            raise ValueError(f"wanted {self.width} columns, got {len(columns)}")
        return structs(self.struct, columns, self.positional, self.names)


cdef list structs(object make, tuple columns, Py_ssize_t positional, tuple names):
    """What `make` makes of `columns`, at least one, of which so many are `positional` and the others have `names`."""
    cdef PyObject **arguments
    cdef Py_ssize_t place, at, width = len(columns), length = len(<list?>columns[0])
    cdef list rows = []
    cdef bint collecting
    for each in columns:
        if len(<list?>each) != length:
            raise ValueError(f"wanted columns of {length} values, got one of {len(<list>each)}")
    arguments = <PyObject **>PyMem_Malloc(width * sizeof(PyObject *))
    if arguments is NULL:
        raise MemoryError()
    collecting = PyGC_Disable()  # or each frame has every column walked through once or twice
    try:
        for place in range(length):
            for at in range(width):
                arguments[at] = PyList_GET_ITEM(<list>columns[at], place)
            rows.append(PyObject_Vectorcall(make, arguments, positional, names))
    finally:
        if collecting:
            PyGC_Enable()
        PyMem_Free(arguments)
    return rows


def fields_of(struct not None, list rows not None):
    """A list for each field of the `rows`; None if one of them is not exactly a `struct`, or lacks a field.

    >>> import msgspec
    >>> class Reading(msgspec.Struct):
    ...     station: str
    ...     level: float
    >>> fields_of(Reading, [Reading("weir", 1.5), Reading("dam", 9)])
    [['weir', 'dam'], [1.5, 9]]
    """
    cdef list columns = []
    for row in rows:
        if <PyObject *>Py_TYPE(row) != <PyObject *>struct:
            return None
    for name in struct.__struct_fields__:
        column = slots_of(rows, slot_in(struct, name))
        if column is None:
            return None
        columns.append(column)
    return columns


def made_of_fields(make not None, tuple names not None, tuple columns not None):
    """What `make` makes of such columns, with the names of their fields."""
    if not callable(make) or not names or len(names) != len(columns):
        raise TypeError(f"wanted the fields of a Struct, got {make!r}, {names} and {len(columns)} columns")
    return structs(make, columns, 0, names)


def places_of(list rows not None):
    """A list for each place of the `rows`; None if these are not all tuples of one length, at least 1.

    >>> places_of([("weir", 1), ("dam", 2)])
    [['weir', 'dam'], [1, 2]]
    >>> places_of([("weir", 1), (2,)]) is None
    True
    """
    if not rows or <PyObject *>Py_TYPE(rows[0]) != <PyObject *>tuple or len(<tuple>rows[0]) == 0:
        return None
    cdef Py_ssize_t at, place, width = len(<tuple>rows[0])
    for row in rows:
        if <PyObject *>Py_TYPE(row) != <PyObject *>tuple or len(<tuple>row) != width:
            return None
    cdef list columns = [PyList_New(len(rows)) for _ in range(width)]
    for at in range(len(rows)):
        for place in range(width):
            item = (<tuple>rows[at])[place]
            Py_INCREF(item)
            PyList_SET_ITEM(<list>columns[place], at, item)
    return columns


cdef list slots_of(list rows, Py_ssize_t offset):
    """What the `rows` keep at `offset`, or None where one keeps nothing there."""
    cdef Py_ssize_t place = 0
    cdef PyObject *field
    cdef list column = PyList_New(len(rows))
    for row in rows:
        field = (<PyObject **>(<char *><PyObject *>row + offset))[0]
        if field is NULL:
            return None
        Py_INCREF(<object>field)
        PyList_SET_ITEM(column, place, <object>field)
        place += 1
    return column


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
