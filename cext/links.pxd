# Links: the sockets by which one worker reaches the others, served from its runner's loop.
from libc.stdint cimport int64_t, uint64_t

from cext.link cimport Peer
from cext.waker cimport Waker


cdef class Wire:
    cdef readonly Peer peer
    cdef object data      # socket that sends it records
    cdef object signals   # socket that sends it signals
    cdef object events    # socket with a message for each connection of `data` that was made, is usable, or has ended
    cdef str user         # what connections of the peer are called, where they have keys
    cdef int connections  # how many there were
    cdef int64_t away_since  # since when there is none that is usable; 0: there is one
    cdef int64_t waits_since  # since when one that was taken waits for the peer's first word; 0: none does
    cdef int64_t looked   # when this was last seen; 0: never

    cdef bint look(self, int64_t now) except -1
    cdef int _note(self, int event, int64_t now) except -1
    cdef bint is_away(self, int64_t now, int64_t patience) noexcept


cdef class Links:
    cdef readonly dict wires     # by the number of the worker at the other end
    cdef object data             # socket on which records come in
    cdef object signals          # socket on which signals come in
    cdef object decode           # (bytes) -> a signal
    cdef object encode           # (signal) -> bytes
    cdef object poll             # (sockets, ms) waits until one has something
    cdef list awaited            # what to poll while nothing moves
    cdef readonly dict refused   # how many messages no peer could be found for, by reason
    cdef bint has_keys           # whether connections are those of known workers
    cdef int64_t patience        # ns without a connection after which a peer is given up
    cdef object out_of_reach     # (worker) -> the error to raise then
    cdef bint has_parked         # since `send`
    cdef readonly uint64_t messages_in
    cdef readonly uint64_t messages_out
    cdef readonly uint64_t bytes_in
    cdef readonly uint64_t bytes_out
    cdef bint closing            # written by any thread

    cdef bint receive(self, int64_t now) except -1
    cdef bint send(self, int64_t now) except -1
    cdef int park(self, Waker waker, int64_t timeout) except -1
    cdef int64_t deadline(self)
    cdef bint drained(self)
    cdef bint _signal_in(self, int64_t now) except -1
    cdef bint _data_in(self, int64_t now) except -1
    cdef int _heard(self, part, int64_t now) except -1
    cdef int _came(self, list parts, int64_t now) except -1
    cdef Wire _wire(self, sender, part)
    cdef int _refuse(self, str reason) except -1
    cdef bint _speak(self, Wire wire, int64_t now) except -1
