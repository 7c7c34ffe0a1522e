"""Shapes: whether a value is exactly what a type says, so that an encoding that knows the type loses nothing.

"Exactly" means at every depth: `type(value) is T`, no subclass, and nothing beside what T declares. `True` is no
int, `1` no float, and an instance with one attribute more than its dataclass has fields does not fit.

No code of a user's runs in here: types are compared by identity, fields are read from their slots, only exact strs
and ints are hashed, the GIL is kept, and garbage collection, whose finalizers may do anything, waits. So nothing can
change under the walk.
"""

import decimal
from datetime import date, datetime, time, timedelta
from types import MemberDescriptorType, NoneType

cimport cpython.datetime as dt
cimport cython
from cpython.dict cimport PyDict_CheckExact, PyDict_GetItem, PyDict_Next
from cpython.exc cimport PyErr_Clear
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLong
from cpython.object cimport Py_TYPE, PyObject
from cpython.ref cimport Py_DECREF
from cpython.type cimport PyType_IsSubtype

dt.import_datetime()

cdef extern from "Python.h":
    int PyGC_Disable()
    int PyGC_Enable()
    PyObject *PyObject_GenericGetDict(object instance, void *unused)  # a new reference, or NULL with an error

cdef extern from "structmember.h":
    enum: T_OBJECT_EX
    ctypedef struct PyMemberDef:
        int type
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member

WIDE = "an int beyond 64 bits"
cdef type Decimal = decimal.Decimal
cdef object utc = dt.get_utc()

cdef dict SCALARS = {
    NoneType: NONE,
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: STR,
    bytes: BYTES,
    bytearray: BYTEARRAY,
    datetime: DATETIME,
    date: DATE,
    time: TIME,
    timedelta: TIMEDELTA,
    Decimal: DECIMAL,
}


cdef inline bint is_plain(object zone, int fold) noexcept:
    return not fold and (zone is None or zone is utc)


cdef bint in_64_bits(object number) noexcept:
    cdef int overflow = 0
    PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow <= 0:
        return overflow == 0
    try:
        PyLong_AsUnsignedLongLong(number)
    except OverflowError:
        return False
    return True


cdef int rare_kind(object value, PyObject *exact) noexcept:
    if dt.PyDateTime_CheckExact(value):
        return DATETIME if is_plain(dt.datetime_tzinfo(value), dt.datetime_fold(value)) else 0
    if exact == <PyObject *>Decimal:
        return DECIMAL
    if exact == <PyObject *>bytes:
        return BYTES
    if dt.PyDate_CheckExact(value):
        return DATE
    if dt.PyDelta_CheckExact(value):
        return TIMEDELTA
    if dt.PyTime_CheckExact(value):
        return TIME if is_plain(dt.time_tzinfo(value), dt.time_fold(value)) else 0
    return BYTEARRAY if exact == <PyObject *>bytearray else 0


@cython.final
cdef class Shape:
    """What fits: any of `alternatives`, each a scalar type or a Compound; `WIDE` is an int beyond 64 bits.

    >>> Shape(int, NoneType, Items(list, Shape(str))).misfit([1, None, ["a"], True])
    3
    """

    def __cinit__(self, *alternatives):
        self.compounds = tuple([each for each in alternatives if isinstance(each, Compound)])
        for each in alternatives:
            if each is WIDE:
                self.scalars |= LONG_INT
            elif not isinstance(each, Compound):
                self.scalars |= SCALARS[each]

    cdef bint fits(self, object value, Walk *walk) noexcept:
        return scalar_kind(value) & self.scalars != 0 or (
            self.compounds is not None and self.fits_compound(value, walk)
        )

    cdef bint fits_compound(self, object value, Walk *walk) noexcept:
        cdef bint found = False
        if walk.levels == 0 or walk.visits == 0:
            return False
        walk.levels -= 1
        walk.visits -= 1
        for each in self.compounds:
            if <PyObject *>Py_TYPE(value) == <PyObject *>(<Compound>each).exact:
                if (<Compound>each).holds(value, walk):
                    found = True
                    break
        walk.levels += 1
        return found

    def misfit(self, list rows not None):
        """The index of the first of `rows` that does not fit, -1 where all do.

        Values nested deeper than 100 levels do not fit, nor does the row that is under way after some four
        million containers: where values are shared, their number can double with every level.
        """
        cdef Walk walk = Walk(LEVELS, VISITS)
        cdef Py_ssize_t index = 0
        cdef bint collecting = PyGC_Disable()
        for row in rows:
            if not self.fits(row, &walk):
                break
            index += 1
        else:
            index = -1
        if collecting:
            PyGC_Enable()
        return index


cdef class Compound:
    """The base: holds what is exactly of one type and made of parts."""

    def __cinit__(self, exact, *parts, **options):
        if not isinstance(exact, type):
            raise TypeError(f"wanted a class, got {exact!r}")
        self.exact = exact

    cdef bint holds(self, object value, Walk *walk) noexcept:
        return False


@cython.final
cdef class Items(Compound):
    """A list, tuple, set or frozenset (`exact`), of any length, of values that fit `item`."""

    def __cinit__(self, exact, Shape item not None):
        if exact not in (list, tuple, set, frozenset):
            raise TypeError(f"wanted list, tuple, set or frozenset, got {exact!r}")
        self.item = item

    cdef bint holds(self, object value, Walk *walk) noexcept:
        if self.exact is list:
            for each in <list>value:
                if not self.item.fits(each, walk):
                    return False
        elif self.exact is tuple:
            for each in <tuple>value:
                if not self.item.fits(each, walk):
                    return False
        else:
            for each in <set>value:
                if not self.item.fits(each, walk):
                    return False
        return True


