"""A job that is stopped with a savepoint and goes on as another program: with right results, or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine import CheckpointError, Checkpoints, Dataflow
from engine.modules import load_file
from tests.engine import changing
from tests.engine.saved import Numbers, Shown

COUNT, HALF = 240, 130
TEXT = Path(changing.__file__).read_text()
MORE = "from engine import MapState, Sliding, mean, min_"
"""What other versions of it want."""
Rows = dict[str, list[Any]]
Edits = list[tuple[str, str]]


class Sinks(dict[str, Shown]):
    """Sinks by name, made when they are asked for."""

    def __missing__(self, name: str) -> Shown:
        self[name] = Shown()
        return self[name]

    def copy(self) -> Sinks:
        """Others, that show the same so far."""
        others = Sinks()
        for name, sink in self.items():
            others[name].rows, others[name].committed = list(sink.rows), set(sink.committed)
        return others

    @property
    def rows(self) -> Rows:
        return {name: sorted(sink.rows, key=repr) for name, sink in self.items()}


def program(folder: Path, edits: Edits) -> ModuleType:
    """The module with other text in it; the one before it counts no more."""
    text = TEXT.replace("\nclass ", f"\n{MORE}\n\nclass ", 1)
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    path = folder / "changing_program.py"
    path.write_text(text)
    return load_file(path.stem, path)


def undisturbed(module: ModuleType, begin: int = 0) -> Rows:
    sinks = Sinks()
    module.build(Numbers(COUNT), sinks.__getitem__, begin).run()
    return sinks.rows


@dataclass
class Saved:
    """A savepoint "a" at HALF, what was shown by then, and what the program would have shown at the end."""

    into: Path
    sinks: Sinks
    whole: Rows


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder, sinks = tmp_path_factory.mktemp("first"), Sinks()
    module = program(folder, [])
    flow: Dataflow = module.build(Numbers(COUNT, until=HALF), sinks.__getitem__)
    with flow.start(checkpoint=Checkpoints(into=str(folder / "state"), interval="1h")) as job:
        while job.metrics().records_read < HALF:
            job.join(0.001)
        job.stop(savepoint="a")
        job.wait()
    assert all(len(sink.rows) > 0 for sink in sinks.values())
    return Saved(folder / "state", sinks, undisturbed(module))


@pytest.fixture
def saved(first: Saved, tmp_path: Path) -> Saved:
    """Of this test's own."""
    shutil.copytree(first.into, tmp_path / "state")
    return Saved(tmp_path / "state", first.sinks.copy(), first.whole)


def go_on(saved: Saved, module: ModuleType, drop: tuple[str, ...] = ()) -> int:
    """How many records were read."""
    wanted = Checkpoints(into=str(saved.into), start_from="a", drop=drop, restarts=0)
    read: int = module.build(Numbers(COUNT), saved.sinks.__getitem__).run(checkpoint=wanted).records_read
    return read


UNIT = '    unit: str = "cm"\n'
MADE = "Reading(number % 5, 10 * number + number // 60 * 500, number)"
BY_NAME = "Reading(weir=number % 5, at=10 * number + number // 60 * 500, level=number)"
FIELDS = "    weir: int\n    at: int\n    level: int\n"

GO_ON: dict[str, Edits] = {
    "the same program": [],
    "a field that is new, with a default": [(UNIT, f"{UNIT}    depth: float = 0.5\n")],
    "a field that is gone": [(UNIT, "")],
    "a field that may be more": [(UNIT, "    unit: str | None = None\n")],
    "fields in another order": [(FIELDS, "    at: int\n    level: int\n    weir: int\n"), (MADE, BY_NAME)],
    "a column that is called otherwise": [('sum=sum_("level")', 'total=sum_("level")')],
    "no time to live": [('(ttl="5s")', "()")],
    "a time to live": [("seen = ValueState[int](0)", 'seen = ValueState[int](0, ttl="1h")')],
    "a state more": [("    last = ", "    more = MapState[int, int]()\n    last = ")],
    "another operator": [
        (
            'readings.key_by("weir")\n',
            'readings.key_by("weir").stateful_map(passed, name="new").event_time("at").key_by("weir")\n',
        ),
        (
            "def untyped",
            "def passed(state: int | None, record: Reading) -> Any:\n    return 1, record\n\n\ndef untyped",
        ),
    ],
    "a lambda for a function": [("key_by(by_parity)", "key_by(key=lambda reading: reading.level % 2)")],
}


