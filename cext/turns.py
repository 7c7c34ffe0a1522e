"""Turns: how native work that goes on lets other threads have the interpreter's lock."""


def give_way() -> None:
    """Let a thread have the lock that has waited for it long enough; else go on at once.

    The interpreter looks for such a thread where a Python function begins, and then waits until it has the lock.
    Letting go of the lock for a moment does less: it wakes the other, which comes too late, and has to wait anew.
    """
