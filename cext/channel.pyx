"""Channel: a ring of frames between one producer and one consumer, bounded by absolute credit.

The producer counts what it has `pushed`, the consumer what it has `released`, and it publishes
`limit = max(limit, released + window)`; `pushed` never passes `limit`. A record is released when its
fate is final, not when it is popped: so `pushed - released` is all that is in flight on this edge, wherever it lies.
"""

cimport cython
from cpython.ref cimport PyObject, Py_INCREF

from cext.atomics cimport exchange, load, store
from cext.debug cimport CHANNELS, HEADGATE_DEBUG, born as count_born, died as count_died
from cext.frame cimport data_frame
from cext.spsc cimport spsc_free, spsc_is_empty, spsc_new, spsc_pop, spsc_push, spsc_room

cdef extern from "Python.h":
    void Py_DECREF(PyObject *object) noexcept

cdef int FRAMES_PER_WINDOW = 4  # of a small one: so credit comes back in small steps and the producer follows smoothly


@cython.final
cdef class Channel:
    """One edge between two tasks.

    `law`: the Window that sizes it; `frame_records`: how many records make a full frame; `producer` and
    `consumer`: the Wakers of the threads on either side, None where both are one thread.
    """

    def __cinit__(self, Window law not None, Py_ssize_t frame_records=1024, Waker producer=None, Waker consumer=None):
        if frame_records < 1:
            raise ValueError(f"a frame holds at least 1 record, frame_records={frame_records}")
        self.ring = spsc_new(<uint64_t>law.most)  # so that even frames of one record fit
        if self.ring is NULL:
            raise MemoryError(f"no memory for a channel of {law.most} frames")
        self.law = law
        self.window = self.limit = <uint64_t>law.size
        self.frame_records = frame_records
        self.open = []
        self.producer = producer
        self.consumer = consumer
        if HEADGATE_DEBUG:
            count_born(CHANNELS)

    def __dealloc__(self):
        cdef PyObject *frame
        if self.ring is NULL:
            return
        while True:
            frame = <PyObject *>spsc_pop(self.ring)
            if frame is NULL:
                break
            Py_DECREF(frame)
        spsc_free(self.ring)
        if HEADGATE_DEBUG:
            count_died(CHANNELS)

    # The producer's side.

    cdef Py_ssize_t credit(self) noexcept:
        """How many records may be put now: half a frame or more, else none. Asking in vain tells the consumer that the
        producer is blocked.

        Whoever takes up whatever credit comes sends ever smaller frames, which give ever less of it back: TCP knows
        this as the silly window (RFC 1122, 4.2.3.4). The wait has an end, as no frame is larger than the window.
        """
        if not self.has_room():
            store(&self.blocked, 1)
            return 0
        if spsc_room(self.ring) < 2:  # full of marks; there must be room for one more behind the open frame
            return 0
        return self._left()

    cdef Py_ssize_t _left(self) noexcept:
        """How many records may be put before `pushed` is at `limit`."""
        return <Py_ssize_t>(load(&self.limit) - load(&self.pushed))

    cdef bint has_room(self) noexcept:
        """Whether half a frame may be put. The consumer, or who stands in for it, asks too, to know whom to wake."""
        return 4 * self._left() >= self.cut()

    cdef Py_ssize_t cut(self) noexcept:
        """How many records make a frame at the present window."""
        cdef Py_ssize_t window = <Py_ssize_t>load(&self.window)
        if window >= 2 * self.frame_records:
            return self.frame_records
        return max(1, min(self.frame_records, window // FRAMES_PER_WINDOW))

    cdef int put(self, list rows, int64_t born, int64_t now) except -1:
        """Promise `rows` to the consumer, within credit. Few records wait in the open frame for more."""
        cdef Py_ssize_t count = len(rows)
        if HEADGATE_DEBUG and count > self._left():
            raise AssertionError(f"{count} records put on a channel with credit for {self._left()}")
        store(&self.pushed, self.pushed + count)
        self.most_in_flight = max(self.most_in_flight, self.pushed - load(&self.released))
        if 2 * count >= self.cut() and not self.open:
            if self._send(data_frame(rows, born)):
                return 0
        if not self.open:
            self.open_born = born
            self.opened = now
        self.open_born = min(self.open_born, born)
        self.open.extend(rows)
        if len(self.open) >= self.cut():
            self.flush()
        return 0

    cdef bint flush(self) except -1:
        """Send the open frame; False if the ring has no slot for it (its marks must be taken first)."""
        if self.open:
            if not self._send(data_frame(self.open, self.open_born)):
                return False
            self.open = []
        return True

    cdef bint push_mark(self, Frame mark) except -1:
        """Send `mark` behind everything put before it; False if there is no slot now: try again later."""
        return self.flush() and self._send(mark)

    cdef bint _send(self, Frame frame) noexcept:
        Py_INCREF(frame)  # the ring's reference
        if not spsc_push(self.ring, <void *>frame):
            Py_DECREF(<PyObject *>frame)
            return False
        self.frames += 1
        if self.consumer is not None:
            self.consumer.wake()
        return True

    # The consumer's side.

    cdef Frame take(self):
        """The next frame, or None. Its records stay in flight until they are released."""
        cdef PyObject *popped = <PyObject *>spsc_pop(self.ring)
        cdef Frame frame
        if popped is NULL:
            self.starved = True
            return None
        frame = <Frame>popped
        Py_DECREF(popped)  # the ring's reference; `frame` has its own
        self.taken += frame.records
        if frame.records == 0 and self.producer is not None:
            self.producer.wake()  # a mark gives no credit back, so this is all that a producer without a slot will hear
        return frame

    cdef bint is_empty(self) noexcept:
        return spsc_is_empty(self.ring)

    cdef void release(self, Py_ssize_t records) noexcept:
        """The fate of `records` more of those taken is final: give their credit back."""
        store(&self.released, self.released + records)
        self._publish()

    cdef void _publish(self) noexcept:
        self._allow(self.released + self.window)

    cdef void _allow(self, uint64_t limit) noexcept:
        """Raise the limit, and wake a producer that can go on."""
        if limit > self.limit:
            store(&self.limit, limit)
            if self.producer is not None and self.has_room():
                self.producer.wake()

    cpdef void adapt(self, int64_t now, bint could_work, Py_ssize_t batch=0) noexcept:
        """Once a period: size the window anew. Only a consumer that `could_work` is starved by an empty channel.

        `batch`: how many records it has learned to take at once, 0 if it has not.
        """
        if self.law.due(now):
            self.law.want(batch)
            self.law.update(now, self.released, self.starved and could_work, exchange(&self.blocked, 0))
            self.starved = False
            store(&self.window, <uint64_t>self.law.size)
            self._publish()

    # Half of a channel whose other end is in another process: a link stands in for the side that is not here.

    cdef void grant(self, uint64_t limit, uint64_t released, uint64_t window) noexcept:
        """For the consumer, who is elsewhere: its words, absolute, so what comes late or twice changes nothing."""
        if limit < self.limit or released < self.released:
            return
        store(&self.window, window)
        store(&self.released, released)
        self._allow(limit)

    cdef void deliver(self, Frame frame) noexcept:
        """For the producer, who is elsewhere: send its frame, which must be within credit and have a slot."""
        store(&self.pushed, self.pushed + frame.records)
        self.most_in_flight = max(self.most_in_flight, self.pushed - load(&self.released))
        self._send(frame)

    # Everybody's: counters, and the Python face that tests and the engine use.

    cdef int _check(self) except -1:
        if not self.released <= self.taken <= self.pushed <= self.limit:
            raise AssertionError(
                f"released {self.released} <= taken {self.taken} <= pushed {self.pushed} <= limit {self.limit} broken"
            )
        return 0

    def validate(self):
        """Raise AssertionError if an invariant does not hold; both sides must be at rest."""
        self._check()

    @property
    def bound(self):
        """The most records that can ever be in flight here."""
        return self.law.most

    @property
    def in_flight(self):
        """Records pushed and not yet released: waiting here, or in the consumer's hands."""
        cdef uint64_t released = load(&self.released)  # first: what is released meanwhile counts
        return load(&self.pushed) - released

    @property
    def counters(self):
        """(pushed, released, limit, window), in records."""
        return load(&self.pushed), load(&self.released), load(&self.limit), load(&self.window)

    def push_rows(self, list rows not None, int64_t born=0):
        """Put `rows`, at least one and within the limit, and send the frame at once."""
        cdef Py_ssize_t left = self._left() if spsc_room(self.ring) >= 2 else 0
        if not 0 < len(rows) <= left:
            raise ValueError(f"{len(rows)} records do not fit into credit for {left}")
        self.put(rows, born, born)
        self.flush()

    def push(self, Frame mark not None):
        """Send a mark; False if the ring has no slot for it now."""
        if mark.records:
            raise ValueError("push() is for marks, records go through push_rows(), which counts their credit")
        return self.push_mark(mark)

    def pop(self):
        """The next frame, or None."""
        return self.take()

    def give_back(self, Py_ssize_t records):
        """Release `records` of those taken."""
        if not 0 <= records <= <Py_ssize_t>(self.taken - self.released):
            raise ValueError(f"{records} records given back, but only {self.taken - self.released} are taken")
        self.release(records)

    def available(self):
        """How many records the producer may push now: enough for half a frame, or none."""
        return self.credit()
