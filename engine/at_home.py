"""Stand-ins: what workers have in the place of sources and sinks that stay in the process that runs the job."""

from __future__ import annotations

from typing import Any

from engine.errors import ConnectorError
from engine.sink import Sink, SinkContext, Writer
from engine.source import Reader, Source

_SOURCE = ("type", "blocking", "bounded", "name")
_SINK = ("blocking", "batch_records", "name")


def stand_in(thing: Source[Any] | Sink[Any]) -> Any:
    """How `thing` is pickled: as a plan needs it, and not to be opened."""
    kind, kept = (_SourceAtHome, _SOURCE) if isinstance(thing, Source) else (_SinkAtHome, _SINK)
    return kind, (), {name: getattr(thing, name) for name in kept}


class _SourceAtHome(Source[Any]):
    at_home = True

    def open(self, partition: str) -> Reader[Any]:
        raise _not_here("source", self.name)


class _SinkAtHome(Sink[Any]):
    at_home = True

    def open(self, context: SinkContext) -> Writer[Any]:
        raise _not_here("sink", self.name)


def _not_here(role: str, name: str) -> ConnectorError:
    return ConnectorError(f"the {role} {name!r} stays in the process that runs the job; a worker cannot open it")
