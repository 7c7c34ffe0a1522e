"""The bottleneck: who is named for which figures, and what is said of it."""

from __future__ import annotations

from typing import Literal

import pytest

from engine import JobMetrics, OperatorMetrics
from engine.bottleneck import find
from engine.metrics import InstanceMetrics, TaskMetrics

State = Literal["running", "finished"]
Figures = tuple[float, float] | tuple[float, float, int]


def task(
    names: str,
    after: tuple[int, ...],
    *instances: Figures,
    own: bool = True,
    rate: float = 100.0,
    queued: int = 0,
    capped: float = 0.0,
    lives: float = 1.0,
    coding: float = 0.0,
    drift: float = 0.0,
) -> TaskMetrics:
    """One with instances that are busy and back-pressured so much, on worker 1 or the one that is given third."""
    others = queued, capped, lives, coding, drift
    made = [
        InstanceMetrics(each[2] if len(each) == 3 else 1, each[0], _rest(each), each[1], rate, rate, *others)
        for each in instances
    ]
    return TaskMetrics(tuple(names.split()), after, 8192 if after else 0, own, tuple(made))


def _rest(each: Figures) -> float:
    return 0.0 if each[:2] == (0.0, 0.0) else 1.0 - each[0] - each[1]


def metrics(*tasks: TaskMetrics, state: State = "running", busy: dict[str, float] | None = None) -> JobMetrics:
    """A job of these tasks, whose operators share the busy time of their task or have that of `busy`."""
    operators = []
    for each in tasks:
        for name in each.operators:
            kind = "source" if not each.after else "sink" if name.startswith("load") else "map"
            rate = sum(instance.rate_out for instance in each.instances)
            share = (busy or {}).get(name, sum(instance.busy for instance in each.instances) / len(each.operators))
            operators.append(OperatorMetrics(name, 0, 0, 0, 0, 0, share, rate_out=rate, kind=kind))
    return JobMetrics(state, 1.0, tuple(operators), 0, 0, 0, 0, 0, tasks=tasks)


READ, PARSE = task("read", (), (0.01, 0.98)), task("parse", (0,), (0.05, 0.94, 2))

