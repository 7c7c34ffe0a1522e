"""Instant: takes the event time out of a record, in milliseconds since the epoch.

Milliseconds are what logs, brokers and the other engines count in; an int64 of them holds every datetime, and
adding and comparing them is one instruction.
"""

from datetime import timezone
from reprlib import repr as shown

cimport cpython.datetime as dt
cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow

dt.import_datetime()

cdef int64_t FIRST_DAY = 719_163  # the ordinal of 1970-01-01
cdef int64_t LAST = 1 << 60
cdef object UTC = timezone.utc


cdef int64_t microseconds(object span):
    return (
        (<int64_t>dt.timedelta_days(span) * 86_400 + dt.timedelta_seconds(span)) * 1_000_000
        + dt.timedelta_microseconds(span)
    )


cdef class Instant:
    """The event time of a record: what `what` takes out of it, an int of milliseconds or a datetime, plus `shift` ms.

    `zone`: a tzinfo for datetimes that have none. Parts of a millisecond are rounded down.

    >>> from datetime import datetime, timezone
    >>> from cext.getter import Getter
    >>> Instant(Getter())(1_700_000_000_000), Instant(Getter(), zone=timezone.utc)(datetime(1970, 1, 1, 0, 0, 1))
    (1700000000000, 1000)
    """

    def __cinit__(self, Getter what not None, zone=None, int64_t shift=0):
        self.what = what
        self.zone = zone
        self.shift = shift

    cdef int64_t of(self, object record) except? -1:
        value = self.what.get(record)
        cdef int overflow = 0
        cdef int64_t time
        if type(value) is int:
            time = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow or not -LAST <= time <= LAST:
                raise ValueError(f"{value} is no event time: wanted milliseconds since the epoch, up to 2**60")
            return time + self.shift
        if dt.PyDateTime_Check(value):
            return self._of_datetime(value) + self.shift
        raise TypeError(
            "wanted an event time, an int of milliseconds since the epoch or a datetime with a zone; got "
            f"{shown(value)}, of type {type(value).__name__}"
        )

    cdef int64_t _of_datetime(self, object value) except? -1:
        if value.tzinfo is None:
            if self.zone is None:
                raise ValueError(
                    f"the event time {value.isoformat()} has no zone, so it is no moment: say which one it is in, e.g."
                    ' event_time(..., zone="UTC")'
                )
            value = value.replace(tzinfo=self.zone)
        cdef int64_t seconds = (<int64_t>value.toordinal() - FIRST_DAY) * 86_400 + dt.datetime_hour(value) * 3_600
        seconds += dt.datetime_minute(value) * 60 + dt.datetime_second(value)
        cdef int64_t micros = seconds * 1_000_000 + dt.datetime_microsecond(value)
        if value.tzinfo is not UTC:
            micros -= microseconds(value.utcoffset())
        return floor_div(micros, 1000)

    def __call__(self, record):
        return self.of(record)


@cython.final
cdef class Arrival(Instant):
    """The time at which a record is taken in, by the clock of the head that has it: it sets `time`."""

    cdef int64_t of(self, object record) except? -1:
        return self.time
