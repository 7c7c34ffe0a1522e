"""What users see of checkpoints and restarts: figures, lines, warnings, and the plan's promises."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from connectors.memory import from_iterable
from engine import CheckpointMetrics, Checkpoints, Dataflow, checkpointer, keeper
from engine.checkpoint_blobs import write_blob
from engine.progress import table_lines
from engine.snapshot import Snapshot
from engine.view import lines
from tests.engine.helpers import ListSink
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoints import Trouble, counting, often
from tests.engine.test_watching import snapshot

MUCH = CheckpointMetrics("/state", 123_456, 123.456, 10**12, 10**6, 1234, "full", "x", 123, "lost")


def test_a_job_without_checkpoints_says_nothing_of_them() -> None:
    result = counting(Shown()).run()
    assert result.checkpoints is None
    assert "checkpoint" not in str(result)


def test_what_was_made_and_how_long_it_took(tmp_path: Path) -> None:
    result = counting(Shown()).run(checkpoint=str(tmp_path))
    kept = result.checkpoints
    assert kept is not None
    assert (kept.into, kept.last, kept.made, kept.given_up, kept.restarts) == (str(tmp_path), 1, 1, 0, 0)
    assert 0 < kept.seconds < result.seconds
    assert kept.bytes == sum(path.stat().st_size for path in tmp_path.glob("checkpoints/*/*.blob"))
    assert f"\ncheckpoint 1 in {kept.seconds:.2f} s, " in str(result)
    again = counting(Shown()).start(checkpoint=str(tmp_path))
    assert again.metrics().checkpoints == CheckpointMetrics(str(tmp_path), last=1)
    again.wait()


def test_a_restart_is_told_with_its_reason_and_what_is_done_about_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "headgate"):
        result = counting(Shown(), Trouble(1000, 2)).run(checkpoint=Checkpoints(into=str(tmp_path), interval="1h"))
    kept = result.checkpoints
    assert kept is not None
    assert kept.restarts == 2
    assert "planted" in (kept.restart_because or "")
    assert f"; 2 restarts; the last restart after: {kept.restart_because}" in str(result)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("job 'counting': OperatorError: operator 'map Trouble' (test_checkpoints.py:")
    assert "; in 0.1 s it begins again, as there is no checkpoint yet (restart 1 of 5)" in first
    assert "(restart 2 of 5)" in second


def test_after_a_checkpoint_a_restart_says_from_which_it_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counting(Shown(), None, Numbers(10)).run(checkpoint=str(tmp_path))
    with caplog.at_level(logging.WARNING, "headgate"):
        counting(Shown(), Trouble(1000, 1)).run(checkpoint=Checkpoints(into=str(tmp_path), interval="1h"))
    assert "; in 0.1 s it goes on from checkpoint 1 (restart 1 of 5)" in caplog.text


def test_checkpoints_that_are_given_up_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]

    def full(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(28, "No space left on device")
        return write_blob(*arguments)

    monkeypatch.setattr(keeper, "write_blob", full)
    monkeypatch.setattr(checkpointer, "write_blob", full)
    result = counting(Shown()).run(checkpoint=often(tmp_path))
    kept = result.checkpoints
    assert kept is not None
    assert 1 <= kept.given_up <= 2
    assert f", {kept.given_up} given up; the last given up: OSError: [Errno 28] No space left on device" in str(result)


@pytest.mark.parametrize("width", [80, 100])
def test_the_views_say_it_in_a_line_that_fits(width: int) -> None:
    now = replace(snapshot(10.0), checkpoints=MUCH)
    top, table = lines(now, now, width), table_lines("job", now.metrics(), now.metrics(), width)
    assert MUCH.short == "checkpoint 123456 in 123.46 s, 931.3 GiB, 1,234 given up; 123 restarts"
    assert top[2] == table[1] == MUCH.short
    assert max(map(len, [*top, *table])) <= width


def test_a_snapshot_carries_it_and_may_do_without() -> None:
    for kept in (None, MUCH):
        sent = msgspec.msgpack.encode(replace(snapshot(10.0), checkpoints=kept))
        assert msgspec.msgpack.decode(sent, type=Snapshot).metrics().checkpoints == kept


def test_explain_says_what_sources_and_sinks_can_do() -> None:
    flow = Dataflow("promises")
    numbers = flow.source(Numbers(3), name="in")
    numbers.sink(Shown(), name="once")
    numbers.union(flow.source(from_iterable(iter([1])), name="iterator")).sink(ListSink(), name="list")
    text = flow.explain(checkpoint=True)
    assert "\nin (source source), resumable\n" in text
    assert "\niterator (source from_iterable), cannot go on where it stopped\n" in text
    assert "once (sink sink), exactly once\n" in text
    assert "list (sink into), at least once" in text
    assert "once" not in flow.explain().replace("once (sink", "")
