"""Run as `python -m tests.engine.shipped FILE`: runs the flow that stands in FILE, and prints how it went as JSON."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

from connectors.memory import collect
from engine import Dataflow
from engine.operations import ToSink
from engine.shipping import fingerprint, load


def collecting(flow: Dataflow, outputs: dict[str, list[Any]]) -> Dataflow:
    """`flow` with its sinks that are at home, which cannot be opened here, replaced."""
    for node in flow.graph.nodes:
        if isinstance(node.operation, ToSink) and node.operation.sink.at_home:
            object.__setattr__(node.operation, "sink", collect(outputs.setdefault(node.name, [])))
    return flow


def main() -> None:
    flow = load(Path(sys.argv[1]).read_bytes())
    mark = fingerprint(flow)
    outputs: dict[str, list[Any]] = {}
    collecting(flow, outputs).run()
    again = pickle.loads(pickle.dumps(outputs))
    types = {node.name: node.type for node in flow.graph.nodes if isinstance(node.type, type)}
    print(
        json.dumps(
            {
                "fingerprint": mark,
                "outputs": {name: sorted(map(repr, rows)) for name, rows in outputs.items()},
                "pickled": outputs == again,
                "typed": all(type(row) is types[name] for name in types for row in outputs.get(name, ())),
                "prepared": sys.argv,
            }
        )
    )


if __name__ == "__main__":
    main()
