# Packed: scalars as msgpack, made without the interpreter's lock.
from cpython.object cimport PyObject


cdef Py_ssize_t size_of(PyObject *item) noexcept nogil
cdef unsigned char *put(unsigned char *to, PyObject *item) noexcept nogil
