"""State: what a process keeps for each key, one value, a list or a map, for ever or for so long.

What is over is not seen any more, and goes when it is looked for or, if nobody does, when the process looks at what
is due. For that each cell that ages has one entry in the process's moments, at a time that is rounded up, so that these
are few; a cell that has grown younger meanwhile is put back.
"""

from collections import OrderedDict
from collections.abc import Mapping
from operator import itemgetter

cimport cython

from cext.instant cimport floor_div
from cext.keyed cimport ABSENT

cdef int64_t STEPS = 16  # that a ttl is divided into: how coarse the times are at which cells are looked at


# Cells: what a row holds.

cdef class Cell(Undoable):
    """The base of what can be over, in whole or in part."""

    cdef bint prune(self, int64_t last) except -1:
        """Let go of what was written at `last` or before; False: nothing is left."""
        raise NotImplementedError

    cdef int64_t oldest(self) except? -1:
        """When what is left was written first."""
        raise NotImplementedError


@cython.final
cdef class Aged(Cell):
    """A value that is over at some time."""

    cdef bint prune(self, int64_t last) except -1:
        return self.written > last

    cdef int64_t oldest(self) except? -1:
        return self.written

    cdef int take_back(self, tuple change) except -1:
        _, self.value, self.written = change
        return 0


@cython.final
cdef class Items(Cell):
    """A list, each of whose items is over at some time or never."""

    cdef bint prune(self, int64_t last) except -1:
        cdef Py_ssize_t over = 0
        while over < len(self.written) and <int64_t>self.written[over] <= last:
            over += 1
        if over:
            del self.items[:over]
            del self.written[:over]
        return len(self.items) > 0

    cdef int64_t oldest(self) except? -1:
        return self.written[0]

    cdef int take_back(self, tuple change) except -1:
        """Either all that there was, or how many came first."""
        if len(change) == 3:
            _, self.items, self.written = change
            return 0
        del self.items[<Py_ssize_t>change[1]:]
        if self.written is not None:
            del self.written[<Py_ssize_t>change[1]:]
        return 0


@cython.final
cdef class Entries(Cell):
    """A dict, each of whose entries is over at some time or never."""

    cdef bint prune(self, int64_t last) except -1:
        while self.written:
            key = next(iter(self.written))
            if <int64_t>self.written[key] > last:
                break
            del self.written[key]
            del self.items[key]
        return len(self.items) > 0

    cdef int64_t oldest(self) except? -1:
        return self.written[next(iter(self.written))]

    cdef int take_back(self, tuple change) except -1:
        _, key, value, written = change
        if value is ABSENT:
            self.items.pop(key, None)
        else:
            self.items[key] = value
        if self.written is not None:
            self.written.pop(key, None)
            if value is not ABSENT:
                self.written[key] = written
                self.written = by_age(self.written)
        return 0


cdef object by_age(object written):
    return OrderedDict(sorted(written.items(), key=itemgetter(1)))


# States: what stands in a class.

