"""One piece of work that is done in a thread of its own, for a connector that has to wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Does `work` at once, beside what its owner does next.

    >>> done = []
    >>> work = Background(lambda: done.append(1), "an example")
    >>> work.wait()
    >>> done
    [1]
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._error: BaseException | None = None
        # A daemon: a server that never answers keeps no process that is about to end.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Until it is over; raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
