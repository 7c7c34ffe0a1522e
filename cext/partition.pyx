"""Stable 64-bit hashing of keys: the same in every process, run and Python version, and equal for equal keys.

A key hashes as its kind (the seed) and its value, in a form that all keys equal to it share: numbers by
value whatever their type, moments by instant, members of an Enum with a mixed-in type as that type's value.
Records (frozen dataclasses and Structs) and plain Enum members go by the name of their class, without its
module, which is `__main__` in one process and not in the next.

What a key hashes to decides where its state lives: a change here makes old checkpoints unreadable.
"""

import dataclasses
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from reprlib import repr as shown
from uuid import UUID

cimport cpython.datetime as dt
from cpython.exc cimport PyErr_Clear
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

dt.import_datetime()

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) noexcept
    int Py_EnterRecursiveCall(const char *where) noexcept  # not 0: too deep, and an exception is set
    void Py_LeaveRecursiveCall()

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t lane) noexcept
    uint32_t le32toh(uint32_t lane) noexcept

cdef enum:  # the primes of XXH64
    P1 = 0x9E3779B185EBCA87ULL
    P2 = 0xC2B2AE3D27D4EB4FULL
    P3 = 0x165667B19E3779F9ULL
    P4 = 0x85EBCA77C2B2AE63ULL
    P5 = 0x27D4EB2F165667C5ULL

cdef enum:  # the kinds of key, each a seed; numbers never change, new kinds go to the end
    NONE = 1
    INTEGER = 2  # every number equal to an int of 64 bits
    NUMBER = 3  # every other one
    TEXT = 4
    BYTES = 5
    TUPLE = 6
    SET = 7
    INSTANT = 8  # an aware datetime
    DATETIME = 9  # a naive one
    DATE = 10
    AWARE_TIME = 11
    TIME = 12
    TIMEDELTA = 13
    ENUM = 14
    UUID_ = 15
    RECORD = 16

cdef str KEYS = (
    "keys are None, bool, int, float, Decimal, Fraction, str, bytes, datetime, date, time, timedelta, UUID,"
    " Enum members, frozen dataclasses or Structs, and tuples or frozensets of these;"
    " key by a field, or turn it into a str or a tuple"
)


# XXH64, after its specification. The lanes are little-endian on every machine.

cdef inline uint64_t rotate(uint64_t value, int bits) noexcept nogil:
    return (value << bits) | (value >> (64 - bits))


cdef inline uint64_t lane_at(const unsigned char *at) noexcept nogil:
    cdef uint64_t lane
    memcpy(&lane, at, 8)
    return le64toh(lane)


cdef inline uint64_t half_lane_at(const unsigned char *at) noexcept nogil:
    cdef uint32_t lane
    memcpy(&lane, at, 4)
    return le32toh(lane)


cdef inline uint64_t absorb(uint64_t sum_, uint64_t lane) noexcept nogil:
    return rotate(sum_ + lane * P2, 31) * P1


cdef inline uint64_t add_lane(uint64_t state, uint64_t lane) noexcept nogil:
    return rotate(state ^ absorb(0, lane), 27) * P1 + P4


cdef inline uint64_t avalanche(uint64_t state) noexcept nogil:
    state = (state ^ (state >> 33)) * P2
    state = (state ^ (state >> 29)) * P3
    return state ^ (state >> 32)


cdef uint64_t stripes(const unsigned char *at, Py_ssize_t count, uint64_t seed) noexcept nogil:
    """The state after `count` stripes of 32 bytes."""
    cdef uint64_t[4] sums = [seed + P1 + P2, seed + P2, seed, seed - P1]
    cdef uint64_t state
    cdef Py_ssize_t stripe
    cdef int i
    for stripe in range(count):
        for i in range(4):
            sums[i] = absorb(sums[i], lane_at(at + 32 * stripe + 8 * i))
    state = rotate(sums[0], 1) + rotate(sums[1], 7) + rotate(sums[2], 12) + rotate(sums[3], 18)
    for i in range(4):
        state = (state ^ absorb(0, sums[i])) * P1 + P4
    return state