@pytest.mark.parametrize("what", GO_ON)
def test_what_fits_goes_on_with_what_it_had(what: str, saved: Saved, tmp_path: Path) -> None:
    assert go_on(saved, program(tmp_path, GO_ON[what])) == COUNT - HALF
    assert saved.sinks.rows == saved.whole


@dataclass
class Refusal:
    """What is changed, what is said then, by what is to be dropped, and the sinks whose rows are then of what is read
    from there on alone; the others' are as ever."""

    edits: Edits
    told: dict[str, str]
    anew: tuple[str, ...] = ()

    @property
    def drop(self) -> tuple[str, ...]:
        return tuple(self.told)


DEPTH = r"Reading\.depth is new, and has no default"
TYPE = r"Reading\.level: int before, float now"

SESSION = next(line for line in TEXT.splitlines(keepends=True) if '"session": ' in line)

REFUSED: dict[str, Refusal] = {
    "windows of another size": Refusal(
        [('Tumbling("1s")', 'Tumbling("2s")')],
        {"tumbling": r"windows: Tumbling\('1s'\) before, Tumbling\('2s'\) now"},
        ("tumbling",),
    ),
    "windows of another kind": Refusal(
        [('Tumbling("1s")', 'Sliding("1s", every="500ms")')],
        {"tumbling": r"windows: Tumbling\('1s'\) before, Sliding\('1s', every='500ms'\) now"},
        ("tumbling",),
    ),
    "sessions with another gap": Refusal(
        [('Session("300ms")', 'Session("200ms")')],
        {"session": r"windows: Session\('300ms'\) before, Session\('200ms'\) now"},
        ("session",),
    ),
    "a join with another interval": Refusal(
        [('lower="-50ms"', 'lower="-80ms"')],
        {"join": "interval: from -50 to 20 ms before, from -80 to 20 ms now"},
        ("join",),
    ),
    "another time between duplicates": Refusal(
        [('within="200ms"', 'within="400ms"')], {"once": "within: 200 ms before, 400 ms now"}, ("once",)
    ),
    "an operator of another name": Refusal(
        [('name="tumbling"', 'name="seconds"')], {"tumbling": r"no operator 'tumbling', whose state has \d+ bytes"}
    ),
    "an operator and its sink that are gone": Refusal(
        [(SESSION, "")],
        {
            "session": r"there is no operator 'session', whose state has \d+ bytes",
            "session sink": r"there is no sink 'session sink'; of what it had written, \d+ bytes may not be seen yet",
        },
    ),
    "a field that is new, without a default": Refusal(
        [(UNIT, f"    depth: int\n{UNIT}"), ("500, number)", "500, number, 7)")],
        {
            "join": rf"another state: {DEPTH}",
            "latest": rf"another state: {DEPTH}",
            "process": rf"another state: {DEPTH}",
            "untyped": rf"operator 'untyped' cannot be read: its records have changed: {DEPTH}",
        },
        ("join", "latest", "process", "untyped"),
    ),
    "a field of another type": Refusal(
        [("    level: int\n", "    level: float\n")],
        {
            "join": rf"another state: {TYPE}",
            "latest": rf"another state: {TYPE}",
            "process": rf"another state: {TYPE}",
            "tumbling": r"type of sum\(level\), number 2: int before, float now",
            "untyped": rf"operator 'untyped' cannot be read: its records have changed: {TYPE}",
        },
        ("join", "latest", "process", "tumbling", "untyped"),
    ),
    "another aggregate": Refusal(
        [('sum=sum_("level")', 'sum=mean("level")')],
        {"tumbling": r"aggregates: count\(\), sum\(level\) before, count\(\), mean\(level\) now"},
        ("tumbling",),
    ),
    "an aggregate more": Refusal(
        [('sum=sum_("level")', 'sum=sum_("level"), least=min_("level")')],
        {"tumbling": r"aggregates: .* before, count\(\), sum\(level\), min\(level\) now"},
        ("tumbling",),
    ),
    "another key": Refusal(
        [('"tumbling": weirs', '"tumbling": readings.key_by("level")')],
        {"tumbling": "key: weir before, level now"},
        ("tumbling",),
    ),
    "records in another order": Refusal(
        [("in_order=True, ", "")], {"process": "order of records: of time before, as they come now"}
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_and_goes_on_without_what_is_dropped(
    what: str, saved: Saved, tmp_path: Path
) -> None:
    case, module = REFUSED[what], program(tmp_path, REFUSED[what].edits)
    told, dropped = "", tuple[str, ...]()
    while set(dropped) != set(case.drop):  # what only the state itself tells comes behind what the program does
        with pytest.raises(CheckpointError) as e:
            go_on(saved, module, dropped)
        told += str(e.value)
        more = re.search(r"hint: .* drop=\(([^()]*)\)", told.rpartition("hint")[1] + told.rpartition("hint")[2])
        assert more, told
        dropped += tuple(re.findall(r"'([^']*)'", more[1]))
    for text in case.told.values():
        assert re.search(text, told), told
    before = saved.sinks.copy().rows
    assert go_on(saved, module, dropped) == COUNT - HALF
    anew = undisturbed(module, HALF)
    for name, rows in saved.sinks.rows.items():
        if name in case.anew:
            assert rows == sorted(before[name] + anew[name], key=repr), name
        elif name not in case.drop and f"{name} sink" not in case.drop:
            assert rows == saved.whole[name], name


def test_a_state_that_a_process_has_no_more_is_dropped_alone(saved: Saved, tmp_path: Path) -> None:
    module = program(tmp_path, [("seen", "number")])
    with pytest.raises(
        CheckpointError, match=r"'process' \(.*\) has no 'value seen' any more\n.*drop=\('process.seen',"
    ):
        go_on(saved, module)
    before = len(saved.sinks["process"].rows)
    go_on(saved, module, ("process.seen",))
    rows, whole = saved.sinks["process"].rows[before:], saved.whole["process"]
    counts = {(key, time): (number, levels) for key, time, number, levels in rows}
    wanted = {(key, time): (number, levels) for key, time, number, levels in whole if (key, time) in counts}
    assert len(wanted) == len(rows) == len(whole) - before
    assert all(counts[each][1] == wanted[each][1] for each in counts), "what it still has is kept"
    missing = {(key, wanted[key, time][0] - number) for (key, time), (number, _) in counts.items()}
    assert len(missing) == 5, "of each key as many as were counted before"
    assert all(number > 0 for _, number in missing)


def test_a_shorter_time_to_live_holds_from_there_on(saved: Saved, tmp_path: Path) -> None:
    module = program(tmp_path, [('ttl="5s"', 'ttl="100ms"')])
    before = len(saved.sinks["process"].rows)
    last = max(time for _, time, *_ in saved.sinks["process"].rows)
    go_on(saved, module)
    rows = sorted(saved.sinks["process"].rows[before:], key=repr)
    assert rows == [row for row in undisturbed(module)["process"] if row[1] > last]
    assert rows != [row for row in saved.whole["process"] if row[1] > last]


SOURCES: dict[str, tuple[Edits, str]] = {
    "of another name": (
        [('name="numbers"', 'name="others"')],
        "there is no source 'numbers'; what is read in its place begins at its beginning",
    ),
    "of another kind": (
        [
            ("flow.source(source,", f"flow.source(Others({COUNT}),"),
            ("class Reading", "class Others(Numbers):\n    pass\n\n\nclass Reading"),
        ],
        "connector: Numbers before, Others now; without what is kept it is read from its beginning",
    ),
}


@pytest.mark.parametrize("what", SOURCES)
def test_another_source_is_read_from_its_beginning(what: str, saved: Saved, tmp_path: Path) -> None:
    edits, text = SOURCES[what]
    module = program(tmp_path, edits)
    with pytest.raises(CheckpointError, match=text):
        go_on(saved, module)
    assert go_on(saved, module, ("numbers",)) == COUNT
    counts = [number for _, number in saved.sinks["number"].rows]
    assert max(counts) == (HALF + COUNT) // 5, "they go on"


class _Numbers(Numbers):
    def partitions(self) -> list[str]:
        return ["elsewhere"]


def test_what_was_being_read_and_is_gone_is_refused(saved: Saved, tmp_path: Path) -> None:
    module = program(tmp_path, [])
    build: Callable[..., Dataflow] = module.build
    flow = build(_Numbers(COUNT), saved.sinks.__getitem__)
    with pytest.raises(
        CheckpointError, match=r"source 'numbers' \(.*\) had begun to read 'part 0', and finds it no more\n"
    ):
        flow.run(checkpoint=str(saved.into))
    wanted = Checkpoints(into=str(saved.into), drop=("numbers",))
    assert build(_Numbers(COUNT), saved.sinks.__getitem__).run(checkpoint=wanted).records_read == COUNT
