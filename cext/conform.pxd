# Shapes: whether a value is exactly what a type says, so that an encoding that knows the type loses nothing.

from cpython.object cimport Py_TYPE, PyObject
from libc.stdint cimport int64_t

cdef enum Scalar:  # bits; a value of none of these types has kind 0
    NONE = 1
    BOOL = 2
    INT = 4          # fits in 64 bits, signed or not
    LONG_INT = 8     # does not
    FLOAT = 16
    STR = 32
    BYTES = 64
    BYTEARRAY = 128
    DATETIME = 256   # naive, or in exactly `timezone.utc`; fold 0
    DATE = 512
    TIME = 1024      # as DATETIME
    TIMEDELTA = 2048
    DECIMAL = 4096


cdef enum:
    LEVELS = 100       # nested deeper, an encoder or a decoder may run out of stack
    VISITS = 1 << 22   # a value that is reached in many ways is walked, and encoded, once for each: that has a bound


cdef struct Walk:
    int levels       # that may still be entered
    int64_t visits   # compound values that may still be entered, shared ones counted each time


cdef bint in_64_bits(object number) noexcept
cdef int rare_kind(object value, PyObject *exact) noexcept
cdef Py_ssize_t slot_in(object owner, str name) except -1  # where instances keep a field; TypeError: in no slot


cdef inline int scalar_kind(object value) noexcept:
    """The kind of an exact scalar, 0 for anything else; what is commonest comes first."""
    cdef PyObject *exact = <PyObject *>Py_TYPE(value)
    if exact == <PyObject *>str:
        return STR
    if exact == <PyObject *>int:
        return INT if in_64_bits(value) else LONG_INT
    if exact == <PyObject *>float:
        return FLOAT
    if value is None:
        return NONE
    if exact == <PyObject *>bool:
        return BOOL
    return rare_kind(value, exact)


cdef class Shape:
    cdef int scalars        # the kinds of scalar that fit, as bits
    cdef tuple compounds    # of Compound: what else fits

    cdef bint fits(self, object value, Walk *walk) noexcept
    cdef bint fits_compound(self, object value, Walk *walk) noexcept


cdef class Compound:
    cdef readonly object exact  # the type of the values

    cdef bint holds(self, object value, Walk *walk) noexcept


cdef class Items(Compound):
    cdef Shape item


cdef class Mapping(Compound):
    cdef Shape key
    cdef Shape value


cdef class Members(Compound):
    cdef tuple members


cdef class Literals(Compound):
    cdef frozenset values


cdef class Fixed(Compound):
    cdef tuple shapes        # None until filled, as below: nothing fits


cdef class Slot:
    cdef Py_ssize_t offset   # from the start of the object to the field's pointer
    cdef Shape shape


cdef class Slots(Compound):
    cdef tuple slots         # of Slot


cdef class Named(Compound):
    cdef dict shapes           # by the name of the field
    cdef frozenset optional    # names that may be missing
    cdef Py_ssize_t required   # how many may not

    cdef bint holds_in(self, dict values, Walk *walk) noexcept
