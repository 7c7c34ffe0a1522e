"""Views: what users read and write as the list or the map of whichever key is in work."""

from collections.abc import Mapping

from cext.keyed cimport ABSENT


cdef class View:
    """The base: it stands for a state of whichever key is in work."""

    def __cinit__(self, Keyed owner not None, Collected state not None):
        self.owner = owner
        self.state = state

    cdef Cell _cell(self):
        return self.state._there(self.owner)

    def clear(self):
        """Remove all."""
        self.owner.put(self.state.index, ABSENT)


cdef class ListView(View):
    """The list of the key in work."""

    def __class_getitem__(cls, item):
        return cls

    cdef int _note(self, Items cell) except -1:
        """Before any change but at the end."""
        if self.owner.journal is not None:
            written = None if cell.written is None else list(cell.written)
            self.owner.journal.append((cell, list(cell.items), written))
        return 0

    cdef Items _filled(self):
        """The cell, in which there must be something."""
        cell = self._cell()
        if cell is None:
            raise IndexError("the list is empty")
        return <Items>cell

    def __len__(self):
        cdef Items cell = self._cell()
        return 0 if cell is None else len(cell.items)

    def __iter__(self):
        cdef Items cell = self._cell()
        return iter(() if cell is None else cell.items)

    def __getitem__(self, at):
        cdef Items cell = self._cell()
        return ([] if cell is None else cell.items)[at]

    def __setitem__(self, at, item):
        if isinstance(at, slice):
            raise TypeError("a slice of a list state cannot be assigned to: assign the whole list")
        cdef Items cell = self._filled()
        self._note(cell)
        cell.items[at] = item

    def __delitem__(self, at):
        cdef Items cell = self._cell() if isinstance(at, slice) else self._filled()
        if cell is None:
            return
        cdef Py_ssize_t size = len(cell.items)
        if size == (len(cell.items[at]) if isinstance(at, slice) else 1) and cell.items[at] is not ABSENT:
            self.clear()  # a cell is never empty
            return
        self._note(cell)
        del cell.items[at]
        if cell.written is not None:
            del cell.written[at]

    def append(self, item):
        """Add `item` at the end."""
        self.extend((item,))

    def extend(self, items):
        """Add `items` at the end."""
        cdef Keyed owner = self.owner
        cdef list more = list(items)
        cdef Items cell = self._cell()
        if cell is None:
            found = self.state._make(more, owner.now)
            if found is not None:
                owner.put(self.state.index, found)
            return
        if owner.journal is not None:
            owner.journal.append((cell, len(cell.items)))
        cell.items += more
        if cell.written is not None:
            last = cell.written[len(cell.written) - 1]
            cell.written += [max(owner.now, <int64_t>last)] * len(more)

    def insert(self, at, item):
        """Add `item` before the one at `at`, as old as that one is."""
        cdef Items cell = self._cell()
        if cell is None:
            self.append(item)
            return
        cdef Py_ssize_t size = len(cell.items), place = at
        place = min(size, max(0, place + size if place < 0 else place))
        if place == size:
            self.append(item)
            return
        self._note(cell)
        cell.items.insert(place, item)
        if cell.written is not None:
            cell.written.insert(place, cell.written[place])

    def __repr__(self):
        return repr(list(self))


cdef class MapView(View):
    """The dict of the key in work."""

    def __class_getitem__(cls, item):
        return cls

    cdef int _note(self, Entries cell, object key) except -1:
        """Before the entry of `key` changes."""
        if self.owner.journal is not None:
            written = None if cell.written is None else cell.written.get(key)
            self.owner.journal.append((cell, key, cell.items.get(key, ABSENT), written))
        return 0

    cdef int _touch(self, Entries cell, object key) except -1:
        """The entry of `key` counts as written now."""
        cdef int64_t last = next(reversed(cell.written.values()))
        cell.written[key] = max(last, self.owner.now)
        cell.written.move_to_end(key)
        return 0

    def __len__(self):
        cdef Entries cell = self._cell()
        return 0 if cell is None else len(cell.items)

    def __iter__(self):
        return iter(self.keys())

    def __contains__(self, key):
        cdef Entries cell = self._cell()
        return cell is not None and key in cell.items

    def __getitem__(self, key):
        value = self.get(key, ABSENT)
        if value is ABSENT:
            raise KeyError(key)
        return value

    def get(self, key, default=None):
        """The value of `key`, or `default`."""
        cdef Entries cell = self._cell()
        if cell is None:
            return default
        value = cell.items.get(key, ABSENT)
        if value is ABSENT:
            return default
        if self.state.renews and cell.written is not None:
            self._note(cell, key)
            self._touch(cell, key)
        return value

    def __setitem__(self, key, value):
        cdef Entries cell = self._cell()
        if cell is None:
            self.owner.put(self.state.index, self.state._make({key: value}, self.owner.now))
            return
        self._note(cell, key)
        cell.items[key] = value
        if cell.written is not None:
            self._touch(cell, key)

    def __delitem__(self, key):
        cdef Entries cell = self._cell()
        if cell is None or key not in cell.items:
            raise KeyError(key)
        if len(cell.items) == 1:
            self.clear()
            return
        self._note(cell, key)
        del cell.items[key]
        if cell.written is not None:
            del cell.written[key]

    def keys(self):
        """A view of the keys, as of a dict."""
        cdef Entries cell = self._cell()
        return ({} if cell is None else cell.items).keys()

    def values(self):
        """A view of the values, as of a dict."""
        cdef Entries cell = self._cell()
        return ({} if cell is None else cell.items).values()

    def items(self):
        """A view of the entries, as of a dict."""
        cdef Entries cell = self._cell()
        return ({} if cell is None else cell.items).items()

    def __eq__(self, other):
        return isinstance(other, Mapping) and dict(self.items()) == dict(other.items())

    def __repr__(self):
        return repr(dict(self.items()))
