"""Testing: what tests of flows need that jobs do not, so far a clock that is moved by hand."""

from __future__ import annotations

from datetime import datetime

from cext import processing_time
from cext.getter import Getter
from cext.instant import Instant
from engine.durations import Duration, nanoseconds

_INSTANT = Instant(Getter())


class ManualClock(processing_time.ManualClock):
    """Processing time that stands still until a test moves it: `flow.run(clock=clock)`, `flow.start(clock=clock)`.

    Windows and timers in processing time go by it, and become due as it is moved. Whatever else the engine waits for,
    such as `Settings.linger` and `idle_after`, goes by the machine's own clock. It belongs to one process. `time`:
    where it begins, a datetime with a zone or milliseconds since the epoch.

    >>> clock = ManualClock()
    >>> clock.advance("10s")
    >>> clock.set(datetime.fromisoformat("2024-05-01T12:00:00Z"))
    >>> clock.now
    1714564800000
    """

    def __new__(cls, time: datetime | int = 0) -> ManualClock:
        return super().__new__(cls, _INSTANT(time))

    @property
    def now(self) -> int:
        """What it shows, in milliseconds since the epoch."""
        return self.read()

    def set(self, time: datetime | int) -> None:
        """It is `time` from now on. ValueError where that is earlier than it is already."""
        self.move(_INSTANT(time))

    def advance(self, duration: Duration) -> None:
        """It is later by so much from now on."""
        milliseconds, rest = divmod(nanoseconds(duration), 10**6)
        if rest:
            raise ValueError(f"a clock moves by whole milliseconds, not by {duration!r}")
        self.move(self.now + milliseconds)
