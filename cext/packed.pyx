"""Packed: scalars as msgpack, made without the interpreter's lock, so that a task goes on while its state is written.

That is sound because nothing in here can change meanwhile, or go: each item is of a type whose instances never change,
and the list that holds them is the caller's alone. No reference is counted and nothing is allocated on the way.
Of the forms that msgpack has for a number or a str it takes the shortest and one for all others.
"""

from libc.stdint cimport INT32_MAX, INT32_MIN, UINT32_MAX, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject

cdef extern from "Python.h":
    PyTypeObject *Py_TYPE(PyObject *item) noexcept nogil
    PyObject *NONE "Py_None"
    PyObject *YES "Py_True"
    PyTypeObject PyLong_Type, PyFloat_Type, PyUnicode_Type, PyBytes_Type, PyBool_Type
    int64_t PyLong_AsLongLongAndOverflow(PyObject *number, int *overflow) noexcept nogil
    double PyFloat_AS_DOUBLE(PyObject *number) noexcept nogil
    Py_ssize_t PyBytes_GET_SIZE(PyObject *data) noexcept nogil
    const char *bytes_of "PyBytes_AS_STRING"(PyObject *data) noexcept nogil
    bint PyUnicode_IS_READY(PyObject *text) noexcept nogil
    bint PyUnicode_IS_ASCII(PyObject *text) noexcept nogil
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *text) noexcept nogil
    int PyUnicode_KIND(PyObject *text) noexcept nogil
    const void *PyUnicode_DATA(PyObject *text) noexcept nogil
    uint32_t PyUnicode_READ(int kind, const void *data, Py_ssize_t at) noexcept nogil
    PyObject **items_of "PySequence_Fast_ITEMS"(list items)

cdef extern from "<endian.h>":
    uint64_t htobe64(uint64_t number) noexcept nogil

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void *address) noexcept nogil

cdef enum:
    AHEAD = 16   # items that are called into the cache before they are looked at
    FOREIGN = -1  # the size of what this cannot pack

    NIL = 0xC0
    FALSE = 0xC2
    TRUE = 0xC3
    BIN32 = 0xC6
    FLOAT64 = 0xCB
    INT32 = 0xD2
    INT64 = 0xD3
    STR32 = 0xDB
    ARRAY32 = 0xDD
    FIXSTR = 0xA0
    SHORT = 32  # bytes that a str with a FIXSTR head is shorter than


def packed(list items not None, Py_ssize_t begin, Py_ssize_t end):
    """`items[begin:end]` as a msgpack array, or None: it has what is no exact scalar, or too large a one for this.

    >>> import msgspec
    >>> msgspec.msgpack.decode(packed(["weir", 1, 0.5, None, True, b"gate"], 1, 5))
    [1, 0.5, None, True]
    >>> packed([[]], 0, 1) is None
    True
    """
    if not 0 <= begin <= end <= len(items) or end - begin > UINT32_MAX:
        raise IndexError(f"wanted a part of {len(items):,} items, got {begin:,} to {end:,}")
    cdef PyObject **first = items_of(items) + begin
    cdef Py_ssize_t count = end - begin, size
    cdef bytes made
    cdef unsigned char *to
    with nogil:
        size = size_of_all(first, count)
    if size == FOREIGN:
        return None
    made = PyBytes_FromStringAndSize(NULL, 5 + size)
    to = <unsigned char *>PyBytes_AS_STRING(made)
    with nogil:
        put_all(put_head(to, ARRAY32, count), first, count)
    return made


def packed_integers(const int64_t[::1] numbers not None):
    """The same of numbers that are no objects.

    >>> import msgspec
    >>> from array import array
    >>> msgspec.msgpack.decode(packed_integers(array("q", [1, -70_000, 1 << 62])))
    [1, -70000, 4611686018427387904]
    """
    cdef Py_ssize_t count = numbers.shape[0], size = 0, at
    cdef bytes made
    cdef unsigned char *to
    if count > UINT32_MAX:
        raise IndexError(f"wanted at most {UINT32_MAX:,} numbers, got {count:,}")
    with nogil:
        for at in range(count):
            size += integer_size(numbers[at])
    made = PyBytes_FromStringAndSize(NULL, 5 + size)
    to = <unsigned char *>PyBytes_AS_STRING(made)
    with nogil:
        to = put_head(to, ARRAY32, count)
        for at in range(count):
            to = put_integer(to, numbers[at])
    return made


cdef Py_ssize_t size_of_all(PyObject **items, Py_ssize_t count) noexcept nogil:
    """How many bytes they become, or FOREIGN."""
    cdef Py_ssize_t at, each, size = 0
    for at in range(count):
        if at + AHEAD < count:
            prefetch(items[at + AHEAD])
        each = size_of(items[at])
        if each == FOREIGN:
            return FOREIGN
        size += each
    return size


