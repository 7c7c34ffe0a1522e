"""Lanes: the inputs of a task, which of them is next, what time it is by their marks, and who waits for whom.

1. The event time is the least of the lanes' watermarks, without those of tables. One that has ended does not count, nor
   one that said `idle`, until its next frame. When all are idle the one furthest ahead tells the time.
2. A barrier goes on once every lane that still runs has brought that very one; those that have are held until then.
   A source may skip some, so one is only waited for until it is known to be over, at the latest when a newer one comes
   or is known to have begun. Then the lanes go on, and what others bring of it goes by.
3. By event time (`drift` from 0 on) the lane furthest behind gives first. A lane that `waits` is held while it is more
   than `drift` ahead of the one furthest behind that runs and is not idle. Its channel fills, and credit slows down its
   source: what two inputs are apart in time is not kept in the task.
4. How far a lane has come is not its watermark, which may lag behind what was seen by a promise (`out_of_order`) or an
   operator on the way: by `least_delay` to `most_delay`. A lane that has not told its time is the furthest behind.
5. Nobody is held for (3) while a barrier is awaited. Else, where tasks between share inputs, one could wait for a
   barrier that stands behind records, and these for the time that this barrier holds up.

The lane furthest behind is never held. docs/architecture.md says why no lane is held for ever.
"""

cimport cython

from cext.atomics cimport load
from cext.frame cimport IDLE
from cext.instant cimport NEVER

cdef int64_t FOREVER = 0x7FFFFFFFFFFFFFFF


@cython.final
cdef class Lane:
    """One input of a task."""

    def __cinit__(
        self,
        Channel channel not None,
        bint waits=False,
        int64_t least_delay=0,
        int64_t most_delay=0,
        bint is_table=False,
    ):
        if not 0 <= least_delay <= most_delay:
            raise ValueError(f"delays are from 0 on, the least first, not {least_delay} and {most_delay} ms")
        self.channel = channel
        self.waits = waits
        self.least_delay = least_delay
        self.most_delay = most_delay
        self.is_table = is_table
        self.watermark = NEVER

    cdef int64_t _behind(self, int64_t delay) noexcept:
        """How far its sources have come, if its marks are so far behind them."""
        return NEVER if self.watermark == NEVER else self.watermark + delay


