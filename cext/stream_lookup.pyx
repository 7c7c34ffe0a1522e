"""StreamLookup: the head that looks records up in a table made of the records of other lanes.

The lanes of `tables` bring records of which the last of each key is in the table; those of all others meet their match
in it, as it is then.
"""

cimport cython

from cext.guard cimport Guard

from cext.operator_state import OperatorState


@cython.final
cdef class StreamLookup(Holding):
    """`delete(record)`: whether a record of the table takes its key out of it; `join`, `inner`: those of Lookup.

    `tables` is set before the first frame.
    """

    def __cinit__(
        self,
        str name,
        Guard guard,
        Getter table_key not None,
        Getter key not None,
        join=None,
        bint inner=False,
        delete=None,
    ):
        self.table = {}
        self.table_key = table_key
        self.lookup = Lookup(name, guard, self.table, key, join, inner)
        self.delete = delete
        self.tables = ()

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.frame is None:
            return None
        if self.lane in self.tables:
            return self._learn(limit, side)
        cdef Py_ssize_t start = self.at
        self.at = min(self.frame.records, start + limit)
        self.spent += self.at - start
        return self.lookup.run(self.frame.rows[start:self.at], side)

    cdef list _learn(self, Py_ssize_t limit, Sideline side):
        """Take the frame into the table, which leaves nothing but dead letters."""
        cdef list rows = self.frame.rows
        while self.at < self.frame.records and len(side.letters) < limit:
            try:
                self._put(rows[self.at])
            except BaseException as error:
                if not self.guard.handle(rows[self.at], error, side):
                    break
            self.at += 1
            self.spent += 1
        return []

    # Checkpoints. Every instance has the whole table, so it belongs to no key.

    cpdef object snapshot(self, int64_t checkpoint):
        return OperatorState({}, {"keys": list(self.table), "rows": list(self.table.values())})

    cpdef restore(self, list states):
        _, single = states[0]
        self.table.update(zip(single["keys"], single["rows"], strict=True))

    cdef int _put(self, object row) except -1:
        key = self.table_key.get(row)
        if self.delete is not None and self.delete(row):
            self.table.pop(key, None)
        else:
            self.table[key] = row
        return 0
