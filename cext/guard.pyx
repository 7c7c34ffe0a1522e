"""Guard: what an operator does with a record that it could not handle."""

cimport cython


cdef int raise_pending() except -1:
    """Turn the error that a C call has set into an exception that can be caught."""
    return -1


@cython.final
cdef class Sideline:
    """Where a task's operators put what does not go on to the next one: dead letters, what leaves by
    other outputs, and the error that ends it."""

    def __cinit__(self):
        self.letters = []
        self.aside = []

    cpdef lose(self, Py_ssize_t records):
        """Count `records` that go no further: the one that failed, and those in hand behind it."""
        self.lost += records

    def take_letters(self):
        letters, self.letters = self.letters, []
        return letters

    cpdef put_aside(self, Py_ssize_t output, object record):
        """Let `record` leave by the output aside of that number."""
        while len(self.aside) <= output:
            self.aside.append([])
        (<list>self.aside[output]).append(record)
        self.set_aside += 1

    def take_aside(self):
        aside, self.aside = self.aside, []
        self.set_aside = 0
        return aside

    def take_failure(self):
        failure, self.failure = self.failure, None
        return failure


@cython.final
cdef class Guard:
    """One operator's policy: "fail", "skip" or "dead-letter".

    `describe(record, exception)` makes the error to raise, `letter(record, exception)` the dead letter to send.
    """

    def __cinit__(self, str mode not None, describe=None, letter=None):
        modes = {"fail": FAIL, "skip": SKIP, "dead-letter": DEAD_LETTER}
        if mode not in modes:
            raise ValueError(f"on_error is one of {', '.join(map(repr, modes))}, not {mode!r}")
        self.mode = modes[mode]
        self.describe = describe
        self.letter = letter

    cdef bint caught(self, object record, Sideline side) except -1:
        """Handle the error that is set: True to go on with the next record, False to stop before this one."""
        try:
            raise_pending()
        except BaseException as error:
            return self.handle(record, error, side)

    cpdef bint handle(self, object record, object error, Sideline side) except -1:
        """Handle `error`: True to go on with the next record, False to stop before this one."""
        if self.mode == FAIL or not isinstance(error, Exception):
            self.fail(record, error, side)
            return False
        if self.mode == DEAD_LETTER:
            self.lettered += 1
            side.letters.append(error if self.letter is None else self.letter(record, error))
        else:
            self.skipped += 1
        return True

    cdef int fail(self, object record, object error, Sideline side) except -1:
        """End the task with `error`, whatever the policy is."""
        side.failure = self.described(record, error)
        return 0

    cdef object described(self, object record, object error):
        """The error to raise for `error`."""
        return error if self.describe is None else self.describe(record, error)
