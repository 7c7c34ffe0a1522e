"""Second runs: what a finished job that reads what is new would count twice, told as a warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from engine.graph import Node, feeding
from engine.keyed_operations import Aggregated
from engine.plan import Plan

_logger = logging.getLogger("headgate")

_NOT_ITS_OWN = {"source", "sink", "event_time"}
"""Kinds whose state is of no results: where they are, and what they have to show."""


def tell_of_totals(plan: Plan, known: Mapping[str, Mapping[str, object]], listed: Mapping[str, Sequence[str]]) -> None:
    """Warn where all that was there before has been read, something new is there, and an operator behind totals of the
    whole stream would take in those of both runs. `known`: of each source its partitions, None where they are read."""
    had = [reached for partitions in known.values() for reached in partitions.values()]
    is_more = any(each not in known.get(name, ()) for name, partitions in listed.items() for each in partitions)
    if had and is_more and not any(reached is not None for reached in had):
        for node, totals in behind_totals(plan):
            _logger.warning(
                "operator %s has taken in the totals of %r, and now takes in those of this run too, "
                "of the keys that have new records: run it all in another directory where each is to count once",
                node,
                totals.name,
            )


def behind_totals(plan: Plan) -> Iterator[tuple[Node, Node]]:
    """The operators that keep state of results which an aggregate of the whole stream gives at its end, with that."""
    for node in (node for task in plan.tasks for node in task.nodes):
        operation = node.operation
        if operation.kind not in _NOT_ITS_OWN and (operation.meaning(node.inputs) or operation.parts):
            above = (each.node for each in feeding(node.inputs) if each.node is not None)
            totals = next((each for each in above if type(each.operation) is Aggregated), None)
            if totals is not None:
                yield node, totals
