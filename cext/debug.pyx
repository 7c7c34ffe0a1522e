"""Counts of the core's live objects in a debug build: the leak detector of the tests."""

cdef long long live[<int>KINDS]


cdef void born(Kind kind) noexcept:
    live[<int>kind] += 1


cdef void died(Kind kind) noexcept:
    live[<int>kind] -= 1


def enabled():
    """Whether this is a debug build (HEADGATE_DEBUG=1)."""
    return bool(HEADGATE_DEBUG)


def live_objects():
    """How many objects of each kind are alive; all zero in a release build, which does not count."""
    return {
        "frames": live[<int>FRAMES],
        "channels": live[<int>CHANNELS],
        "tasks": live[<int>TASKS],
        "runners": live[<int>RUNNERS],
    }
