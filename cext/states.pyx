"""States: what a process keeps for each key, one value, a list or a map, for ever or for so long.

What is over is not seen any more, and goes when it is looked for or, if nobody does, when the process looks at what
is due. For that each cell that ages has one entry in the process's moments, at a time that is rounded up, so that these
are few; a cell that has grown younger meanwhile is put back.
"""

from collections import OrderedDict

from cext.cells cimport by_age
from cext.instant cimport floor_div
from cext.keyed cimport ABSENT

cdef int64_t STEPS = 16  # that a ttl is divided into: how coarse the times are at which cells are looked at


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

    cpdef str title(self):
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

    cpdef str title(self):
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

    cpdef str title(self):
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
