"""Savepoints: a job that ends with one, what goes on from it, and what is said where that cannot be."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine import CheckpointError, Checkpoints, Dataflow, keeper
from engine.coordinator import Announce, Begin, Seen
from engine.job import Job
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoints import COUNT, PARTS, WANTED, by_key, counting, numbered, often
from tests.engine.test_coordinator import TASKS, coordinator, say


def begun(directory: Path, sink: Shown, processes: int = 1) -> Job:
    """A job whose sink shows something already, and that does not end by itself."""
    job = counting(sink, None, Numbers(COUNT, PARTS, until=COUNT // 2)).start(
        processes=processes, checkpoint=often(directory)
    )
    while not sink.rows:
        job.join(0.001)
    return job


def saved(directory: Path, sink: Shown, name: str = "move", processes: int = 1) -> None:
    with begun(directory, sink, processes) as job:
        job.stop(savepoint=name)
        result = job.wait()
    assert result.state == "stopped"
    assert result.checkpoints is not None
    assert result.checkpoints.savepoint == name
    assert (directory / "savepoints" / name / "manifest.json").is_file()


def test_another_number_of_processes_goes_on_from_a_savepoint(tmp_path: Path) -> None:
    sink = Shown()
    saved(tmp_path, sink, processes=2)
    assert counting(sink).run(checkpoint=often(tmp_path, start_from="move")).state == "finished"
    assert Counter(sink.rows) == WANTED


def test_whoever_does_not_name_it_goes_on_from_it_too(tmp_path: Path) -> None:
    sink = Shown()
    saved(tmp_path, sink)
    counting(sink).run(checkpoint=str(tmp_path))
    assert Counter(sink.rows) == WANTED


def test_the_wish_to_begin_at_one_may_stay_and_another_one_goes_back(tmp_path: Path) -> None:
    sink, there = Shown(), tmp_path / "savepoints"
    saved(tmp_path, sink)
    wanted = often(tmp_path, start_from="move")
    shown = len(sink.rows)
    rest = counting(sink).run(checkpoint=wanted).records_read
    assert shown + rest == PARTS * COUNT, "all that is in the savepoint is to be seen when the job has ended"
    assert shown > 0
    assert counting(sink).run(checkpoint=wanted).records_read == 0
    assert counting(sink).run(checkpoint=often(tmp_path)).records_read == 0
    assert counting(sink).run(checkpoint=wanted).records_read == 0, "nor after a run that did not name it"
    (there / "move").rename(there / "moved")
    assert counting(Shown()).run(checkpoint=often(tmp_path, start_from="moved")).records_read == rest


def test_what_cannot_be_had_is_refused_and_the_job_goes_on(tmp_path: Path) -> None:
    sink = Shown()
    saved(tmp_path, sink)
    with begun(tmp_path, sink) as job:
        with pytest.raises(CheckpointError, match="savepoints/move is there already\n  hint: take another name"):
            job.stop(savepoint="move")
        with pytest.raises(CheckpointError, match="cannot be called 'a/b'"):
            job.stop(savepoint="a/b")
        assert job.state == "running"
        job.stop()
    with pytest.raises(CheckpointError, match=r"there is no savepoint 'none' in .*\n  hint: there are: move"):
        counting(sink).run(checkpoint=often(tmp_path, start_from="none"))
    assert counting(sink).run(checkpoint=str(tmp_path)).state == "finished", "the directory is free again"
    with (
        counting(Shown()).start() as job,
        pytest.raises(CheckpointError, match=r"makes no checkpoints, .*\n  hint: run it with checkpoint="),
    ):
        job.stop(savepoint="move")


def test_who_stops_it_a_second_time_is_told_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Shown()
    job = begun(tmp_path, sink)
    monkeypatch.setattr(job.attempt, "save", lambda savepoint: None)
    job.stop(savepoint="move")
    job.stop(savepoint="move")
    job.stop()
    with pytest.raises(CheckpointError, match="'counting' is being stopped already, with the savepoint 'move'\n"):
        job.stop(savepoint="other")
    job.cancel()
    job.join()
    assert job.state == "cancelled"


def test_it_holds_what_a_branch_kept_that_had_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LITTLE", 0)

    def flow(until: int | None) -> Dataflow:
        made = counting(sink, None, Numbers(COUNT, PARTS, until=until))
        short = made.source(Numbers(10), name="short").key_by(by_key)
        short.stateful_map(numbered, name="ended").sink(Shown(), name="short sink")
        return made

    sink = Shown()
    with flow(COUNT // 2).start(checkpoint=often(tmp_path)) as job:
        while not (list(tmp_path.glob("checkpoints/ended.*/ended-*.blob")) and sink.rows):
            job.join(0.001)
        job.stop(savepoint="move")
    for checkpoint in (tmp_path / "checkpoints").iterdir():
        shutil.rmtree(checkpoint)
    assert flow(None).run(checkpoint=str(tmp_path)).state == "finished"
    assert Counter(sink.rows) == WANTED


def test_a_wrong_directory_to_start_from_is_not_made(tmp_path: Path) -> None:
    wanted = Checkpoints(into=str(tmp_path / "typo"), start_from="move")
    with pytest.raises(CheckpointError, match=r"there is no savepoint 'move': .*typo has none\n  hint: name the dir"):
        counting(Shown()).run(checkpoint=wanted)
    assert list(tmp_path.iterdir()) == []


def test_where_no_checkpoint_is_whole_it_does_not_begin_anew(tmp_path: Path) -> None:
    sink = Shown()
    saved(tmp_path, sink)
    for manifest in tmp_path.rglob("manifest.json"):
        manifest.write_bytes(b"?")
    with pytest.raises(CheckpointError, match=r"none of the checkpoints in .* is whole:\n(.*\n)+  hint: put back"):
        counting(sink).run(checkpoint=str(tmp_path))


def test_it_begins_right_after_the_checkpoint_under_way() -> None:
    each = coordinator()
    assert each.tick(10) == [Begin(1)]
    assert each.want(11, "move") == []
    say(each, 1, *TASKS)
    assert each.stored(12) == [Announce(1, False, seconds=2), Seen(1)]
    assert each.tick(12) == [Begin(2, "move")]
    (store,) = say(each, 2, *TASKS)
    assert store.savepoint == "move"
    assert each.stored(13) == [Announce(2, False, seconds=1, savepoint="move"), Seen(2)]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"drop": "totals"}, r"Checkpoints\.drop wants .* got 'totals'\n  hint: write drop=\('totals',\)"),
        ({"interval": "soon"}, r'Checkpoints\.interval: wanted a duration like "200ms"'),
        ({"pause": -1}, r"Checkpoints\.pause: a duration is not below zero"),
    ],
)
def test_wrong_wishes_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Checkpoints(into="x", **wrong)
