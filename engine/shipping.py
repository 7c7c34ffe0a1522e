"""How a flow travels to a worker process, and how both know that they have the same one."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import sys
from typing import TYPE_CHECKING, Any, cast

import msgspec

from engine.culprit import blame
from engine.errors import GraphError, JobError
from engine.graph import Graph, Node
from engine.modules import Surroundings, in_worker
from engine.pickling import FlowPickler
from engine.types import fields_of

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

__all__ = ["dump", "fingerprint", "in_worker", "load"]

_LENGTH = 4


def dump(flow: Dataflow) -> bytes:
    """All that a fresh interpreter needs to have `flow` too.

    Raises GraphError, with the operator, its line and what to do, where a part of it cannot travel.

    >>> from connectors.memory import discard, generate
    >>> from engine import Dataflow
    >>> flow = Dataflow("squares")
    >>> flow.source(generate(lambda i: i * i, count=3)).sink(discard())
    >>> len(dump(flow)) > 100
    True
    """
    here = Surroundings.here()
    try:
        body = _pickled(flow, here)
    except JobError:  # a table at home that could not be read
        raise
    except Exception as error:

        def failure(value: Any) -> Exception | None:
            try:
                _pickled(value, here)
            except Exception as reason:
                return reason
            return None

        raise blame(flow, failure, error) from error
    # JSON, since a path may hold bytes that are no UTF-8, which msgpack refuses.
    head = json.dumps([list(sys.version_info[:2]), msgspec.to_builtins(here)]).encode()
    return len(head).to_bytes(_LENGTH, "big") + head + body


def load(data: bytes) -> Dataflow:
    """The flow that `dump` made `data` of; for a fresh interpreter, which takes over path, folder and main module.

    Raises GraphError where the user's program cannot be imported again, or has not what the flow uses.
    """
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    version, surroundings = json.loads(data[_LENGTH:end])
    if tuple(version) != sys.version_info[:2]:
        came, here = (".".join(map(str, each)) for each in (version, sys.version_info[:2]))
        raise GraphError(
            f"the flow was sent by Python {came}, and this worker runs {here}", hint="run both on one version"
        )
    msgspec.convert(surroundings, Surroundings).enter()
    try:
        return cast("Dataflow", pickle.loads(data[end:]))
    except (AttributeError, ImportError) as error:
        raise GraphError(
            f"a worker has not all that the flow uses: {error}",
            hint='define functions and record types at the top level of a module, not under if __name__ == "__main__":',
        ) from error


def _pickled(value: Any, here: Surroundings) -> bytes:
    file = io.BytesIO()
    FlowPickler(file, here).dump(value)
    return file.getvalue()


def fingerprint(flow: Dataflow) -> str:
    """The same text in every process for the same plan, another for any other: names, operations, routes, types.

    >>> from engine import Dataflow
    >>> fingerprint(Dataflow("one")) == fingerprint(Dataflow("one")) != fingerprint(Dataflow("two"))
    True
    """
    lines = [f"{flow.name!r} {flow.settings!r}", *(_line(flow.graph, node) for node in flow.graph.nodes)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _line(graph: Graph, node: Node) -> str:
    inputs = [
        (None if each.node is None else graph.nodes.index(each.node), each.output, each.route, str(each.key))
        for each in node.inputs
    ]
    operation = f"{type(node.operation).__name__} {node.operation.describe()}"
    return f"{node.name!r} {operation} {inputs} {node.on_error} {node.parallelism} {node.outputs} {_type(node.type)}"


def _type(record_type: Any) -> str:
    fields = fields_of(record_type) or {}
    return " ".join([_type_name(record_type), *(f"{name}: {_type_name(each)}" for name, each in fields.items())])


def _type_name(known: Any) -> str:
    """A type as every process writes it: where the main program is imported again, that is `__mp_main__`."""
    text = f"{known.__module__}.{known.__qualname__}" if type(known) is type else repr(known)
    return re.sub(r" at 0x[0-9a-f]+", "", text.replace("__mp_main__", "__main__"))
