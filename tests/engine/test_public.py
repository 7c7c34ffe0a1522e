"""The public face: names, docstrings, the tree of errors; every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import pkgutil
import re
from types import ModuleType
from typing import Any

import pytest

import engine
from engine import (
    ConnectorError,
    GraphError,
    HeadgateError,
    InputError,
    JobError,
    OperatorError,
    errors,
)

MODULES = [importlib.import_module(f"engine.{found.name}") for found in pkgutil.iter_modules(engine.__path__)]


def test_all_is_sorted_and_whole() -> None:
    assert engine.__all__ == sorted(engine.__all__)
    public = {name for name, value in vars(engine).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert set(engine.__all__) == public


@pytest.mark.parametrize("name", engine.__all__)
def test_everything_public_is_documented(name: str) -> None:
    thing = getattr(engine, name)
    assert inspect.getdoc(thing), name
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(getattr(thing, member)), f"{name}.{member}"


def error_classes() -> dict[str, type[BaseException]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }


def test_every_error_is_in_all() -> None:
    assert set(error_classes()) <= set(engine.__all__)


def drawn(text: str) -> dict[str, str | None]:
    """The tree in the docstring: each error's parent."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"    ([ │├└─]*)(\w+Error|WorkerLost|JobCancelled)\b", line)
        if match:
            depth = len(match[1])
            while above and above[-1][0] >= depth:
                above.pop()
            parents[match[2]] = above[-1][1] if above else None
            above.append((depth, match[2]))
    return parents


def test_the_tree_of_errors_is_as_drawn() -> None:
    assert errors.__doc__
    parents = drawn(errors.__doc__)
    classes = error_classes()
    assert set(parents) == set(classes)
    for name, parent in parents.items():
        assert classes[name].__bases__[0].__name__ == (parent or "Exception")
    assert issubclass(GraphError, ValueError)
    assert issubclass(JobError, RuntimeError)


def test_errors_carry_what_is_known() -> None:
    error = HeadgateError("no table", hint="create it")
    assert not error.final
    assert pickle.loads(pickle.dumps(ConnectorError("no table", final=True))).final
    assert (str(error), error.hint) == ("no table\n  hint: create it", "create it")
    assert (str(HeadgateError("no table")), HeadgateError("no table").hint) == ("no table", None)
    assert (ConnectorError("x").result, JobError("x").result) == (None, None)
    operator = OperatorError("x", operator="map", record=3)
    assert (operator.operator, operator.record) == ("map", 3)
    unread = InputError("x", place="a.csv:3", raw="??")
    assert (unread.place, unread.raw) == ("a.csv:3", "??")


@pytest.mark.parametrize("module", [engine, *MODULES], ids=lambda module: module.__name__)
def test_examples_run(module: ModuleType) -> None:
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_the_examples_are_there() -> None:
    finder = doctest.DocTestFinder()
    tried = sum(len(test.examples) for module in MODULES for test in finder.find(module))
    assert tried > 50


def test_importing_the_engine_is_cheap() -> None:
    import subprocess
    import sys

    heavy = {"asyncio", "rich", "click", "connectors", "zmq", "hypothesis", "numpy"}
    code = "import sys, engine; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("name", ["Job", "Stream", "KeyedStream", "Dataflow"])
def test_reprs_do_not_run_anything(name: str) -> None:
    from tests.engine.helpers import ListSource

    flow = engine.Dataflow("shown")
    made: dict[str, Any] = {
        "Dataflow": flow,
        "Stream": (stream := flow.source(ListSource([]))),
        "KeyedStream": stream.key_by(),
        "Job": object(),
    }
    assert repr(made[name]).startswith("<")