@cython.final
cdef class Lanes:
    """The inputs of one task, taken from in turn, or with `drift` (ms, from 0 on) by event time.

    `tables_first`: of those in turn, only the lanes of tables are taken from until each has ended or been idle once.
    """

    def __cinit__(self, each, int64_t drift=-1, bint tables_first=False):
        self.each = list(each)
        self.tables_first = tables_first
        self.drift = drift if len(each) > 1 else -1
        self.whole = True
        self._measure()

    # Frames.

    cdef Frame take(self, bint has_some):
        """The next frame, which is from `last`, or None; with `has_some` an empty lane is no shortage."""
        return self._in_turn(has_some) if self.drift < 0 else self._by_time()

    cdef Frame _in_turn(self, bint has_some):
        cdef Py_ssize_t i, at, count = len(self.each)
        cdef uint64_t awaited = self._awaited()
        cdef Lane lane
        cdef Frame frame
        for i in range(count):
            at = (self.turn + i) % count
            lane = <Lane>self.each[at]
            if lane.ended or self._is_shut(lane, awaited) or (has_some and lane.channel.is_empty()):
                continue
            frame = self._from(at)
            if frame is not None:
                return frame
        return None

    cdef bint _is_shut(self, Lane lane, uint64_t awaited) noexcept:
        """While tables are read first, a barrier holds up none of theirs, for that of the other lanes waits too.

        So what stands behind it may be in a snapshot, and will be put there once more, which changes nothing.
        """
        return not lane.is_table if self.tables_first else lane.brought == awaited

    cdef int _was_read(self, Lane read) noexcept:
        """A lane has ended or is idle: if it was the last table to be read, the others' turn has come."""
        cdef Lane lane
        read.was_read = True
        if self.tables_first:
            for lane in self.each:
                if lane.is_table and not lane.was_read:
                    return 0
            self.tables_first = False
        return 0

    cdef Frame _by_time(self):
        """From the lane furthest behind of those that have a frame and need not wait; of equals the next in turn."""
        cdef Py_ssize_t i, at, best = -1, count = len(self.each)
        cdef int64_t reach, least = FOREVER
        cdef uint64_t awaited = self._awaited()
        cdef bint is_known = awaited <= max(self.newest, load(&self.expected))
        cdef Lane lane
        self.braked = False
        for i in range(count):
            at = (self.turn + i) % count
            lane = <Lane>self.each[at]
            reach = lane._behind(lane.most_delay)
            if lane.ended or lane.brought == awaited or reach >= least:
                continue
            if lane.channel.is_empty():
                lane.channel.starved = True
            elif lane.waits and lane._behind(lane.least_delay) > self.furthest and not is_known:
                self.braked = True
            else:
                best, least = at, reach
        return None if best < 0 else self._from(best)

    cdef Frame _from(self, Py_ssize_t at):
        cdef Lane lane = <Lane>self.each[at]
        cdef Frame frame = lane.channel.take()
        if frame is None:
            return None
        self.last = lane
        self.turn = at + 1
        if frame.kind == IDLE:
            self._was_read(lane)
        if lane.idle != (frame.kind == IDLE):
            lane.idle = not lane.idle
            self._measure()
        return frame

    # Event time.

    cdef int tell(self, int64_t watermark) noexcept:
        """The last lane has told its time."""
        self.last.watermark = max(self.last.watermark, watermark)
        return self._measure()

    cdef int _measure(self) noexcept:
        """Note how far a lane may have come."""
        cdef int64_t least
        cdef Lane lane
        if self.drift < 0:
            return 0
        least = FOREVER - self.drift
        for lane in self.each:
            if not lane.ended and not lane.idle:
                least = min(least, lane._behind(lane.most_delay))
        self.furthest = least + self.drift
        return 0

    cdef int64_t event_time(self, bint *idle) noexcept:
        """The time by all lanes, NEVER before there is any; and whether all are idle."""
        cdef int64_t least = FOREVER, furthest = NEVER
        cdef Lane lane
        idle[0] = True
        for lane in self.each:
            if lane.is_table:
                continue
            furthest = max(furthest, lane.watermark)
            if not lane.ended and not lane.idle:
                idle[0] = False
                least = min(least, lane.watermark)
        return min(least, furthest)

    # Ends and barriers.

    cdef int end(self, bint whole) noexcept:
        """Nothing more comes from the last lane."""
        self.last.ended = True
        self._was_read(self.last)
        self.whole = self.whole and whole
        return self._measure()

    cdef bint have_ended(self) noexcept:
        """Whether all have."""
        cdef Lane lane
        for lane in self.each:
            if not lane.ended:
                return False
        return True

    cdef int bring(self, uint64_t barrier) noexcept:
        """The last lane has brought `barrier`, which is newer than any that it brought before."""
        self.last.brought = barrier
        self.newest = max(self.newest, barrier)
        return 0

    cdef uint64_t aligned(self) noexcept:
        """The barrier that every lane which still runs has brought, once; else 0."""
        cdef uint64_t awaited = self._awaited()
        cdef Lane lane
        if self.newest != awaited:
            return 0
        for lane in self.each:
            if not lane.ended and lane.brought != awaited:
                return 0
        self.passed = awaited
        return awaited

    cdef uint64_t _awaited(self) noexcept:
        """The oldest barrier that may still be of use, so no lane has brought a newer one; it may not have begun yet.

        A checkpoint begins when the one before it is complete, then that has passed here, or given up.
        """
        return max(self.newest, load(&self.expected), max(self.passed, load(&self.over)) + 1)
