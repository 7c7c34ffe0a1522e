"""Layout: how many times each operator runs, and in which process."""

from __future__ import annotations

from collections.abc import Iterator

from engine.graph import Graph, Input, Node, feeding
from engine.operations import FromSource, ToSink

HOME = 0
"""The process that runs the job: the user's own. Workers count from 1."""


def layout(graph: Graph, processes: int | None) -> dict[Node, tuple[int, ...]]:
    """For each node the worker of each of its instances; nodes stand behind all that feed them.

    Where the user says nothing, a source and whatever is keyed runs once in each process of its stage, so does the
    first operator of a stage, and all others run as often as what feeds them: so records are spread only where they are
    read, where keys say so, and where the user does, and the order within a key is kept from the source to the sink.
    """
    stages = _stages(graph, processes)
    placed: dict[Node, tuple[int, ...]] = {}
    for node in in_order(graph):
        workers = stages[node.stage]
        times = node.parallelism or _times(graph, node, placed, len(workers))
        placed[node] = tuple(HOME if _is_at_home(node) else workers[i % len(workers)] for i in range(times))
    return placed


def in_order(graph: Graph) -> list[Node]:
    """The nodes, each behind all that feed it: dead letters may come from nodes written later than their readers."""
    return sorted(graph.nodes, key=lambda node: any(each.node is None for each in feeding(node.inputs)))


def feeders(graph: Graph, source: Input) -> Iterator[Node]:
    """The nodes that `source` comes from: one, or for dead letters all that send some."""
    if source.node is not None:
        yield source.node
    else:
        yield from (node for node in graph.nodes if node.on_error == "dead-letter")


def _stages(graph: Graph, processes: int | None) -> dict[str, range]:
    """The workers of each stage; without any, all is at home."""
    if not graph.stages and (processes or 1) == 1:
        return {"": range(HOME, HOME + 1)}
    stages: dict[str, range] = {}
    first = HOME + 1
    for name, width in {"": processes or 1, **graph.stages}.items():
        stages[name] = range(first, first + width)
        first += width
    return stages


def _times(graph: Graph, node: Node, placed: dict[Node, tuple[int, ...]], width: int) -> int:
    operation = node.operation
    if isinstance(operation, FromSource):
        return 1 if operation.source.at_home else width
    inputs = [each for each in node.inputs if not each.is_table]
    if any(source.route == "hash" for source in inputs):
        return width
    before = [feeder for source in inputs for feeder in feeders(graph, source)]
    if isinstance(operation, ToSink) and operation.sink.at_home:
        return max(node.parallelism or 1 for node in before)
    if all(feeder.stage != node.stage for feeder in before):
        return width
    return max(len(placed[feeder]) for feeder in before)


def _is_at_home(node: Node) -> bool:
    operation = node.operation
    if isinstance(operation, FromSource):
        return operation.source.at_home
    return isinstance(operation, ToSink) and operation.sink.at_home


def worker_name(number: int) -> str:
    """What a process of a job is called."""
    return "home" if number == HOME else f"worker {number}"