cdef uint64_t hash_memory(const unsigned char *at, Py_ssize_t size, uint64_t seed) noexcept nogil:
    cdef const unsigned char *end = at + size
    cdef uint64_t state = seed + P5
    if size >= 32:
        state = stripes(at, size // 32, seed)
        at += size & ~31
    state += <uint64_t>size
    while end - at >= 8:
        state = add_lane(state, lane_at(at))
        at += 8
    if end - at >= 4:
        state = rotate(state ^ (half_lane_at(at) * P1), 23) * P2 + P3
        at += 4
    while at != end:
        state = rotate(state ^ (at[0] * P5), 11) * P1
        at += 1
    return avalanche(state)


cdef inline uint64_t hash_word(uint64_t word, uint64_t seed) noexcept nogil:
    """`hash_memory` of the word's eight bytes."""
    return avalanche(add_lane(seed + P5 + 8, word))


cpdef uint64_t xxh64(bytes data, uint64_t seed=0):
    """XXH64 of `data`.

    >>> hex(xxh64(b"abc"))
    '0x44bc2cf5ad770999'
    """
    return hash_memory(data, len(data), seed)


# Keys, by kind.

cpdef uint64_t stable_hash(object key) except? 0:
    """The 64-bit hash of a key: equal keys have equal hashes, in every process, run and Python version.

    Keys may be None, bool, int, float, Decimal, Fraction, str, bytes, datetime, date, time, timedelta, UUID,
    Enum members, frozen dataclasses and frozen Structs, and tuples and frozensets of these.

    TypeError for anything else, ValueError for a NaN.

    >>> stable_hash(1) == stable_hash(1.0) == stable_hash(True)
    True
    >>> hex(stable_hash("DL"))
    '0x7c96e05223a61555'
    >>> stable_hash(["DL"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: ['DL'], of type list, cannot be a key: keys are None, bool, ...
    """
    cdef int overflow = 0
    cdef int64_t value
    if type(key) is str:
        return hash_text(key)
    if type(key) is int:
        value = PyLong_AsLongLongAndOverflow(key, &overflow)
        if not overflow:
            return hash_word(value, INTEGER)
    if Py_EnterRecursiveCall(" while hashing a key"):
        return 0
    try:
        return hash_other(key)
    finally:
        Py_LeaveRecursiveCall()


cdef uint64_t hash_other(object key) except? 0:
    """What the fast ways of `stable_hash` leave; a member of an Enum must meet its mixed-in type first."""
    if isinstance(key, (int, float)):
        return hash_number(key)
    if isinstance(key, str):
        return hash_text(key)
    if isinstance(key, bytes):
        return hash_memory(<bytes>key, len(<bytes>key), BYTES)
    if isinstance(key, (tuple, frozenset)):
        return hash_tuple(key) if isinstance(key, tuple) else hash_set(key)
    if isinstance(key, (dt.date, dt.time, dt.timedelta)):
        return hash_time(key)
    if key is None:
        return hash_word(0, NONE)
    return hash_object(key)


cdef uint64_t hash_object(object key) except? 0:
    cls = type(key)
    if isinstance(key, Decimal) or Fraction in cls.__mro__:  # isinstance is slow where the class is an ABC
        return hash_number(key)
    if isinstance(key, UUID):
        return hash_memory(<bytes>key.bytes, 16, UUID_)
    if isinstance(key, Enum):
        return hash_member(key)
    if hasattr(cls, "__struct_fields__") or hasattr(cls, "__dataclass_fields__"):
        return hash_record(key)
    raise TypeError(f"{shown(key)}, of type {cls.__qualname__}, cannot be a key: {KEYS}")


cdef uint64_t hash_text(object text) except? 0:
    cdef Py_ssize_t size = 0
    cdef const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size)
    cdef bytes encoded
    if utf8 != NULL:
        return hash_memory(<const unsigned char *>utf8, size, TEXT)
    PyErr_Clear()  # a lone surrogate, which strict UTF-8 refuses
    encoded = str.encode(text, "utf-8", "surrogatepass")
    return hash_memory(encoded, len(encoded), TEXT)


cdef uint64_t hash_number(object key) except? 0:
    """As an int of 64 bits if it equals one, else by Python's own hash.

    Of numbers that hash is documented: equal for equal numbers of all types, and never randomized.
    """
    if key.is_nan() if isinstance(key, Decimal) else key != key:
        raise ValueError("NaN cannot be a key, since it equals nothing, not even itself: drop or replace it")
    if -2 ** 63 <= key < 2 ** 63 and key == int(key):
        return hash_word(<uint64_t><int64_t>int(key), INTEGER)
    return hash_word(<uint64_t>hash(key), NUMBER)


cdef uint64_t hash_tuple(object key) except? 0:
    cdef uint64_t state = hash_word(len(<tuple>key), TUPLE)
    for item in <tuple>key:
        state = hash_word(stable_hash(item), state)
    return state


cdef uint64_t hash_set(object key) except? 0:
    cdef uint64_t sum_ = 0  # the same in every order
    for item in key:
        sum_ += stable_hash(item)
    return hash_word(sum_, hash_word(len(key), SET))


cdef uint64_t hash_time(object key) except? 0:
    if isinstance(key, dt.datetime):
        return hash_datetime(key)
    if isinstance(key, dt.date):
        return hash_word(<uint64_t>key.toordinal(), DATE)
    if isinstance(key, dt.time):
        return hash_time_of_day(key)
    return hash_word(microseconds(key), TIMEDELTA)


