"""Kept: records that wait for event time to pass, and an agenda of them."""

cimport cython


@cython.final
@cython.no_gc  # whatever it refers to refers to no join, so it is in no cycle; with millions of them that counts
@cython.freelist(256)
cdef class Kept:
    """A record that is kept, with its key and its time."""


cdef Kept keep(object key, object row, int64_t time):
    cdef Kept kept = Kept.__new__(Kept)
    kept.key = key
    kept.row = row
    kept.time = time
    return kept


cdef inline bint is_before(Kept one, Kept other) noexcept:
    return one.time < other.time or (one.time == other.time and one.number < other.number)


@cython.final
cdef class Agenda:
    """Kept records, the earliest first; those of one time as they came. A heap, as that of heapq, without calls."""

    def __cinit__(self):
        self.heap = []

    def __len__(self):
        return len(self.heap)

    cdef int put(self, Kept kept) except -1:
        cdef list heap = self.heap
        cdef Py_ssize_t at = len(heap), above
        kept.number = self.count
        self.count += 1
        heap.append(kept)
        while at > 0:
            above = (at - 1) >> 1
            if not is_before(kept, <Kept>heap[above]):
                break
            heap[at] = heap[above]
            at = above
        heap[at] = kept
        return 0

    cdef bint has_before(self, int64_t time) noexcept:
        """Whether there is a record earlier than `time`."""
        return len(self.heap) > 0 and (<Kept>self.heap[0]).time < time

    cdef Kept pop_before(self, int64_t time):
        """The first record, which is there no more, if it is earlier than `time`; else None."""
        return self._pop() if self.has_before(time) else None

    cdef Kept _pop(self):
        cdef list heap = self.heap
        cdef Kept first = <Kept>heap[0], last = <Kept>heap.pop()
        cdef Py_ssize_t at = 0, below = 1, count = len(heap)
        while below < count:
            if below + 1 < count and is_before(<Kept>heap[below + 1], <Kept>heap[below]):
                below += 1
            if not is_before(<Kept>heap[below], last):
                break
            heap[at] = heap[below]
            at = below
            below = 2 * at + 1
        if count:
            heap[at] = last
        return first

    # For tests.

    def add(self, row, int64_t time):
        self.put(keep(None, row, time))

    def take_before(self, int64_t time):
        """The rows of all records earlier than `time`."""
        rows = []
        while self.has_before(time):
            rows.append(self._pop().row)
        return rows
