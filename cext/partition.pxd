"""Stable hashing of keys, key groups and their owners: the interface for the rest of the core."""

from libc.stdint cimport uint64_t

cpdef uint64_t xxh64(bytes data, uint64_t seed=*)
cpdef uint64_t stable_hash(object key) except? 0
cpdef int key_group(object key, int max_parallelism) except -1
cpdef int owner(int group, int max_parallelism, int parallelism) noexcept nogil
