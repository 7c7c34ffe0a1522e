"""Stopping: ends a running job of the user's from outside, as `headgate stop` does."""

from __future__ import annotations

import time
from contextlib import suppress

from engine import beacon
from engine.checkpoint_blobs import files_at
from engine.checkpoint_listing import SAVEPOINTS, age, checkpoints, found_in
from engine.errors import CheckpointError, HeadgateError
from engine.watching import Found, no_answer, running

_LOOK_SECONDS = 0.1


def stop(job: str, savepoint: str | None) -> str:
    """Stop the job called `job`, or of the process of that number, wait for its end, and say what came of it.

    HeadgateError where there is none, or several, or where the savepoint, or its last checkpoint, could not be made.
    """
    only = _only(job)
    assert only.snapshot is not None
    kept = only.snapshot.checkpoints
    before = None if kept is None else _newest(kept.into)
    try:
        why = beacon.stop(only.path, savepoint)
    except (OSError, ValueError) as error:
        raise no_answer(only) from error
    if why is not None:
        raise CheckpointError(why)
    _wait(only)
    if kept is None:
        return f"job {only.job!r} has ended"
    if savepoint is None:
        if _newest(kept.into) == before:
            raise _without(only, "another checkpoint")
        return f"job {only.job!r} has ended"
    where = f"{kept.into}/{SAVEPOINTS}/{savepoint}"
    if found_in(files_at(kept.into), SAVEPOINTS, savepoint) is None:
        raise _without(only, f"the savepoint {where}")
    return f"job {only.job!r} has ended with the savepoint {where}"


def _newest(into: str) -> tuple[int, int]:
    """Epoch and number of the newest checkpoint."""
    return max(map(age, checkpoints(files_at(into))), default=(0, 0))


def _without(job: Found, what: str) -> CheckpointError:
    return CheckpointError(
        f"job {job.job!r} has ended without {what}",
        hint="what it said itself tells why; it may have come to its end before",
    )


def _only(job: str) -> Found:
    candidates = running(job)
    if len(candidates) > 1:
        pids = ", ".join(each.pid for each in candidates)
        raise HeadgateError(
            f"{len(candidates)} jobs {job!r} are running", hint=f"say the number of the process: {pids}"
        )
    if candidates[0].snapshot is None:
        raise no_answer(candidates[0])
    return candidates[0]


def _wait(job: Found) -> None:
    """Until its socket is gone; one that is too busy to answer is still there."""
    while True:
        with suppress(TimeoutError, ValueError):
            try:
                beacon.ask(job.path)
            except TimeoutError:
                raise
            except OSError:
                return
        time.sleep(_LOOK_SECONDS)
