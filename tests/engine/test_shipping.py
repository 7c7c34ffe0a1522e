"""A flow in another interpreter: it does there what it does here, however its program was run."""

from __future__ import annotations

import json
import os
import pickle
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.memory import collect, discard, from_iterable, generate
from connectors.stdout import stdout
from engine import ConnectorError, Dataflow, GraphError, Sink, SinkContext, mean
from engine.lookups import LookupJoin
from engine.operations import FromSource, ToSink
from engine.shipping import dump, fingerprint, in_worker, load
from tests.engine.every_operator import build

pytestmark = pytest.mark.timeout(120)

SECONDS = 60
ROOT = Path(__file__).parents[2]


def python(*arguments: str | Path, cwd: Path, stdin: str | None = None) -> str:
    """What a fresh interpreter prints."""
    done = run(*arguments, cwd=cwd, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(*arguments: str | Path, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def received(data: Path, cwd: Path) -> dict[str, Any]:
    """What became of the flow in the file `data` in a fresh interpreter, which knows its program from there alone."""
    told: dict[str, Any] = json.loads(python("-m", "tests.engine.shipped", data, cwd=cwd))
    return told


def as_shown(outputs: dict[str, list[Any]]) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in outputs.items()}


def test_every_operator_and_aggregate_does_there_what_it_does_here(tmp_path: Path) -> None:
    outputs: dict[str, list[Any]] = {}
    flow = build(outputs)
    data = tmp_path / "flow"
    data.write_bytes(dump(flow))
    flow.run()
    told = received(data, ROOT)
    assert told["outputs"] == as_shown(outputs)
    assert all(outputs.values())
    assert told["pickled"]
    assert told["typed"]
    assert told["fingerprint"] == fingerprint(flow)


# Programs; HERE is for what only a program can have that its workers import.

PROGRAM = """
import dataclasses, enum, functools, sys, threading
from typing import Generic, NamedTuple, TypeVar
import msgspec
from connectors.memory import collect, generate
from engine import Dataflow, count, mean, top
T = TypeVar("T")
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 2
class Pair(NamedTuple):
    number: int
    colour: Colour
class Base(msgspec.Struct, kw_only=True, rename="camel", dict=True):
    note_text: str = "n"
    @functools.cached_property
    def loud(self): return self.note_text.upper()
class Box(msgspec.Struct, Generic[T]):
    content: T
class Outer:
    class Inner(msgspec.Struct):
        depth: int
class Flight(Base, frozen=True, tag="fl"):
    carrier: str
    number: int = 0
    stops: list[int] = msgspec.field(default_factory=lambda: [len(NAMES)])
    child: "Flight | None" = None
    def __post_init__(self):
        if type(self) is not Flight or super().__class__ is None: raise TypeError
    @property
    def even(self): return self.number % 2 == 0
    def add(self, more): return Flight(carrier=self.carrier, number=self.number + more)
NAMES = ["UA", "AA"]
SCALE = 0
@functools.lru_cache
def name(number): return NAMES[number % 2]
@dataclasses.dataclass
class Maker:
    amount: int
    def __call__(self, number): return scaled(number) + self.amount
def scaled(number): return number * SCALE
def make(number: int) -> Flight: return Flight(carrier=name(number), number=number, child=Flight(carrier="x").add(1))
flow = Dataflow("program")
numbers = flow.source(generate(lambda i: i, count=6, type=int))
HERE
flights = numbers.map(Maker(3)).map(lambda n: n + OFFSET - OFFSET).map(make)
flights.filter(lambda f: isinstance(f, Flight) and f.even is (f.number % 2 == 0)).sink(collect([]), name="flights")
def mix(f): return Point(f.number), Colour(1 + f.number % 2), Pair(1, Colour.RED), Box("b"), Outer.Inner(2), f.loud
flights.map(mix).sink(collect([]), name="mixed")
flights.key_by("carrier").aggregate(n=count(), m=mean("number"), t=top(1, by="number")).sink(collect([]), name="sums")
flights.key_by(odd=lambda f: f.number % 2).reduce(lambda a, b: b).sink(collect([]), name="last")
def main():
    class Local(msgspec.Struct):
        n: int
        def twice(self): return Local(self.n * 2)
    numbers.map(lambda n: Local(n).twice(), type=Local, name="local").sink(collect([]), name="locals")
    global SCALE
    SCALE = 9
    from engine.shipping import dump, fingerprint
    from tests.engine.shipped import collecting
    outputs = {}
    with open(sys.argv[1], "wb") as file: file.write(dump(flow))
    mark = fingerprint(flow)
    collecting(flow, outputs).run()
    import json
    print(json.dumps([mark, {name: sorted(map(repr, rows)) for name, rows in outputs.items()}]))
if __name__ == "__main__":
    OFFSET = 7
    main()
"""
ONLY_WHERE_IT_IS_IMPORTED = """lock, decoder = threading.Lock(), msgspec.json.Decoder(int)
numbers = numbers.map(lambda n: decoder.decode(str(n)), type=int)
def locked(n):
    with lock:
        return n
numbers = numbers.map(locked, type=int)"""

PLAIN = PROGRAM.replace("HERE", "")
FULL = PROGRAM.replace("HERE", ONLY_WHERE_IT_IS_IMPORTED)


def typed_in(program: str) -> str:
    """`program` as one types it: an empty line ends a block."""
    lines = program.strip().split("\n")
    typed = [lines[0]]
    for before, line in pairwise(lines):
        ends = before.startswith((" ", "def ")) and not line.startswith(" ")
        typed += ["", line] if ends else [line]
    return "\n".join(typed) + "\n\n"


def as_script(folder: Path, data: Path) -> str:
    (folder / "my-job.py").write_text(FULL)
    return python("my-job.py", data, cwd=folder)


def as_module(folder: Path, data: Path) -> str:
    (folder / "package").mkdir()
    (folder / "package" / "job.py").write_text("from .near import near\n" + FULL)
    (folder / "package" / "near.py").write_text("near = 1\n")
    return python("-m", "package.job", data, cwd=folder)


def as_package(folder: Path, data: Path) -> str:
    (folder / "package").mkdir()
    (folder / "package" / "__main__.py").write_text(PLAIN)
    return python("-m", "package", data, cwd=folder)


def as_command(folder: Path, data: Path) -> str:
    return python("-c", PLAIN, data, cwd=folder)


def from_standard_input(folder: Path, data: Path) -> str:
    return python("-", data, cwd=folder, stdin=PLAIN)


def typed_into_an_interpreter(folder: Path, data: Path) -> str:
    return python("-i", "-q", "-", data, cwd=folder, stdin=typed_in(PLAIN)).strip().split("\n")[-1]


def by_path(folder: Path, data: Path) -> str:
    (folder / "queue.py").write_text(FULL.replace('if __name__ == "__main__":', "if True:").replace("    main()", ""))
    run_it = "from engine.cli import load; flow = load('queue.py'); import sys; sys.modules['queue'].main()"
    return python("-c", run_it, data, cwd=folder)


HOWS = [as_script, as_module, as_package, as_command, from_standard_input, typed_into_an_interpreter, by_path]


@pytest.mark.parametrize("how", HOWS)
def test_a_program_run_in_any_way(tmp_path: Path, how: Callable[[Path, Path], str]) -> None:
    folder = tmp_path / "where it is"
    folder.mkdir()
    mark, outputs = json.loads(how(folder, tmp_path / "flow"))
    told = received(tmp_path / "flow", ROOT)
    assert told["outputs"] == outputs
    assert {name: len(rows) for name, rows in outputs.items()} == (
        {"flights": 6, "mixed": 6, "sums": 2, "last": 2, "locals": 6}
    )
    assert any("number=48" in row for row in outputs["flights"])
    assert told["pickled"]
    assert told["typed"]
    assert told["fingerprint"] == mark


# Struct classes by value: each declares something that must still hold over there.

STRUCTS = """
import sys
from typing import ClassVar, Generic, TypeVar
import msgspec
from msgspec import Struct, field
from connectors.memory import collect, generate
from engine import Dataflow
from engine.shipping import dump
T = TypeVar("T")
class Plain(Struct):
    "Says what it is."
    a: int
    b: str = "b"
    c: list[int] = []
    d: dict[str, int] = field(default_factory=lambda: {"made": SIZE})
    e: int = field(default=5, name="five")
    KIND: ClassVar[str] = "plain"
    other = 3
    @classmethod
    def make(cls): return cls(1)
    @staticmethod
    def half(x): return x / 2
class Lower(Plain, frozen=True, eq=True, order=True, tag=True, tag_field="kind", cache_hash=True):
    z: int = 0
    def __post_init__(self):
        if self.z < 0: raise ValueError(f"{__class__.__name__} below zero")
class Untagged(Lower, tag=False): pass
class Keyword(Struct, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    first_name: str
    last_name: str = "L"
class Mixed(Keyword, tag=7):
    number: int
    extra_word: int | None = None
class Array(Struct, array_like=True, weakref=True, eq=False, repr_omit_defaults=True):
    x: int
    y: int = 2
class Tree(Struct, dict=True):
    value: int
    children: "list[Tree]" = []
class Box(Struct, Generic[T]):
    content: T
class Sub(Box[int]):
    more: int = 1
class Hashed(Struct, gc=False):
    x: int
    def __hash__(self): return 42
    def __eq__(self, other): return isinstance(other, Hashed)
SIZE = 4
CLASSES = [Plain, Lower, Untagged, Keyword, Mixed, Array, Tree, Box, Sub, Hashed]
def facts(c):
    config = c.__struct_config__
    config = {name: getattr(config, name) for name in dir(config) if name[0] != "_"}
    fields = [(f.name, f.encode_name, str(f.type), str(f.default)) for f in msgspec.structs.fields(c)]
    same = [c.__name__, c.__qualname__, c.__module__, c.__doc__, str(c.__bases__), str(c.__match_args__)]
    return [same, str(config), fields, str(getattr(c, "__parameters__", None)), sorted(vars(c)), str(c.__annotations__)]
def tried(call):
    try: return repr(call())
    except Exception as error: return f"{type(error).__name__}: {error}"
def deeds(number):
    tree = msgspec.json.decode(b'{"value": 1, "children": [{"value": 2}]}', type=Tree)
    tree.note = "dict"
    return [
        tried(lambda: Plain.make()), tried(lambda: Plain.half(3)), Plain.KIND, Plain.other,
        tried(lambda: Plain(1).c is Plain(2).c), tried(lambda: Lower(1, z=-1)),
        tried(lambda: setattr(Lower(1), "z", 2)),
        tried(lambda: sorted([Lower(2), Lower(1)])),
        tried(lambda: len({Lower(1, c=1, d=1), Lower(1, c=1, d=1)})),
        tried(lambda: msgspec.json.encode([Plain(1), Lower(1), Untagged(1), Mixed(number=1, first_name=""), Array(1)])),
        tried(lambda: msgspec.json.decode(b'{"firstName": "a", "x": 1}', type=Keyword)),
        tried(lambda: Keyword("positional")), tried(lambda: Array(1) == Array(1)), tried(lambda: Array(1)),
        tried(lambda: msgspec.json.decode(b'{"content": "no"}', type=Box[int])), tried(lambda: Sub(1).more),
        tree.note, type(tree.children[0]) is Tree, tried(lambda: hash(Hashed(1))), Hashed(1) == Hashed(2),
        tried(lambda: msgspec.json.decode(b'{"type": 7, "number": 1, "firstName": ""}', type=Keyword | Mixed)),
    ]
flow = Dataflow("structs")
ones = flow.source(generate(lambda i: i, count=1, type=int))
ones.map(lambda i: [facts(c) for c in CLASSES]).sink(collect([]), name="facts")
ones.map(deeds).sink(collect([]), name="deeds")
with open(sys.argv[1], "wb") as file: file.write(dump(flow))
print(repr([facts(c) for c in CLASSES]))
print(repr(deeds(0)))
"""


def test_struct_classes_are_the_same_over_there(tmp_path: Path) -> None:
    facts, deeds = python("-c", STRUCTS, tmp_path / "flow", cwd=tmp_path).splitlines()
    told = received(tmp_path / "flow", ROOT)
    assert told["outputs"] == {"facts": [facts], "deeds": [deeds]}
    assert "Lower below zero" in deeds
    assert "'made': 4" in deeds


# What stays at home.


def away(flow: Dataflow) -> Dataflow:
    return load_here(dump(flow))


def load_here(data: bytes) -> Dataflow:
    """What `load` gives, but in this process, whose surroundings stay as they are."""
    end = 4 + int.from_bytes(data[:4], "big")
    flow: Dataflow = pickle.loads(data[end:])
    return flow


def test_what_is_at_home_is_replaced_by_a_stand_in() -> None:
    flow = Dataflow("home")
    rows = flow.source(from_iterable(iter([1]), type=int, name="rows", blocking=True))
    into: Any = collect([])
    into.batch_records = 7
    rows.sink(into)
    rows.sink(stdout(stream=sys.stderr))
    rows.sink(discard())
    source, *sinks = (node.operation for node in away(flow).graph.nodes)
    assert isinstance(source, FromSource)
    there = source.source
    assert (there.at_home, there.type, there.blocking, there.bounded, there.name) == (True, int, True, True, "rows")
    with pytest.raises(ConnectorError, match="the source 'rows' stays in the process that runs the job; a worker"):
        there.open("")
    kept, printed, dropped = (each.sink for each in sinks if isinstance(each, ToSink))
    assert (kept.at_home, kept.batch_records, kept.blocking, kept.name) == (True, 7, False, "collect")
    assert (printed.at_home, printed.name, dropped.at_home) == (True, "stdout", False)
    with pytest.raises(ConnectorError, match="the sink 'collect' stays in the process that runs the job; a worker"):
        kept.open(SinkContext("sink"))
    assert fingerprint(away(flow)) == fingerprint(flow)


def test_a_table_at_home_is_read_at_home() -> None:
    flow = Dataflow("table")
    table = from_iterable(iter([("a", 1)]))
    flow.source(generate(str, count=1)).lookup_join(table, on=str, table_key=lambda row: row[0]).sink(discard())
    (join,) = (node.operation for node in away(flow).graph.nodes if isinstance(node.operation, LookupJoin))
    assert join.table == {"a": ("a", 1)}
    with pytest.raises(ConnectorError, match="was run before"):
        dump(flow)


def test_identity_survives() -> None:
    flow = Dataflow("same")
    rows = flow.source(generate(lambda i: i, count=1, type=int))
    rows.key_by().aggregate(n=mean(lambda i: i)).filter(bool).sink(discard())
    source, aggregate, kept, sink = away(flow).graph.nodes
    assert aggregate.inputs[0].node is source
    assert sink.inputs[0].node is kept
    assert aggregate.type is kept.type is sink.type
    assert aggregate.type.__name__ == "Aggregate"
    record = aggregate.type(1.0)
    assert pickle.loads(pickle.dumps(record)) == record


def test_records_that_come_back_find_the_main_module_by_its_name_in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
    dump(with_function(str))
    assert sys.modules["__mp_main__"] is sys.modules["__main__"]


def test_functions_that_share_a_variable_or_call_themselves_still_do() -> None:
    seen: list[int] = []

    def factorial(i: int) -> int:
        seen.append(i)
        return 1 if i < 2 else i * factorial(i - 1)

    flow = Dataflow("closures")
    flow.source(generate(lambda i: i, count=1)).map(factorial).map(lambda i: (i, seen)).sink(discard())
    first, second = (node.operation.function for node in away(flow).graph.nodes[1:3])
    assert first is not None
    assert second is not None
    assert first(4) == 24
    assert second(0) == (0, [4, 3, 2, 1])
    assert seen == []


def test_a_fingerprint_tells_plans_apart() -> None:
    def flow(name: str = "f", *, parallelism: int = 1, field: type = int, function: Any = str) -> str:
        made = Dataflow(name)
        rows = made.source(generate(lambda i: i, count=1, type=field))
        rows.rebalance(parallelism).map(function).sink(discard())
        return fingerprint(made)

    class Row(msgspec.Struct):
        a: int

    one = flow(field=Row)
    Row.__annotations__["a"] = str
    others = [flow(), flow("g"), flow(parallelism=2), flow(field=float), flow(function=repr), one, flow(field=Row)]
    assert len(set(others)) == len(others)
    assert flow() == flow()


# What cannot travel.


def with_function(function: Any) -> Dataflow:
    flow = Dataflow("stuck")
    flow.source(generate(lambda i: i, count=1)).map(function, name="enrich").sink(discard())
    return flow


class Holder:
    def __init__(self, held: object) -> None:
        self.held = held

    def __call__(self, record: object) -> object:
        return record

    def method(self, record: object) -> object:
        return record


class SinkThatHolds(Sink[Any]):
    def __init__(self, held: object) -> None:
        self.held = held


LOCK = threading.Lock()
KINDS: dict[str, Callable[[], Any]] = {
    "_thread.lock": threading.Lock,
    "socket.socket": socket.socket,
    "_io.TextIOWrapper": lambda: os.fdopen(os.open(os.devnull, os.O_RDONLY)),
    "builtins.generator": lambda: (i for i in range(3)),
    "sqlite3.Connection": lambda: sqlite3.connect(":memory:"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_travel_is_named(kind: str) -> None:
    held = KINDS[kind]()
    place = r"operator 'enrich' \(test_shipping.py:\d+\) cannot go to another process: "
    hint = r"(?s:.*)\n  hint: make it where it is used: in the open\(\) of a source or sink, or inside the function$"
    cases: list[tuple[Any, str]] = [
        (
            lambda record: (record, held),
            rf"the variable 'held' that lambda \(.*test_shipping.py:\d+\) uses is a {kind}; ",
        ),
        (Holder(held), rf"the attribute 'held' of Holder is a {kind}; "),
        (Holder({"x": [held]}).method, rf"item 0 of the item 'x' is a {kind}; "),
        (partial(max, held, key=held), rf"argument 1 of a partial is a {kind}; "),
    ]
    try:
        for function, text in cases:
            with pytest.raises(GraphError, match=place + text + hint):
                dump(with_function(function))
    finally:
        if hasattr(held, "close"):
            held.close()


def test_a_sink_that_cannot_travel_is_named() -> None:
    flow = Dataflow("sink")
    flow.source(generate(str, count=1)).sink(SinkThatHolds(LOCK), name="load")
    with pytest.raises(
        GraphError, match=r"operator 'load' \(.*\) cannot go.*the attribute 'held' of SinkThatHolds is a _"
    ):
        dump(flow)


def test_a_function_of_a_module_uses_that_modules_globals() -> None:
    (node,) = [node for node in away(with_function(lambda record: LOCK)).graph.nodes if node.name == "enrich"]
    assert node.operation.function is not None
    assert node.operation.function(1) is LOCK


GLOBAL = """
import sys, threading
from connectors.memory import discard, generate
from engine import Dataflow
from engine.shipping import dump
flow, lock = Dataflow("f"), threading.Lock()
flow.source(generate(lambda i: i, count=1)).map(lambda i: (i, lock), name="pair").sink(discard())
with open(sys.argv[1], "wb") as file: file.write(dump(flow))
"""


def test_a_global_that_no_worker_can_have_is_named(tmp_path: Path) -> None:
    done = run("-c", GLOBAL, "flow", cwd=tmp_path)
    assert "operator 'pair' (<string>:7) cannot go to another process: the global 'lock' that lambda (" in done.stderr
    (tmp_path / "job.py").write_text(GLOBAL)  # which a worker imports, so that it has a lock of its own
    python("job.py", "flow", cwd=tmp_path)


# What goes wrong over there.

JOB = """
import sys
from connectors.memory import discard, generate
from engine import Dataflow, GraphError
from engine.shipping import dump, in_worker
{above}
flow = Dataflow("f")
if in_worker():
    {worker}
if __name__ == "__main__":
    {guarded}
    flow.source(generate(lambda i: i, count=1)).map({function}).sink(discard())
    with open(sys.argv[1], "wb") as file: file.write(dump(flow))
"""


def failed(
    tmp_path: Path, *, above: str = "", worker: str = "pass", guarded: str = "pass", function: str = "str"
) -> str:
    (tmp_path / "job.py").write_text(JOB.format(above=above, worker=worker, guarded=guarded, function=function))
    python("job.py", tmp_path / "flow", cwd=tmp_path)
    done = run("-m", "tests.engine.shipped", tmp_path / "flow", cwd=ROOT)
    assert done.returncode == 1
    return done.stderr


def test_a_function_that_is_defined_under_the_guard_only(tmp_path: Path) -> None:
    error = failed(tmp_path, guarded="def late(i): return i", function="late")
    assert "GraphError: a worker has not all that the flow uses: " in error
    assert "'late'" in error
    assert "hint: define functions and record types at the top level of a module, not under if __name__" in error


def test_a_program_that_does_not_bear_to_be_imported(tmp_path: Path) -> None:
    for raised in ("sys.exit(3)", "1 / 0"):
        error = failed(tmp_path, worker=raised)
        assert "GraphError: a worker could not import what the flow needs: " in error
        assert (
            'hint: a worker imports the program too: what only its parent does stands under if __name__ == "' in error
        )


def test_a_graph_error_of_a_program_stays_what_it_is(tmp_path: Path) -> None:
    assert failed(tmp_path, worker="raise GraphError('no guard')").endswith("engine.errors.GraphError: no guard\n")
    assert not in_worker()


def test_another_python_is_refused_before_anything_is_unpickled() -> None:
    head = json.dumps([[3, 1], {}]).encode()
    with pytest.raises(
        GraphError, match=r"the flow was sent by Python 3\.1, and this worker runs 3\.\d+\n  hint: run both"
    ):
        load(len(head).to_bytes(4, "big") + head + b"no pickle")
