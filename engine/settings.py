"""Settings: the numbers of a job that have good defaults and that hardly anybody must change."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from engine.durations import Duration, nanoseconds

_COUNTS = ("frame_records", "frame_bytes", "max_window", "max_window_bytes", "max_record_bytes", "max_parallelism")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits that hold for a whole job.

    `frame_records`: records of a full frame; `linger`: how long a record may wait for a fuller frame or batch;
    `target_delay`: how long records may lie between source and sink once a slow sink has filled the job;
    `max_window`: the most records that one channel may hold, so a link carries no more in a round trip;
    `max_parallelism`: the number of key groups, which bounds the parallelism of whatever is keyed and never changes
    over a job's life; `max_drift`: how far one input of a window or join may be ahead of another in event time: it is
    read no further until the other has come closer, so that what they are apart is not kept in memory (None: it is).

    Between processes: `max_window_bytes`: the most encoded bytes that one channel may hold (one record may always go
    alone); `frame_bytes`: a frame whose encoding is larger crosses in pieces; `max_record_bytes`: a record whose
    encoding is larger fails the operator that gave it; `combine_keys`: for how many keys an aggregate holds partial
    results where its records come from, 0: it sends records; `silence`: a worker that says nothing for so long counts
    as lost; `beat`: how often one says what it has done, so by no more than that `Job.metrics()` is behind.

    `listen`: the IP address at which the processes listen to each other, on ports that the system chooses, encrypted
    and open only to keys made for this job; without it they use files in a directory that only the user can enter.

    >>> Settings(target_delay="50ms").target_delay
    '50ms'
    """

    frame_records: int = 1024
    linger: Duration = "1ms"
    target_delay: Duration = "200ms"
    max_window: int = 8192
    max_window_bytes: int = 8 * 2**20
    frame_bytes: int = 256 * 2**10
    max_record_bytes: int = 64 * 2**20
    max_parallelism: int = 128
    combine_keys: int = 65_536
    max_drift: Duration | None = "1m"
    silence: Duration = "30s"
    listen: str = ""
    beat: Duration = "100ms"

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"Settings.{name} is a whole number from 1, not {getattr(self, name)!r}")
        if not isinstance(self.combine_keys, int) or self.combine_keys < 0:
            raise ValueError(f"Settings.combine_keys is a whole number from 0, not {self.combine_keys!r}")
        if nanoseconds(self.target_delay) == 0:
            raise ValueError("Settings.target_delay must be more than zero: in no time nothing can be in flight")
        for name in ("silence", "beat"):
            if nanoseconds(getattr(self, name)) == 0:
                raise ValueError(f"Settings.{name} must be more than zero: a worker cannot speak all the time")
        nanoseconds(self.linger)
        if self.max_drift is not None and nanoseconds(self.max_drift) % 10**6:
            raise ValueError(f"Settings.max_drift is in whole milliseconds, as event time is, not {self.max_drift!r}")
        if self.listen and not _is_one_host(self.listen):
            raise ValueError(f"Settings.listen is an IP address of this machine, like 127.0.0.1, not {self.listen!r}")

    @property
    def linger_ns(self) -> int:
        """`linger` in nanoseconds."""
        return nanoseconds(self.linger)

    @property
    def max_drift_ms(self) -> int | None:
        """`max_drift` in milliseconds."""
        return None if self.max_drift is None else nanoseconds(self.max_drift) // 10**6

    @property
    def beat_s(self) -> float:
        """`beat` in seconds."""
        return nanoseconds(self.beat) / 1e9

    @property
    def target_delay_s(self) -> float:
        """`target_delay` in seconds."""
        return nanoseconds(self.target_delay) / 1e9


def _is_one_host(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (found.is_unspecified or found.is_multicast)
