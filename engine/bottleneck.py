"""The bottleneck: which operator sets the pace of a job, and why; a pure function of its metrics.

1. A source *waits* if it is back-pressured for a tenth of its time or more: whatever sets the pace of a job stops its
   sources in the end, and what waits in between, while no source does, is on time. What holds it up is behind it, and
   does not itself wait for longer than it works. Of all instances of tasks there, the bottleneck is the one whose
   thread is busiest; of equals, that nearest the sinks; of those on one thread, the busiest. If they took nothing at
   all they are stuck. If none of their threads is short of time, and the link to one is long and full for most of the
   time, the link is to blame: its window is as large as `Settings` allow. A source that waits for less than half of
   its time may be the bottleneck itself: it counts as busy while it does not wait, since it has nothing else to wait
   for but what it reads.
   None of this where an operator there leaves records on inputs for half of its time, since another input is behind in
   event time, and no thread is short of time: then sources of that one are the slow side.
2. If no source waits, credit holds nobody up. A thread that reads and is busy for nine tenths of its time is the
   bottleneck, by what takes most of that; else the sources give no more than they do; else, where these have ended,
   or had for most of the time, what works on sets the pace.

Encoding and decoding are done by the thread that links share. Where a source or a sink has a thread of its own, that
is a second thread that works for it; the busier one is what counts.

How busy a thread is counts by the time that the longest-lived instance ran, so what ended early weighs little.

Where a thread that several tasks share is to blame, and none of their operators for most of it, the thread is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.layout import HOME
from engine.loads import Loads, Place, Thread, runs

if TYPE_CHECKING:
    from engine.metrics import JobMetrics

SATURATED = 0.9
MOST = 0.5
"""Of a thread's time: what an operator takes that is named for it, and for how much of it a link is full that is."""
_NAMED = 3
"""How many operators are named that share a thread."""


@dataclass(frozen=True)
class Finding:
    """What sets the pace: `operator`, by name, or None where a shared thread or a link does; `worker`: in that process,
    or to it, or None where it does so in each in which it runs. `sentence` says it, and why."""

    sentence: str
    operator: str | None = None
    worker: int | None = None


@dataclass(frozen=True)
class _Culprit:
    """An operator in one place, or all that share the thread of that."""

    place: Place
    operator: str | None
    thread: Thread
    """Where, as a place may have a thread of its own and work done by that of the links."""

    @property
    def codes(self) -> bool:
        """Whether it is the work of the links for it."""
        return self.thread != self.place.thread


def find(metrics: JobMetrics) -> Finding | None:
    """What sets the pace of the job over the time that `metrics` cover; None where nothing has run."""
    return _Search(metrics).find()