CASES = {
    "a sink": (
        metrics(READ, PARSE, task("load", (1,), (0.99, 0.0, 3))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 99 %, and everything before it waits for credit; its source reads 100/s",
    ),
    "a sink, in a job that has ended": (
        metrics(READ, PARSE, task("load", (1,), (0.99, 0.0, 3)), state="finished"),
        ("load", None),
        "sink 'load' was the bottleneck: busy 99 %, and everything before it waited for credit",
    ),
    "an input that another one waits for in event time": (
        metrics(READ, task("late", (), (0.1, 0.02)), task("join", (0, 1), (0.05, 0.0, 2), drift=0.9)),
        ("late", None),
        "source 'late' is the slow side: busy 10 % and back-pressured 2 % of the time; the 2 sources read 200/s; "
        "map 'join' holds back what is ahead of it in event time",
    ),
    "inputs that wait for each other in event time, of a job that has ended": (
        metrics(READ, task("late", (), (0.1, 0.02)), task("join", (0, 1), (0.05, 0.0), drift=0.9), state="finished"),
        ("late", None),
        "source 'late' was the slow side: busy 10 % and back-pressured 2 % of the time; "
        "map 'join' held back what was ahead of it in event time",
    ),
    "an instance of a source that another one waits for": (
        metrics(task("read", (), (0.01, 0.98, 1), (0.7, 0.01, 2)), task("window", (0,), (0.1, 0.0), drift=0.6)),
        ("read", None),
        "source 'read' is the slow side: busy 70 %, the busiest of its 2 instances, and back-pressured 1 % of the "
        "time; it reads 200/s; map 'window' holds back what is ahead of it in event time",
    ),
    "a thread that is busy though an input waits for another one": (
        metrics(
            READ,
            task("late", (), (0.1, 0.02)),
            task("join", (0, 1), (0.05, 0.0, 2), drift=0.6),
            task("load", (2,), (0.95, 0.0, 2)),
        ),
        ("load", None),
        "sink 'load' is the bottleneck: busy 95 %, and everything before it waits for credit; the 2 sources read 200/s",
    ),
    "an input that waits for another one, which waits for something else": (
        metrics(READ, task("late", (), (0.1, 0.6)), task("join", (0, 1), (0.3, 0.0, 2), drift=0.6)),
        ("join", None),
        "map 'join' is the bottleneck: busy 30 %, and everything before it waits for credit; the 2 sources read 200/s",
    ),
    "an operator in the middle": (
        metrics(READ, task("parse", (0,), (0.97, 0.0, 2)), task("load", (1,), (0.2, 0.0, 3))),
        ("parse", None),
        "map 'parse' is the bottleneck: busy 97 %, and everything before it waits for credit; its source reads 100/s",
    ),
    "an operator that waits a little itself": (
        metrics(READ, task("parse", (0,), (0.85, 0.15, 2)), task("load", (1,), (0.5, 0.0, 3))),
        ("parse", None),
        "map 'parse' is the bottleneck: busy 85 %, and ",
    ),
    "the one of a task's operators that takes most": (
        metrics(READ, task("clean parse", (0,), (0.98, 0.0, 2)), busy={"clean": 0.2, "parse": 0.78}),
        ("parse", None),
        "map 'parse' is the bottleneck: busy 98 %, and ",
    ),
    "one of those that share a thread with time left": (
        metrics(READ, task("parse", (0,), (0.8, 0.0, 2), own=False), task("load", (1,), (0.02, 0.0, 2), own=False)),
        ("parse", None),
        "map 'parse' is the bottleneck: busy 80 %, and everything before it waits for credit",
    ),
    "one of two branches": (
        metrics(READ, task("load-a", (0,), (0.1, 0.0, 2)), task("load-b", (0,), (0.95, 0.0, 3))),
        ("load-b", None),
        "sink 'load-b' is the bottleneck",
    ),
    "one of three instances": (
        metrics(READ, task("load", (0,), (0.12, 0.0, 2), (0.99, 0.0, 3), (0.1, 0.0, 4))),
        ("load", 3),
        "sink 'load' on worker 3 is the bottleneck: busy 99 %, its 2 others at most 12 %, and everything before it ",
    ),
    "one of two instances": (
        metrics(READ, task("load", (0,), (0.99, 0.0, 0), (0.1, 0.0, 4))),
        ("load", 0),
        "sink 'load' at home is the bottleneck: busy 99 %, its other instance at most 10 %, and everything before ",
    ),
    "all of three instances": (
        metrics(READ, task("load", (0,), (0.95, 0.0, 2), (0.99, 0.0, 3), (0.97, 0.0, 4))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 99 %, the busiest of its 3 instances, and everything before it waits ",
    ),
    "nobody is busy, and yet credit is short": (
        metrics(READ, task("load", (0,), (0.3, 0.0, 2))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 30 %, and everything before it waits for credit",
    ),
    "a link with a long way": (
        metrics(READ, PARSE, task("load", (1,), (0.3, 0.0, 3), capped=0.92)),
        (None, 3),
        "the window of the link to sink 'load' on worker 3 is the bottleneck: full 92 % of the time, for what it holds "
        "takes so long there and back; raise Settings.max_window, and max_window_bytes where records are large; its ",
    ),
    "a link with a long way, in a job that has ended": (
        metrics(READ, task("load", (0,), (0.3, 0.0, 3), capped=0.5), state="finished"),
        (None, 3),
        "the window of the link to sink 'load' on worker 3 was the bottleneck: full 50 % of the time, for what it ",
    ),
    "a link with a long way that is full now and then": (
        metrics(READ, PARSE, task("load", (1,), (0.3, 0.0, 3), capped=0.4)),
        ("load", None),
        "sink 'load' is the bottleneck: busy 30 %",
    ),
    "a link with a long way, behind a source that seldom waits for it": (
        metrics(task("read", (), (0.72, 0.12)), task("load", (0,), (0.1, 0.0, 3), capped=0.86)),
        ("read", None),
        "source 'read' is the slow side: busy 72 % and back-pressured 12 % of the time; it reads 100/s",
    ),
    "a link with a long way, and an operator without time": (
        metrics(READ, task("load-a", (0,), (0.2, 0.0, 2), capped=0.6), task("load-b", (0,), (0.95, 0.0, 3))),
        ("load-b", None),
        "sink 'load-b' is the bottleneck: busy 95 %",
    ),
    "a source that has no more to give": (
        metrics(task("read", (), (0.05, 0.0)), task("load", (0,), (0.1, 0.0, 2))),
        ("read", None),
        "source 'read' is the slow side: busy 5 % and back-pressured 0 % of the time; it reads 100/s",
    ),
    "a source that takes all of its thread": (
        metrics(task("read", (), (0.98, 0.01)), task("load", (0,), (0.1, 0.0, 2))),
        ("read", None),
        "source 'read' is the slow side: busy 98 % and back-pressured 1 % of the time; it ",
    ),
    "a source that is busier than what holds it up now and then": (
        metrics(
            task("read", (), (0.69, 0.16, 1), (0.75, 0.02, 2)),
            task("keep", (0,), (0.03, 0.11, 1), (0.03, 0.02, 2), own=False),
            task("load", (1,), (0.11, 0.0, 1), (0.08, 0.0, 2), own=False),
        ),
        ("read", None),
        "source 'read' is the slow side: busy 69 %, the busiest of its 2 instances, and back-pressured 16 % of the ",
    ),
    "what waits behind a source that does not": (
        metrics(task("read", (), (0.69, 0.0)), task("keep", (0,), (0.03, 0.6, 1)), task("load", (1,), (0.11, 0.0, 2))),
        ("read", None),
        "source 'read' is the slow side: busy 69 % and back-pressured 0 % of the time",
    ),
    "a source that waits though nobody has much to do": (
        metrics(task("read", (), (0.35, 0.6)), task("load", (0,), (0.3, 0.0, 2))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 30 %, and everything before it waits for credit",
    ),
    "a source that waits about as long as it works": (
        metrics(task("read", (), (0.5, 0.45)), task("load", (0,), (0.95, 0.0, 2))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 95 %, and what is before it waits for credit 45 % of the time; its ",
    ),
    "far behind what waits": (
        metrics(READ, task("parse", (0,), (0.05, 0.4, 2)), task("load", (1,), (0.97, 0.0, 3))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 97 %",
    ),
    "the encoding of a source with a thread of its own": (
        metrics(task("read", (), (0.02, 0.95), coding=0.94), task("load", (0,), (0.1, 0.0, 2))),
        ("read", None),
        "source 'read' is the bottleneck: to encode or decode its records takes 94 % of the thread that links share, "
        "and it waits for credit; ",
    ),
    "the decoding of a sink with a thread of its own": (
        metrics(READ, task("parse", (0,), (0.02, 0.9, 2)), task("load", (1,), (0.1, 0.0, 3), coding=0.94)),
        ("load", None),
        "sink 'load' is the bottleneck: to encode or decode its records takes 94 % of the thread that links share, ",
    ),
    "a thread that links share with operators": (
        metrics(
            READ,
            task("parse", (0,), (0.5, 0.2, 2), own=False),
            task("load", (1,), (0.1, 0.0, 2), coding=0.45),
        ),
        ("parse", None),
        "map 'parse' is the bottleneck: busy 50 %, of a thread that is busy 95 %",
    ),
    "a quiet source beside one that waits": (
        metrics(task("quiet", (), (0.0, 0.0)), READ, task("load", (0, 1), (0.9, 0.0, 2))),
        ("load", None),
        "sink 'load' is the bottleneck: busy 90 %",
    ),
    "sources that ended early, in a job that has ended": (
        metrics(task("read", (), (0.9, 0.05), lives=0.1), task("load", (0,), (0.97, 0.0, 2)), state="finished"),
        ("load", None),
        "the sources ended early, and sink 'load' set the pace: busy 97 %",
    ),
    "a part of the source that ended early": (
        metrics(
            task("read", (), (0.9, 0.05), lives=0.1),
            task("other", (), (0.3, 0.0)),
            task("load", (0, 1), (0.2, 0.0, 2)),
            state="finished",
        ),
        (None, None),
        "the sources 'read' and 'other' were the slow side: the busiest busy 30 % and back-pressured 0 % of the time",
    ),
    "two sources": (
        metrics(task("a", (), (0.05, 0.0)), task("b", (), (0.2, 0.0)), task("load", (0, 1), (0.1, 0.0, 2))),
        (None, None),
        "the sources 'a' and 'b' are the slow side: the busiest busy 20 % and back-pressured 0 % of the time; the 2 ",
    ),
    "a shared thread without time": (
        metrics(
            task("read", (), (0.1, 0.0), own=False),
            task("parse", (0,), (0.45, 0.0), own=False),
            task("load", (1,), (0.42, 0.0), own=False),
        ),
        (None, 1),
        "the thread that operators on worker 1 share is the bottleneck: busy 97 % ('parse' 45 %, 'load' 42 %, 'read' ",
    ),
    "an operator that takes most of a shared thread": (
        metrics(task("read", (), (0.1, 0.0), own=False), task("parse", (0,), (0.85, 0.0), own=False)),
        ("parse", None),
        "map 'parse' is the bottleneck: busy 85 %, of a thread that is busy 95 %; its source reads 100/s",
    ),
    "a shared thread that holds up another process": (
        metrics(
            READ,
            task("parse", (0,), (0.48, 0.0, 2), own=False),
            task("load", (1,), (0.49, 0.0, 2), own=False),
        ),
        ("load", None),
        "sink 'load' is the bottleneck: busy 49 %, of a thread that is busy 97 %, and everything before it waits ",
    ),
    "the sources have ended": (
        metrics(task("read", (), (0.0, 0.0), rate=0), task("load", (0,), (0.97, 0.0, 2), queued=1234)),
        ("load", None),
        "the sources have ended, and sink 'load' sets the pace: busy 97 %; 1,234 records queued",
    ),
    "stuck": (
        metrics(
            task("read", (), (0.0, 1.0), rate=0),
            task("load", (0,), (1.0, 0.0, 2), rate=0, queued=8192),
        ),
        ("load", 2),
        "nothing moves: sink 'load' on worker 2 has finished nothing for 1.0 s, with 8,192 records queued, and ",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_named_and_why(case: str) -> None:
    given, named, sentence = CASES[case]
    found = find(given)
    assert found is not None
    assert (found.operator, found.worker) == named
    assert found.sentence.startswith(sentence)


def test_nothing_runs() -> None:
    assert find(metrics()) is None
    assert find(metrics(task("read", (), (0.0, 0.0)), task("load", (0,), (0.0, 0.0)))) is None
    assert find(metrics(task("read", ()), task("load", (0,)))) is None


def test_the_summary_says_it_where_a_run_was_long_enough() -> None:
    told, _, sentence = CASES["a sink, in a job that has ended"]
    assert str(told).splitlines()[1] == sentence
    assert sentence not in str(JobMetrics("finished", 0.9, told.operators, 0, 0, 0, 0, 0, tasks=told.tasks))
