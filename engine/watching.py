"""Watching: finds the user's running jobs and shows one: live on a terminal, once as text, or once as JSON."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.beacon import ask, directories, found
from engine.errors import HeadgateError
from engine.metrics import table
from engine.report import Report
from engine.snapshot import Recent, Snapshot
from engine.view import BACKPRESSURED, BUSY, IDLE, lines, sentence

Form = Literal["live", "text", "json"]

_TITLES = ("job", "pid", "state", "seconds", "read")
_STYLES = {BUSY: "green", BACKPRESSURED: "yellow", IDLE: "dim"}
_LOOKS = 2
"""How often the live view changes in the time that its figures are measured over."""


@dataclass(frozen=True)
class Found:
    """A job's socket and what was answered there; None where there was no answer that could be read."""

    path: Path
    snapshot: Snapshot | None

    @property
    def job(self) -> str:
        """What it is called, as far as is known."""
        return self.path.name.rpartition("-")[0] if self.snapshot is None else self.snapshot.name

    @property
    def pid(self) -> str:
        """The number of its process."""
        return self.path.name.rpartition("-")[2].partition(".")[0]


def show(job: str | None, seconds: float, form: Form) -> None:
    """Show the job called `job`, or of the process of that number, or the only one; list them where there are several.

    Figures are measured over so many `seconds`. HeadgateError where there is none, or none so called.
    """
    candidates = running(job)
    if len(candidates) > 1:
        print(_list_json(candidates) if form == "json" else "\n".join(_list(candidates)))
        return
    (only,) = candidates
    if only.snapshot is None:
        raise no_answer(only)
    if form == "live" and sys.stdout.isatty():
        _live(only.path, only.snapshot, seconds)
    else:
        now, lately = _measure(only.path, only.snapshot, seconds)
        print(_json(now, lately) if form == "json" else "\n".join(lines(now, lately, _width())))


def running(job: str | None) -> list[Found]:
    """All running jobs of this user, or those that are so called or have that process; HeadgateError where none is."""
    there = list(_jobs())
    candidates = [each for each in there if job in {None, each.job, each.pid}]
    if not candidates:
        places = " or ".join(map(str, directories()))
        which = "no job" if job is None else f"no job {job!r}"
        others = f"those that run are: {', '.join(sorted({each.job for each in there}))}" if there else "none runs here"
        raise HeadgateError(
            f"{which} of yours is running: its socket would be in {places}",
            hint=f"{others}; it may have ended, or run as another user or on another machine",
        )
    return candidates


def no_answer(found: Found) -> HeadgateError:
    """The error where a job's socket is there and nothing of use comes from it."""
    return HeadgateError(
        f"job {found.job!r} of process {found.pid} gives no answer that can be read",
        hint="its process is stopped or too busy, or runs another version of Headgate",
    )


def _jobs() -> Iterator[Found]:
    for path in found():
        try:
            yield Found(path, ask(path))
        except (TimeoutError, ValueError):
            yield Found(path, None)
        except OSError:  # it has just ended
            continue


def _list(jobs: list[Found]) -> Iterator[str]:
    """What there is to choose from."""
    yield f"{len(jobs)} jobs are running: headgate top JOB, or the number of its process, shows one"
    rows = []
    for each in jobs:
        if each.snapshot is None:
            rows.append((each.job, each.pid, "no answer", "", ""))
        else:
            now = each.snapshot.metrics()
            rows.append((each.job, each.pid, now.state, f"{now.seconds:.1f}", f"{now.records_read:,}"))
    yield from table(_TITLES, rows)


def _list_json(jobs: list[Found]) -> str:
    return _text({"jobs": [{"job": each.job, "pid": int(each.pid)} for each in jobs]})


def _measure(path: Path, first: Snapshot, seconds: float) -> tuple[Snapshot, Snapshot]:
    """The job now, and what it has done in so many seconds, or in less where it ended before."""
    time.sleep(seconds)
    try:
        now = ask(path)
    except (OSError, ValueError):
        return first, first
    return now, now.since(first)


def _json(now: Snapshot, lately: Snapshot) -> str:
    """`totals`: from its beginning; `lately`: over the time asked for; `processes` of which home is number 0."""
    found = lately.metrics().bottleneck
    return _text(
        {
            "job": now.name,
            "pid": now.pid,
            "sentence": sentence(lately),
            "bottleneck": None if found is None else {"operator": found.operator, "worker": found.worker},
            "totals": now.metrics(),
            "lately": lately.metrics(),
            "processes": [_process(each, lately) for each in lately.reports if each.pid],
        }
    )


def _process(each: Report, lately: Snapshot) -> dict[str, Any]:
    return {
        "worker": each.worker,
        "pid": each.pid,
        "cpu": each.cpu / each.seconds if each.seconds else 0.0,
        "memory": each.memory,
        "silent": lately.silent.get(each.worker),
        "round_trip": max((link.round_trip for link in each.links), default=0) / 1e9,
        "refused": each.refused,
    }


def _text(thing: object) -> str:
    return msgspec.json.format(msgspec.json.encode(thing)).decode()


def _live(path: Path, first: Snapshot, seconds: float) -> None:
    """Until the job ends, or Ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    recent, now = Recent(seconds), first
    lately = recent.add(first)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                text = Text("\n".join(lines(now, lately, console.width)), no_wrap=True, overflow="crop")
                for glyph, style in _STYLES.items():
                    text.highlight_regex(f"{glyph}+", style)
                live.update(text, refresh=True)
                time.sleep(seconds / _LOOKS)
                now = ask(path)
                lately = recent.add(now)
    except KeyboardInterrupt:
        return
    except TimeoutError:
        raise HeadgateError(f"job {now.name!r} of process {now.pid} no longer answers") from None
    except OSError:
        print(f"job {now.name!r} has ended")


def _width() -> int:
    return shutil.get_terminal_size((100, 24)).columns