class _Search:
    def __init__(self, metrics: JobMetrics) -> None:
        self.metrics = metrics
        self.loads = Loads(metrics)
        self.now = metrics.state == "running"

    def find(self) -> Finding | None:
        reading = [each for each in self.loads.places if each.reads and runs(each.it)]
        waiting = [each for each in reading if each.waits]
        if waiting:
            return self._waiting(waiting)
        if reading and max(map(self.loads.life, reading)) >= MOST:
            return self._reading(reading)
        left = [each for each in self.loads.places if runs(each.it) and (each.it.queued or not self.now)]
        return self._ending(self.loads.busiest(left)) if left else None

    def _waiting(self, waiting: list[Place]) -> Finding:
        """Sources wait: for whom, if not for themselves?"""
        behind = self.loads.behind({each.at for each in waiting})
        fullest = max(behind, key=lambda each: each.it.capped)
        busiest = self.loads.busiest(
            [each for each in behind if not each.is_held_up]
            + [each for each in waiting if each.it.backpressured < MOST or each.coding >= MOST]
        )
        late = self._late(behind)
        if late is not None and self.loads.load[self.loads.busier(busiest)] < SATURATED:
            return late
        if busiest.reads and busiest.coding < MOST:
            return self._reading([busiest])
        if fullest.it.capped >= MOST and self.loads.use(busiest) < SATURATED:
            return self._full(fullest)
        return self._held_up(busiest, max(each.it.backpressured for each in waiting))

    def _late(self, behind: list[Place]) -> Finding | None:
        """Of the places `behind` sources that wait one holds these back for others, which are: None, if none does."""
        place = max(behind, key=lambda each: each.it.drift)
        sources = self.loads.before(place.at)
        late = [each for each in self.loads.places if each.at in sources and runs(each.it) and not each.waits]
        if place.it.drift < MOST or not late:
            return None
        found = self._reading(late)
        hold = "holds" if self.now else "held"
        who = self._called(place.task.operators[0])
        return Finding(
            f"{found.sentence}; {who} {hold} back what {self._is()} ahead of it in event time", found.operator
        )

    # The three cases.

    def _held_up(self, place: Place, share: float) -> Finding:
        """A source waits for credit for that share of its time, and `place` gives too little of it."""
        wait = "waits" if self.now else "waited"
        waits = f"{'it' if place.reads else 'everything before it'} {wait} for credit"
        if share < MOST:
            waits = f"what is before it {wait} for credit {_percent(share)} of the time"
        if self.now and not any(each.it.rate_in or each.it.rate_out for each in self.loads.places):
            name = self.loads.heaviest(place)
            who, seconds = f"{self._called(name)}{_on(place)}", self.metrics.seconds
            queued = f"{place.it.queued:,} records queued"
            sentence = f"nothing moves: {who} has finished nothing for {seconds:.1f} s, with {queued}, and {waits}"
            return Finding(sentence, name, place.it.worker)
        culprit = self._culprit(place)
        return self._found(culprit, f"{self._is_the_bottleneck(culprit)}, and {waits}{self._sources()}")

    def _full(self, place: Place) -> Finding:
        """The link to `place` is long, and its window holds too little for that."""
        link = f"the link to {self._called(place.task.operators[0])}{_on(place)}"
        sentence = (
            f"the window of {link} {self._is()} the bottleneck: full {_percent(place.it.capped)} of the time, "
            "for what it holds takes so long there and back; raise Settings.max_window, and max_window_bytes where "
            f"records are large{self._sources()}"
        )
        return Finding(sentence, worker=place.it.worker)

    def _reading(self, reading: list[Place]) -> Finding:
        """Credit is not short: a thread that reads has no time left, or there is no more to read."""
        busiest = max(reading, key=lambda each: (self.loads.load[each.thread], each.it.busy))
        culprit = self._culprit(busiest)
        names = list(dict.fromkeys(each.task.operators[0] for each in reading))
        if self.loads.load[culprit.thread] >= SATURATED and (culprit.codes or culprit.operator not in names):
            return self._found(culprit, f"{self._is_the_bottleneck(culprit)}{self._sources()}")
        shown = max(reading, key=lambda each: each.it.busy * self.loads.life(each))
        times = _times(shown) + "," if shown.others and len(names) == 1 else ""
        why = f"busy {_percent(shown.it.busy)}{times} and back-pressured {_percent(shown.it.backpressured)} of the time"
        if len(names) == 1:
            return Finding(f"source {names[0]!r} {self._is()} the slow side: {why}{self._sources('it')}", names[0])
        listed = f"{', '.join(map(repr, names[:-1]))} and {names[-1]!r}"
        are = "are" if self.now else "were"
        return Finding(f"the sources {listed} {are} the slow side: the busiest {why}{self._sources()}")

    def _ending(self, place: Place) -> Finding:
        """Nothing reads any more, or nothing read for most of the time."""
        culprit = self._culprit(place)
        who, why = self._who(culprit), self._why(culprit)
        if not self.now:
            return self._found(culprit, f"the sources ended early, and {who} set the pace: {why}")
        queued = sum(each.it.queued for each in self.loads.places)
        return self._found(
            culprit, f"the sources have ended, and {who} sets the pace: {why}; {queued:,} records queued"
        )

    # Who it is.

    def _culprit(self, place: Place) -> _Culprit:
        thread = self.loads.busier(place)
        load = self.loads.load[thread]
        if load < SATURATED:  # the thread has time left: it is the operator that makes others wait
            return _Culprit(place, self.loads.heaviest(place), thread)
        share, name, where = max(self.loads.shares(thread), key=lambda each: each[0])
        return _Culprit(where, name, thread) if share >= MOST * load else _Culprit(place, None, thread)

    # What to say.

    def _found(self, culprit: _Culprit, sentence: str) -> Finding:
        place = culprit.place
        return Finding(sentence, culprit.operator, place.it.worker if self._names_worker(culprit) else None)

    def _names_worker(self, culprit: _Culprit) -> bool:
        return culprit.operator is None or culprit.place.is_alone

    def _is(self) -> str:
        return "is" if self.now else "was"

    def _is_the_bottleneck(self, culprit: _Culprit) -> str:
        return f"{self._who(culprit)} {self._is()} the bottleneck: {self._why(culprit)}"

    def _who(self, culprit: _Culprit) -> str:
        place = culprit.place
        if culprit.operator is not None:
            return self._called(culprit.operator) + (_on(place) if place.is_alone else "")
        if culprit.thread != place.common:
            return f"the thread of {self._called(place.task.operators[0])}{_on(place)}"
        return f"the thread that operators{_on(place)} share"

    def _called(self, name: str) -> str:
        return f"{self.loads.operators[name].kind} {name!r}"

    def _why(self, culprit: _Culprit) -> str:
        place = culprit.place
        if culprit.operator is None:
            shares = sorted(self.loads.shares(culprit.thread), key=lambda each: -each[0])[:_NAMED]
            parts = ", ".join(f"{name!r} {_percent(share)}" for share, name, _ in shares)
            return f"busy {_percent(self.loads.load[culprit.thread])} ({parts})"
        if culprit.codes:
            return f"to encode or decode its records takes {_percent(place.coding)} of the thread that links share"
        busy, load = place.it.busy, self.loads.load[culprit.thread]
        of = f", of a thread that is busy {_percent(load)}" if load >= SATURATED > busy else ""
        if place.is_alone:
            others = f"its {len(place.others)} others" if len(place.others) > 1 else "its other instance"
            return f"busy {_percent(busy)}{of}, {others} at most {_percent(max(place.others))}"
        return f"busy {_percent(busy)}{of}{_times(place)}"

    def _sources(self, who: str = "") -> str:
        """How much is read, by `who` or else by whichever sources there are."""
        if not self.now:  # the summary says how much they read
            return ""
        rates = [each.rate_out for each in self.metrics.operators if each.kind == "source"]
        reads = f"{who or 'its source'} reads" if len(rates) == 1 else f"the {len(rates)} sources read"
        return f"; {reads} {sum(rates):,.0f}/s"


def _times(place: Place) -> str:
    return f", the busiest of its {len(place.others) + 1} instances" if place.others else ""


def _on(place: Place) -> str:
    return " at home" if place.it.worker == HOME else f" on worker {place.it.worker}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
