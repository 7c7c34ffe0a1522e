"""Meaning: whatever keeps state says what it hangs on, so that no operator goes on from the state of another."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import engine
from cext.chain import Operator
from cext.head import Head
from engine import Dataflow
from engine.operation import Operation
from engine.plan import Plan
from engine.worker import Worker, list_partitions
from tests.cext.test_snapshots import below
from tests.engine.every_operator import build
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoints_of_operators import OPERATORS, flow_of

NOT_TRIED = {"Join": "a base", "Combines": "a step of a plan's own: at a barrier it holds nothing of the user's"}


def lookup() -> Dataflow:
    flow = Dataflow("lookup")
    table = flow.source(Numbers(1), name="table").map(str)
    flow.source(Numbers(1), name="numbers").lookup_join(table, on=str, table_key=str).sink(Shown())
    return flow


def test_every_operator_that_keeps_state_says_what_it_hangs_on() -> None:
    for module in pkgutil.iter_modules(engine.__path__):
        import_module(f"engine.{module.name}")
    tried = set()
    for flow in (build({}), flow_of(list(OPERATORS), [Shown() for _ in OPERATORS]), lookup()):
        worker = Worker(Plan.of(flow), list_partitions(Plan.of(flow)))
        natives: list[Head | Operator] = [task.head for task in worker.tasks]
        natives += [each for task in worker.tasks for each in task.chain]
        keeping = {each.name for each in natives if keeps(each)}
        for node in (node for task in worker.plan.tasks for node in task.nodes):
            tried.add(type(node.operation))
            if node.name in keeping:
                said = node.operation.meaning(node.inputs) or node.operation.parts
                assert said, f"{node} keeps state, and does not say what that hangs on"
    left = {each.__name__ for each in below(Operation)} - {each.__name__ for each in tried}
    assert left == set(NOT_TRIED), "operators that no flow here has"


def keeps(native: Head | Operator) -> bool:
    return any("snapshot" in vars(base) for base in type(native).__mro__ if base not in {Head, Operator})
