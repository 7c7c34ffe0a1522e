"""lifeline: waits, without the GIL, for the other end of a pipe to be closed; then the process must end."""

from libc.signal cimport SIG_DFL, SIGALRM, signal
from posix.signal cimport sigaddset, sigemptyset, sigset_t
from posix.unistd cimport alarm, getppid

cdef extern from "<signal.h>" nogil:
    const int SIGCONT
    const int SIG_UNBLOCK
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *before)

cdef extern from "<sys/prctl.h>" nogil:
    const int PR_SET_PDEATHSIG
    int prctl(int option, unsigned long value)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout_ms)

cdef enum:
    LOOK_MS = 1000


cdef int until_closed(int fd, int parent, unsigned int grace) noexcept nogil:
    """Return once nobody can write to `fd`, or the parent is another one, with the alarm set that ends the process.

    Whoever forked from the parent may hold the pipe open after it, hence the look at the parent.
    """
    cdef pollfd wanted
    cdef sigset_t alarms
    wanted.fd = fd
    wanted.events = 0  # only that it was closed: nothing more is ever sent
    wanted.revents = 0
    while getppid() == parent and poll(&wanted, 1, LOOK_MS) <= 0:
        pass
    sigemptyset(&alarms)
    sigaddset(&alarms, SIGALRM)
    signal(SIGALRM, SIG_DFL)
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL)
    alarm(grace)
    return 0


def go_on_when_orphaned():
    """Have the kernel let this process go on, should it be stopped, as soon as its parent dies."""
    prctl(PR_SET_PDEATHSIG, SIGCONT)


def wait(int fd, int parent, unsigned int grace):
    """Return when the other end of the pipe `fd` is closed, or `parent` is not the parent process any more.

    From then on the kernel ends this process after `grace` seconds (from 1), whatever its threads do: the
    caller may never get the GIL again. SIGALRM must not be used for anything else in this process.
    """
    with nogil:
        until_closed(fd, parent, grace)