cdef uint64_t microseconds(object span) noexcept:
    """A timedelta in microseconds, modulo 2**64."""
    return whole_seconds(span) * 1_000_000 + <uint64_t>dt.timedelta_microseconds(span)


cdef uint64_t whole_seconds(object span) noexcept:
    return <uint64_t>dt.timedelta_days(span) * 86400 + <uint64_t>dt.timedelta_seconds(span)


cdef uint64_t hash_datetime(object key) except? 0:
    """By instant when aware, by fields when naive.

    Within a zone Python compares fields and ignores fold; where fold changes the instant, nothing in another
    zone is equal. So the instant of fold 0 stands for both.
    """
    cdef uint64_t minutes, micros
    if dt.datetime_fold(key):
        key = key.replace(fold=0)
    minutes = <uint64_t>key.toordinal() * 1440 + dt.datetime_hour(key) * 60 + dt.datetime_minute(key)
    micros = (minutes * 60 + dt.datetime_second(key)) * 1_000_000 + dt.datetime_microsecond(key)
    offset = key.utcoffset()
    if offset is None:
        return hash_word(micros, DATETIME)
    return hash_word(micros - microseconds(offset), INSTANT)


cdef uint64_t hash_time_of_day(object key) except? 0:
    """As Python compares them: less whole seconds of offset, not wrapped at midnight, whatever fold is."""
    cdef uint64_t seconds
    seconds = (dt.time_hour(key) * 60 + dt.time_minute(key)) * 60 + dt.time_second(key)
    offset = key.utcoffset()
    if offset is None:
        return hash_word(seconds * 1_000_000 + dt.time_microsecond(key), TIME)
    seconds -= whole_seconds(offset)
    return hash_word(seconds * 1_000_000 + dt.time_microsecond(key), AWARE_TIME)


cdef uint64_t hash_member(object key) except? 0:
    """By the names of its class and its own; a member of a Flag, whose sums have no names, by its value."""
    cdef uint64_t state = hash_word(hash_text(type(key).__qualname__), ENUM)
    return hash_word(stable_hash(key._value_ if isinstance(key, Flag) else key._name_), state)


cdef uint64_t hash_record(object key) except? 0:
    cdef uint64_t state = hash_word(hash_text(type(key).__qualname__), RECORD)
    for name in names_of_fields(key):
        state = hash_word(stable_hash(getattr(key, name)), state)
    return state


cdef object names_of_fields(object key):
    """The fields that take part in equality, of a frozen record."""
    cls = type(key)
    struct = hasattr(cls, "__struct_fields__")
    if not (cls.__struct_config__ if struct else cls.__dataclass_params__).frozen:
        raise TypeError(
            f"{shown(key)}, of type {cls.__qualname__}, cannot be a key, since its fields may change:"
            " declare the class with frozen=True, or key by a field"
        )
    if struct:
        return cls.__struct_fields__
    return [field.name for field in dataclasses.fields(key) if field.compare]


cdef int raise_pending() except? -1:
    """Raise the error that is set, if one is."""
    return -1


cdef int check_new(object key) except -1:
    """Refuse `key` where it could not be spread: a graph does the same however often its operators run.

    If looking it up has set an error, this refusal comes before that: Python's own says only "unhashable".
    """
    try:
        raise_pending()
    finally:
        stable_hash(key)
    return 0


# Key groups.

cpdef int key_group(object key, int max_parallelism) except -1:
    """The key group, from 0 to `max_parallelism - 1`, in which the state of `key` lives.

    ValueError when `max_parallelism` is less than 1, and what `stable_hash` raises.

    >>> key_group("DL", 128)
    85
    """
    if max_parallelism < 1:
        raise ValueError(f"max_parallelism must be at least 1, not {max_parallelism}")
    return <int>(stable_hash(key) % <uint64_t>max_parallelism)


cpdef int owner(int group, int max_parallelism, int parallelism) noexcept nogil:
    """The task, from 0 to `parallelism - 1`, that owns a key group, or -1 when there is no such group.

    Each task owns one run of groups in sequence; no task has more than one group more than another.

    >>> [owner(group, 8, 3) for group in range(8)]
    [0, 0, 0, 1, 1, 1, 2, 2]
    """
    if not 0 <= group < max_parallelism:
        return -1
    return <int>(<int64_t>group * parallelism // max_parallelism)


def owned(list keys not None, int max_parallelism, int parallelism, int index):
    """Of each key, whether the task `index` owns its key group.

    >>> owned(["weir", "dam", "lock"], 128, 1, 0)
    [True, True, True]
    """
    return [owner(key_group(key, max_parallelism), max_parallelism, parallelism) == index for key in keys]
