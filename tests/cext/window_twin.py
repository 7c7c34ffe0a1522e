"""The window's law once more, in Python, with everything that it depends on in plain sight; and laws that are worse."""

from __future__ import annotations

from collections import deque

from tests.cext.simulation import MS, PERIOD


class Twin:
    """The law as it is written down."""

    def __init__(self, share: float, most: int, frame: int, batch: int = 0, now: int = 0) -> None:
        self.share, self.most, self.frame = share, most, frame
        self.least = self.floor = min(most, max(16, 2 * batch))
        self.rates: deque[float] = deque([0.0] * 20, maxlen=20)
        self.best = self.mean = 0.0
        self.round_trip = self.under_way = self.fed = 0
        self.size = self.within(2 * frame)
        self.since, self.seen = now, 0

    def within(self, size: int) -> int:
        return min(self.most, max(self.floor, self.under_way, size))

    def update(self, now: int, released: int, starved: bool, blocked: bool) -> int:
        periods = min(20, max(1, (now - self.since) // (PERIOD * MS)))  # a long one counts as all that it lasted
        self.rates.extend([(released - self.seen) * 1e9 / max(1, now - self.since)] * periods)
        self.since, self.seen = now, released
        self.best, self.mean = max(list(self.rates)[10:]), 0.0
        for each in reversed(self.rates):  # in this order: sums of floats depend on it
            self.mean += each / 20
        self.fed = 0 if starved else self.fed + periods
        self.under_way = int(min(self.most, self.best * 1e-9 * self.there_and_back()))
        if not starved:
            for _ in range(periods):
                self.size = self.within((self.size + int(self.rate() * self.share)) // 2)
        elif blocked:
            self.size = self.within(2 * self.size)
        else:
            self.size = self.within(max(self.frame, int(2 * self.best * self.share)))
        return self.size

    def rate(self) -> float:
        """What a consumer that is the bottleneck is held to take."""
        return self.mean if self.fed >= 20 else self.best

    def there_and_back(self) -> float:
        return 1.25 * self.round_trip + min(10 * MS, 1e9 * self.share)

    def want(self, batch: int) -> None:
        self.floor = min(self.most, max(self.least, 2 * batch))
        self.size = self.within(self.size)


class LastPeriod(Twin):
    """Follows the last period, and holds nothing ready for a consumer that comes back."""

    def rate(self) -> float:
        return self.rates[-1]

    def there_and_back(self) -> float:
        return 0.0


class Greatest(Twin):
    """Holds a consumer to be always as fast as in its best period."""

    def rate(self) -> float:
        return self.best


class MeanAlone(Twin):
    """Takes the mean for what a consumer can do even where it was out of records."""

    def rate(self) -> float:
        return self.mean
