"""Waiting: refuses graphs in which a record would wait for a table that waits for that record."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import GraphError
from engine.graph import Graph, Input, Node, feeding
from engine.layout import feeders
from engine.lookups import LookupStream


def check_waits(graph: Graph) -> None:
    """GraphError for a lookup_join whose table cannot be read while its records wait.

    While they do, all that feeds them stops in the end, and so may what others wait for.
    """
    for node in graph.nodes:
        operation = node.operation
        if isinstance(operation, LookupStream) and operation.waits and _holds_itself(graph, node):
            raise GraphError(
                f"{node} would wait for ever: its table is read only if records move that wait for the table",
                hint="say wait=False, or read the table from a source of its own",
            )


def _holds_itself(graph: Graph, node: Node) -> bool:
    """Whether the records that wait at `node` keep from moving what its table needs to be read."""
    needed = list(_behind(graph, (each for each in node.inputs if each.is_table)))
    seen = set(needed)
    for each in needed:  # which grows meanwhile
        for reader, source in _readers(graph, each):
            if reader is node and not source.is_table:
                return True
            if reader is node:
                continue
            more = {reader}
            if isinstance(reader.operation, LookupStream):
                more |= set(_behind(graph, (other for other in reader.inputs if other.is_table)))
            elif len(reader.inputs) > 1:  # it may hold one of its inputs until the others are as far
                more |= set(_behind(graph, reader.inputs))
            if node in more:
                return True
            needed += more - seen
            seen |= more
    return False


def _behind(graph: Graph, inputs: Iterator[Input] | tuple[Input, ...]) -> Iterator[Node]:
    """All nodes that feed `inputs`, near and far."""
    for each in feeding(inputs):
        yield from feeders(graph, each)


def _readers(graph: Graph, node: Node) -> Iterator[tuple[Node, Input]]:
    for reader in graph.nodes:
        for source in reader.inputs:
            if source.node is node or (source.node is None and node.on_error == "dead-letter"):
                yield reader, source