cdef void put_all(unsigned char *to, PyObject **items, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t at
    for at in range(count):
        if at + AHEAD < count:
            prefetch(items[at + AHEAD])
            prefetch(<char *>items[at + AHEAD] + 64)  # the content of a str that is not very short
            prefetch(<char *>items[at + AHEAD] + 128)
        to = put(to, items[at])


cdef Py_ssize_t size_of(PyObject *item) noexcept nogil:
    cdef PyTypeObject *kind = Py_TYPE(item)
    cdef int overflow = 0
    cdef int64_t number
    cdef Py_ssize_t size
    if kind == &PyUnicode_Type:
        size = utf8_size(item)
        return FOREIGN if size > UINT32_MAX or size == FOREIGN else size + (1 if size < SHORT else 5)
    if kind == &PyLong_Type:
        number = PyLong_AsLongLongAndOverflow(item, &overflow)
        return FOREIGN if overflow else integer_size(number)
    if kind == &PyFloat_Type:
        return 9
    if kind == &PyBytes_Type:
        size = PyBytes_GET_SIZE(item)
        return FOREIGN if size > UINT32_MAX else 5 + size
    return 1 if item == NONE or kind == &PyBool_Type else FOREIGN


cdef unsigned char *put(unsigned char *to, PyObject *item) noexcept nogil:
    """Write one of which `size_of` has told the size; where the next goes."""
    cdef PyTypeObject *kind = Py_TYPE(item)
    cdef int overflow = 0
    cdef double number
    cdef uint64_t bits
    cdef Py_ssize_t size
    if kind == &PyUnicode_Type:
        return put_str(to, item)
    if kind == &PyLong_Type:
        return put_integer(to, PyLong_AsLongLongAndOverflow(item, &overflow))
    if kind == &PyFloat_Type:
        number = PyFloat_AS_DOUBLE(item)
        memcpy(&bits, &number, 8)
        return put_eight(to, FLOAT64, bits)
    if kind == &PyBytes_Type:
        size = PyBytes_GET_SIZE(item)
        to = put_head(to, BIN32, size)
        memcpy(to, bytes_of(item), size)
        return to + size
    to[0] = NIL if item == NONE else TRUE if item == YES else FALSE
    return to + 1


# Numbers.

cdef inline Py_ssize_t integer_size(int64_t number) noexcept nogil:
    return 1 if -32 <= number < 128 else 5 if INT32_MIN <= number <= INT32_MAX else 9


cdef inline unsigned char *put_integer(unsigned char *to, int64_t number) noexcept nogil:
    if -32 <= number < 128:
        to[0] = <unsigned char>number
        return to + 1
    if INT32_MIN <= number <= INT32_MAX:
        return put_head(to, INT32, number)
    return put_eight(to, INT64, <uint64_t>number)


cdef inline unsigned char *put_head(unsigned char *to, unsigned char what, int64_t number) noexcept nogil:
    """A byte, and the lower half of `number`: a length, or itself."""
    cdef uint64_t turned = htobe64(<uint64_t>number << 32)
    to[0] = what
    memcpy(to + 1, &turned, 4)
    return to + 5


cdef inline unsigned char *put_eight(unsigned char *to, unsigned char what, uint64_t bits) noexcept nogil:
    cdef uint64_t turned = htobe64(bits)
    to[0] = what
    memcpy(to + 1, &turned, 8)
    return to + 9


# Text.

cdef Py_ssize_t utf8_size(PyObject *text) noexcept nogil:
    """In bytes; FOREIGN where UTF-8 has no place for it, as for half a surrogate pair."""
    cdef Py_ssize_t at, size = 0
    cdef uint32_t each
    if not PyUnicode_IS_READY(text):
        return FOREIGN
    if PyUnicode_IS_ASCII(text):
        return PyUnicode_GET_LENGTH(text)
    for at in range(PyUnicode_GET_LENGTH(text)):
        each = PyUnicode_READ(PyUnicode_KIND(text), PyUnicode_DATA(text), at)
        if 0xD800 <= each < 0xE000:
            return FOREIGN
        size += 1 if each < 0x80 else 2 if each < 0x800 else 3 if each < 0x10000 else 4
    return size


cdef unsigned char *put_str(unsigned char *to, PyObject *text) noexcept nogil:
    cdef Py_ssize_t at, size = utf8_size(text)
    if size < SHORT:
        to[0] = <unsigned char>(FIXSTR | size)
        to += 1
    else:
        to = put_head(to, STR32, size)
    if PyUnicode_IS_ASCII(text):
        memcpy(to, PyUnicode_DATA(text), size)
        return to + size
    for at in range(PyUnicode_GET_LENGTH(text)):
        to = put_utf8(to, PyUnicode_READ(PyUnicode_KIND(text), PyUnicode_DATA(text), at))
    return to


cdef inline unsigned char *put_utf8(unsigned char *to, uint32_t each) noexcept nogil:
    """One character: its lowest six bits in the last byte, the next six before them, as many as it takes."""
    cdef int more = 0 if each < 0x80 else 1 if each < 0x800 else 2 if each < 0x10000 else 3
    cdef int at
    if more == 0:
        to[0] = <unsigned char>each
        return to + 1
    for at in range(more, 0, -1):
        to[at] = 0x80 | (each & 0x3F)
        each >>= 6
    to[0] = <unsigned char>((0xFF00 >> (more + 1)) & 0xFF) | <unsigned char>each
    return to + more + 1
