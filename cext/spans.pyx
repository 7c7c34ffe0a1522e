"""Spans: panes combined by twos, fours, eights and so on, so that a wide window is made of few parts.

A span of 2**level panes begins at a multiple of its length. It is made once, of its two halves, for all windows that it
is in. The longest is at most a quarter of a window: longer ones would save little, and every length is one more copy of
what is known where panes have few keys in common. Windows of less than eight panes have no spans.
"""

cimport cython


@cython.final
cdef class Spans:
    """The spans of windows of `width` panes; `make_groups()`: fresh groups.

    Panes that are combined are over. Where one is changed nevertheless, that is to be said first.
    """

    def __cinit__(self, make_groups, int64_t width):
        self.make_groups = make_groups
        self.levels = [{}]
        while (<int64_t>4 << len(self.levels)) <= width:
            self.levels.append({})

    def __len__(self):
        """How many spans there are, panes included: a measure of what is kept."""
        return sum([len(level) for level in self.levels])

    cdef int open(self, int64_t index, Groups groups) except -1:
        """There is a pane `index`, and `groups` is what is known of each key in it."""
        self.levels[0][index] = groups
        return 0

    cdef int close(self, int64_t index) except -1:
        """Drop the pane `index`."""
        self.changes(index)
        del self.levels[0][index]
        return 0

    cdef int changes(self, int64_t index) except -1:
        """Drop what was combined of the pane `index`."""
        cdef Py_ssize_t level
        for level in range(1, len(self.levels)):
            (<dict>self.levels[level]).pop(index >> level, None)
        return 0

    cdef Groups combined(self, int64_t first, int64_t end):
        """What is known of each key in panes `first` up to `end`, fresh groups; None: there are no such panes."""
        cdef Groups whole = None, part
        cdef int level
        while first < end:
            level = self._longest(first, end)
            part = self._span(level, first >> level)
            if part is not None:
                if whole is None:
                    whole = self.make_groups()
                whole.merge(part)
            first += <int64_t>1 << level
        return whole

    cdef int _longest(self, int64_t first, int64_t end) noexcept:
        """The level of the longest span that begins with `first` and ends at `end` or before."""
        cdef int level = 0
        cdef int64_t longer = 2
        while level + 1 < len(self.levels) and first % longer == 0 and first + longer <= end:
            level += 1
            longer *= 2
        return level

    cdef Groups _span(self, int level, int64_t index):
        """What is known of each key in a span, not to be changed; None: it has no panes."""
        cdef Groups whole = self.levels[level].get(index), one, other
        if whole is not None or level == 0:
            return whole
        one, other = self._span(level - 1, 2 * index), self._span(level - 1, 2 * index + 1)
        if one is None or other is None:
            return one if other is None else other
        whole = self.make_groups()
        whole.merge(one)
        whole.merge(other)
        self.levels[level][index] = whole
        return whole
