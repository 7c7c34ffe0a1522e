"""Stable hashing of keys, key groups and their owners: the interface for the rest of the core."""

from cpython.ref cimport PyObject
from libc.stdint cimport uint64_t

cdef extern from "Python.h":
    PyObject *PyDict_GetItemWithError(dict states, object key) noexcept  # NULL, with the error set if it raised

cpdef uint64_t xxh64(bytes data, uint64_t seed=*)
cpdef uint64_t stable_hash(object key) except? 0
cpdef int key_group(object key, int max_parallelism) except -1
cpdef int owner(int group, int max_parallelism, int parallelism) noexcept nogil
cdef int check_new(object key) except -1


cdef inline PyObject *find(dict states, object key) except? NULL:
    """What `states` has for `key`, borrowed, or NULL where it is new; raise where it cannot be a key."""
    cdef PyObject *known = PyDict_GetItemWithError(states, key)
    if known is NULL:
        check_new(key)
    return known