@cython.final
cdef class Mapping(Compound):
    """A dict of keys that fit `key` and values that fit `value`."""

    def __cinit__(self, exact, Shape key not None, Shape value not None):
        if exact is not dict:
            raise TypeError(f"wanted dict, got {exact!r}")
        self.key, self.value = key, value

    cdef bint holds(self, object value, Walk *walk) noexcept:
        cdef Py_ssize_t place = 0
        cdef PyObject *key
        cdef PyObject *item
        while PyDict_Next(value, &place, &key, &item):
            if not (self.key.fits(<object>key, walk) and self.value.fits(<object>item, walk)):
                return False
        return True


@cython.final
cdef class Members(Compound):
    """Those `members` of an Enum that are found again by their value: a Flag has others."""

    def __cinit__(self, exact, tuple members not None):
        self.members = members

    cdef bint holds(self, object value, Walk *walk) noexcept:
        for member in self.members:
            if value is member:
                return True
        return False


@cython.final
cdef class Literals(Compound):
    """Any of `values`, which are exact strs or ints (`exact`)."""

    def __cinit__(self, exact, values):
        self.values = frozenset(values)
        if exact not in (str, int) or not all([type(value) is exact for value in self.values]):
            raise TypeError(f"wanted exact strs or ints, got {values!r}")

    cdef bint holds(self, object value, Walk *walk) noexcept:
        return value in self.values


@cython.final
cdef class Fixed(Compound):
    """A tuple, or a subclass of it without a state of its own, of as many values as it was filled with shapes.

    Like Slots and Named it is made first and filled once, as its parts may hold it in turn; nothing fits until then.
    """

    def __cinit__(self, exact):
        if not issubclass(exact, tuple):
            raise TypeError(f"wanted a tuple, got {exact!r}")

    def fill(self, dict shapes not None):
        """Say what the values are, in their order; the names are for the reader."""
        self.shapes = tuple([<Shape?>shape for shape in shapes.values()])

    cdef bint holds(self, object value, Walk *walk) noexcept:
        cdef Py_ssize_t place
        if self.shapes is None or len(<tuple>value) != len(self.shapes):
            return False
        for place in range(len(self.shapes)):
            if not (<Shape>self.shapes[place]).fits((<tuple>value)[place], walk):
                return False
        return True


@cython.final
cdef class Slot:
    """Where an instance keeps a field, and what fits there."""

    def __cinit__(self, owner, str name not None, Shape shape not None):
        self.shape = shape
        self.offset = slot_in(owner, name)


cdef Py_ssize_t slot_in(object owner, str name) except -1:
    for base in owner.__mro__:
        if name in vars(base):
            return slot_offset(owner, vars(base)[name])
    raise TypeError(f"{owner!r} keeps no {name!r} in a slot")


cdef Py_ssize_t slot_offset(object owner, object descriptor) except -1:
    cdef PyMemberDef *member
    # A descriptor that was put into a class by hand may speak of another's memory.
    if type(descriptor) is not MemberDescriptorType or not PyType_IsSubtype(<type>owner, <type>descriptor.__objclass__):
        raise TypeError(f"{owner!r} keeps nothing behind {descriptor!r}")
    member = (<PyMemberDescrObject *>descriptor).d_member
    if member.type != T_OBJECT_EX or member.offset <= 0:
        raise TypeError(f"{descriptor!r} holds no object")
    return member.offset


@cython.final
cdef class Slots(Compound):
    """An instance that keeps its fields in slots, as a Struct or a dataclass with `slots=True` does."""

    def fill(self, dict shapes not None):
        """Say what each slot holds, by its name; a name without a slot is a TypeError."""
        self.slots = tuple([Slot(self.exact, name, shape) for name, shape in shapes.items()])

    cdef bint holds(self, object value, Walk *walk) noexcept:
        cdef PyObject *field
        if self.slots is None:
            return False
        for slot in self.slots:
            field = (<PyObject **>(<char *><PyObject *>value + (<Slot>slot).offset))[0]
            if field is NULL or not (<Slot>slot).shape.fits(<object>field, walk):
                return False
        return True


@cython.final
cdef class Named(Compound):
    """A dict with given keys, or (`exact` is not dict) an instance whose `__dict__` is that.

    `optional` keys may be missing.
    """

    def __cinit__(self, exact, optional=()):
        self.optional = frozenset(optional)

    def fill(self, dict shapes not None):
        """Say what stands under each name."""
        self.required = len(frozenset(shapes) - self.optional)
        self.shapes = {str(name): <Shape?>shape for name, shape in shapes.items()}

    cdef bint holds(self, object value, Walk *walk) noexcept:
        cdef PyObject *values
        cdef bint held
        if self.exact is dict:
            return self.holds_in(<dict>value, walk)
        values = PyObject_GenericGetDict(value, NULL)
        if values is NULL:
            PyErr_Clear()
            return False
        held = PyDict_CheckExact(<object>values) and self.holds_in(<dict>values, walk)
        Py_DECREF(<object>values)
        return held

    cdef bint holds_in(self, dict values, Walk *walk) noexcept:
        cdef Py_ssize_t place = 0, required = 0
        cdef bint all_required
        cdef PyObject *name
        cdef PyObject *value
        cdef PyObject *shape
        if self.shapes is None:
            return False
        all_required = self.required == len(self.shapes)
        while PyDict_Next(values, &place, &name, &value):
            if <PyObject *>Py_TYPE(<object>name) != <PyObject *>str:
                return False
            shape = PyDict_GetItem(self.shapes, <object>name)
            if shape is NULL or not (<Shape>shape).fits(<object>value, walk):
                return False
            required += all_required or <object>name not in self.optional
        return required == self.required
