"""What `headgate top` shows: its lines at any width, one job, several, none; live on a terminal of its own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import HeadgateError, beacon, watching
from engine.report import Report, TaskReport
from engine.snapshot import Snapshot
from engine.view import lines, places, sentence
from engine.watching import show
from tests.engine.test_beacon import endless
from tests.engine.test_snapshot import OUTLINE


def reports(seconds: float, rate: int) -> tuple[Report, ...]:
    """A source that waits and a sink that is busy, `rate` records a second, in workers 1 and 2."""
    records = int(seconds * rate)
    read = TaskReport(0, 0, 0.0, 0.0, seconds, records, records, 0, 9, 0, 0, 0, (), [])
    load = TaskReport(1, 0, seconds, 0.0, 0.0, records, 0, 9, 0, 0, 400, records, (), [(5_000_000, records)])
    return (
        Report(0, pid=100, seconds=seconds, cpu=0.1 * seconds, memory=30 << 20),
        Report(1, (read,), in_flight=400, seconds=seconds, pid=101, cpu=0.5 * seconds, memory=40 << 20),
        Report(2, (load,), seconds=seconds, pid=102, cpu=seconds, memory=50 << 20, refused={"a stranger": 2}),
    )


def snapshot(seconds: float, rate: int = 2000, name: str = "job") -> Snapshot:
    return Snapshot(name, 100, "running", seconds, OUTLINE, reports(seconds, rate), {1: 0.04, 2: 0.1})


def test_all_there_is_to_see_in_80_columns() -> None:
    now = snapshot(10.0)
    assert lines(now, now.since(snapshot(9.0)), 80) == [
        "job: running for 10.0 s",
        "20,000 read, 20,000 written; 400 in flight, 5 % of 8,192",
        "",
        "sink 'load' is the bottleneck: busy 100 %, and everything before it waits for",
        "credit; its source reads 2,000/s",
        "",
        "operator    where  in/s out/s queued    of   p99 busy",
        "-------- -------- ----- ----- ------ ----- ----- ----",
        "read     worker 1       2,000                      0% " + 26 * "▒",
        "load     worker 2 2,000 2,000    400 8,192 5.0ms 100% " + 26 * "█",
        "█ busy  ▒ back-pressured: nowhere to write  · idle: nothing to read, or no turn",
        "",
        "process  pid  CPU memory     heard round trip refused",
        "-------- --- ---- ------ --------- ---------- -------",
        "home     100  10% 30 MiB                            0",
        "worker 1 101  50% 40 MiB 0.0 s ago                  0",
        "worker 2 102 100% 50 MiB 0.1 s ago                  2",
    ]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_names_and_bars_give_way_and_nothing_is_wider(width: int) -> None:
    tasks = [
        replace(task, operators=tuple(replace(each, name=f"{each.name} {'x' * 90}") for each in task.operators))
        for task in OUTLINE.tasks
    ]
    now, before = (
        replace(snapshot(at, 123_456_789, "n" * 200), outline=replace(OUTLINE, tasks=tuple(tasks))) for at in (9.0, 8.0)
    )
    shown = lines(now, now.since(before), width)
    assert max(map(len, shown)) <= width
    assert sum("123.5M" in line for line in shown) == 2
    assert len(shown[-9].split()[-1]) >= 10  # the bar


def test_who_has_fallen_silent_is_said_first() -> None:
    assert sentence(replace(snapshot(9.0), silent={1: 0.1, 2: 5.04})).startswith(
        "worker 2 has said nothing for 5.0 s; sink 'load' is the bottleneck"
    )
    assert sentence(replace(snapshot(9.0), reports=())) == "nothing runs yet"


@pytest.mark.parametrize(
    ("workers", "text"),
    [
        ((0,), "home"),
        ((1,), "worker 1"),
        ((1, 2, 3), "workers 1-3"),
        ((1, 3), "workers 1,3"),
        ((2, 2, 2, 2), "worker 2 x4"),
        ((1, 2, 1), "workers 1-2 x3"),
        ((), ""),
    ],
)
def test_where_an_operator_runs(workers: tuple[int, ...], text: str) -> None:
    assert places(workers) == text


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hg", dir="/tmp"))
    for module in (beacon, watching):
        monkeypatch.setattr(module, "directories", lambda: [path])
    yield path
    shutil.rmtree(path)


def test_the_only_job_or_the_one_that_is_named(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow, gate = endless("only")
    with flow.start():
        for job in (None, "only", str(os.getpid())):
            show(job, 0.1, "text")
            assert capsys.readouterr().out.startswith("only: running for ")
        show(None, 0.1, "live")  # no terminal: once
        assert capsys.readouterr().out.startswith("only: running for ")
        show("only", 0.1, "json")
        told = json.loads(capsys.readouterr().out)
        assert (told["job"], told["pid"], told["totals"]["state"]) == ("only", os.getpid(), "running")
        assert told["lately"]["seconds"] < told["totals"]["seconds"]
        assert [each["worker"] for each in told["processes"]] == [0]
        assert told["bottleneck"]["operator"] == "out"
        with pytest.raises(HeadgateError, match=f"no job 'other' of yours is running: .* in {runtime}"):
            show("other", 0.1, "text")
        gate.set()
    with pytest.raises(HeadgateError, match="no job of yours is running"):
        show(None, 0.1, "text")


def test_several_are_listed(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one, gate), (two, other) = endless("one"), endless("two")
    with one.start(), two.start():
        show(None, 0.1, "text")
        first, titles, _, *rows = capsys.readouterr().out.splitlines()
        assert first == "2 jobs are running: headgate top JOB, or the number of its process, shows one"
        assert titles.split() == ["job", "pid", "state", "seconds", "read"]
        assert [row.split()[:3] for row in rows] == [[name, str(os.getpid()), "running"] for name in ("one", "two")]
        show(None, 0.1, "json")
        assert [each["job"] for each in json.loads(capsys.readouterr().out)["jobs"]] == ["one", "two"]
        gate.set()
        other.set()


def test_a_job_that_gives_no_answer(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silence(path: Path) -> Snapshot:
        raise TimeoutError

    monkeypatch.setattr(watching, "ask", silence)
    flow, gate = endless("silent")
    with flow.start():
        with pytest.raises(HeadgateError, match=rf"job 'silent' of process {os.getpid()} gives no answer .*\n  hint: "):
            show(None, 0.1, "text")
        gate.set()


def test_a_job_that_ends_while_it_is_measured(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow, gate = endless("short")
    job = flow.start()

    def end(seconds: float) -> None:
        gate.set()
        job.wait()

    monkeypatch.setattr("engine.watching.time.sleep", end)
    show(None, 1.0, "text")
    assert capsys.readouterr().out.startswith("short: running for ")


def test_the_live_view_ends_with_the_job(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    flow, gate = endless("live")
    job = flow.start()
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            gate.set()
            job.wait()

    monkeypatch.setattr("engine.watching.time.sleep", look)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show(None, 1.0, "live")
    shown = capsys.readouterr().out
    assert "job 'live' has ended" in shown
    assert looks == [0.5, 0.5, 0.5]