cdef class Ageing(State):
    """The base of states whose cells may be over."""

    cdef int replaced(self, Keyed owner, object old, object new) except -1:
        if old is not ABSENT:
            owner.expiring.remove((<Cell>old).due, (owner.key, self.index))
        if new is not ABSENT:
            self._watch(owner, owner.key, <Cell>new)
        return 0

    cdef bint keep(self, Keyed owner, object key, object cell, int64_t now) except -1:
        if not (<Cell>cell).prune(now - self.ttl):
            return False
        self._watch(owner, key, <Cell>cell)
        return True

    cdef int _watch(self, Keyed owner, object key, Cell cell) except -1:
        """See to it that `cell` is looked at when some of it is over."""
        cdef int64_t step = max(1, self.ttl // STEPS)
        cell.due = (floor_div(cell.oldest() + self.ttl - 1, step) + 1) * step
        owner.expiring.add(cell.due, (key, self.index))
        return 0

    cdef int _load(self, Keyed owner, object key, Cell cell) except -1:
        owner.give(key, self.index, cell)
        return self._watch(owner, key, cell) if self.ttl else 0

    cdef list _ages(self, Keyed owner, tuple table, Py_ssize_t at):
        """When what is in a table was written, its column `at`; now, where nobody has noted it."""
        if len(table) > at:
            return table[at]
        return [owner.watermark if owner.has_time else owner.wall] * len(<list>table[0])

    cdef Cell _there(self, Keyed owner):
        """What the key in work has of a state whose cells are Cells, without what is over; None: nothing."""
        cell = owner.cell(self.index)
        if cell is ABSENT:
            return None
        if self.ttl and not (<Cell>cell).prune(owner.now - self.ttl):
            owner.emptied = True
            owner.place(self.index, ABSENT)  # for good, whatever becomes of the record
            return None
        return <Cell>cell


cdef class Value(Ageing):
    """One value for each key; without one it reads as `default`, or as what `factory()` makes and leaves there."""

    def __cinit__(self, *arguments, default=None, factory=None, int64_t ttl=0, bint renews=False, **options):
        self.default = default
        self.factory = factory
        self.ttl = ttl
        self.renews = renews

    def __get__(self, instance, owner):
        if instance is None:
            return self
        cdef Keyed keyed = instance
        if self.ttl:
            cell = self._there(keyed)
            if cell is not None:
                value = (<Aged>cell).value
                if self.renews and (<Aged>cell).written < keyed.now:
                    self._renew(keyed, <Aged>cell, value)
                return value
        else:
            cell = keyed.cell(self.index)
            if cell is not ABSENT:
                return cell
        if self.factory is None:
            return self.default
        value = self.factory()
        self._write(keyed, value)
        return value

    def __set__(self, instance, value):
        self._write(instance, value)

    def __delete__(self, instance):
        (<Keyed?>instance).put(self.index, ABSENT)

    cdef int _write(self, Keyed owner, object value) except -1:
        if not self.ttl:
            return owner.put(self.index, value)
        cdef Aged cell = self._there(owner)
        if cell is None:
            cell = Aged.__new__(Aged)
            cell.value, cell.written = value, owner.now
            return owner.put(self.index, cell)
        return self._renew(owner, cell, value)

    cdef int _renew(self, Keyed owner, Aged cell, object value) except -1:
        if owner.journal is not None:
            owner.journal.append((cell, cell.value, cell.written))
        cell.value, cell.written = value, max(cell.written, owner.now)
        return 0

    cdef object plain(self, object cell):
        return (<Aged>cell).value if self.ttl else cell

    cdef str title(self):
        return f"value {self.name}"

    cdef tuple saved(self, dict rows):
        cdef list keys = [], values = [], written = []
        cdef Py_ssize_t at = self.index
        for key, row in rows.items():
            cell = (<list>row)[at]
            if cell is ABSENT:
                continue
            keys.append(key)
            if self.ttl:
                values.append((<Aged>cell).value)
                written.append((<Aged>cell).written)
            else:
                values.append(cell)
        return (keys, values, written) if self.ttl else (keys, values)

    cdef int load(self, Keyed owner, tuple table) except -1:
        cdef Aged cell
        if not self.ttl:
            for key, value in zip(table[0], table[1], strict=True):
                owner.give(key, self.index, value)
            return 0
        for key, value, written in zip(table[0], table[1], self._ages(owner, table, 2), strict=True):
            cell = Aged.__new__(Aged)
            cell.value, cell.written = value, written
            self._load(owner, key, cell)
        return 0


cdef class Collected(Ageing):
    """The base of states that a view stands for, one for all keys: it shows what the key in work has."""

    def __cinit__(self, *arguments, view=None, int64_t ttl=0, bint renews=False, **options):
        self.view = view
        self.ttl = ttl
        self.renews = renews

    cdef object make_view(self, Keyed owner):
        return self.view(owner, self)

    cdef Cell _make(self, object found, int64_t now):
        """A cell with what stands in `found`."""
        raise NotImplementedError

    def __get__(self, instance, owner):
        if instance is None:
            return self
        cdef Keyed keyed = instance
        if keyed.views is None:
            keyed.cell(self.index)  # which says that there is no key yet
        return keyed.views[self.index]

    def __set__(self, instance, value):
        cdef Keyed keyed = instance
        if keyed.views is not None and value is keyed.views[self.index]:
            return  # what += gives back
        cdef Cell cell = self._make(value, keyed.now)
        keyed.put(self.index, ABSENT)
        if cell is not None:
            keyed.put(self.index, cell)

    def __delete__(self, instance):
        (<Keyed?>instance).put(self.index, ABSENT)


cdef class Listed(Collected):
    """A list for each key, whose items are over one by one."""

    cdef Cell _make(self, object found, int64_t now):
        cdef list items = list(found)
        if not items:
            return None
        cdef Items cell = Items.__new__(Items)
        cell.items = items
        cell.written = [now] * len(items) if self.ttl else None
        return cell

    cdef object plain(self, object cell):
        return (<Items>cell).items

    cdef str title(self):
        return f"list {self.name}"

    cdef tuple saved(self, dict rows):
        cdef list keys = [], items = [], written = []
        cdef Py_ssize_t at = self.index
        for key, row in rows.items():
            cell = (<list>row)[at]
            if cell is not ABSENT:
                keys.extend([key] * len((<Items>cell).items))
                items.extend((<Items>cell).items)
                if self.ttl:
                    written.extend((<Items>cell).written)
        return (keys, items, written) if self.ttl else (keys, items)

    cdef int load(self, Keyed owner, tuple table) except -1:
        cdef dict cells = {}
        cdef Items cell
        for key, item, written in zip(table[0], table[1], self._ages(owner, table, 2), strict=True):
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = self._make((item,), written)
                continue
            cell.items.append(item)
            if self.ttl:
                cell.written.append(written)
        for key, cell in cells.items():
            self._load(owner, key, cell)
        return 0


cdef class Mapped(Collected):
    """A dict for each key, whose entries are over one by one."""

    cdef Cell _make(self, object found, int64_t now):
        cdef dict items = dict(found)
        if not items:
            return None
        cdef Entries cell = Entries.__new__(Entries)
        cell.items = items
        cell.written = OrderedDict.fromkeys(items, now) if self.ttl else None
        return cell

    cdef object plain(self, object cell):
        return (<Entries>cell).items

    cdef str title(self):
        return f"map {self.name}"

    cdef tuple saved(self, dict rows):
        cdef list keys = [], names = [], values = [], written = []
        cdef Py_ssize_t at = self.index
        cdef dict entries
        for key, row in rows.items():
            cell = (<list>row)[at]
            if cell is ABSENT:
                continue
            entries = (<Entries>cell).items
            keys.extend([key] * len(entries))
            names.extend(entries)
            values.extend(entries.values())
            if self.ttl:
                written.extend([(<Entries>cell).written[name] for name in entries])
        return (keys, names, values, written) if self.ttl else (keys, names, values)

    cdef int load(self, Keyed owner, tuple table) except -1:
        cdef dict cells = {}
        cdef Entries cell
        for key, name, value, written in zip(*table[:3], self._ages(owner, table, 3), strict=True):
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = self._make({name: value}, written)
                continue
            cell.items[name] = value
            if self.ttl:
                cell.written[name] = written
        for key, cell in cells.items():
            if self.ttl:
                cell.written = by_age(cell.written)
            self._load(owner, key, cell)
        return 0


# Views: what users read and write.

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
