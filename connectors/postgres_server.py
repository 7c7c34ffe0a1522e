"""A PostgreSQL server: how it is reached, how it is named without its password, what its values are read as."""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from psycopg.adapt import AdaptersMap, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.multirange import MultirangeInfo
from psycopg.types.range import RangeInfo

from engine.errors import GraphError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


@dataclass(frozen=True)
class Server:
    """What `conninfo` says; `timeout`: for how many seconds a connection that was lost is tried to be made again."""

    conninfo: str
    timeout: float

    def __post_init__(self) -> None:
        if self.timeout < 0:
            raise GraphError(f"wanted a timeout of 0 seconds or more, came {self.timeout!r}")
        try:
            conninfo_to_dict(self.conninfo)
        except psycopg.Error as error:
            # What libpq quotes may be the password.
            reason = re.sub(r'"[^"]*"', '"..."', str(error).strip())
            hint = "as in 'host=db.example dbname=shop user=etl', or postgresql://etl@db.example/shop"
            raise GraphError(f"the conninfo cannot be understood: {reason}", hint=hint) from None

    @property
    def name(self) -> str:
        """The database and where it is, as messages have them."""
        said = conninfo_to_dict(self.conninfo)

        def part(keyword: str, variable: str, default: str) -> str:
            return str(said.get(keyword) or os.environ.get(variable) or default)

        if said.get("service"):
            return f"service {said['service']!r}"
        host = part("hostaddr" if said.get("hostaddr") else "host", "PGHOST", "the local socket")
        user = part("user", "PGUSER", "the user's own")
        return f"database {part('dbname', 'PGDATABASE', user)} at {host}:{part('port', 'PGPORT', '5432')}"

    def address(self) -> str:
        """The conninfo with what every connection of ours has."""
        said = conninfo_to_dict(self.conninfo)
        # Under another encoding text would not be what Python's is.
        ours: dict[str, Any] = {"connect_timeout": 10, "fallback_application_name": "headgate", **said}
        return make_conninfo(**{**ours, "client_encoding": "utf8"})


class _AsText(Loader):
    def load(self, data: Any) -> str:
        return bytes(data).decode()


def adapt(adapters: AdaptersMap, connection: Any) -> None:
    """Have values read as records may have them: JSON, and what Python has no plain type for, as their text."""
    set_json_loads(lambda data: data if isinstance(data, str) else bytes(data).decode(), connection)
    set_json_dumps(msgspec.json.encode, connection)
    odd = [info.name for info in adapters.types if isinstance(info, RangeInfo | MultirangeInfo)]
    for name in ("inet", "cidr", "record", *odd):
        adapters.register_loader(name, _AsText)


class Patience:
    """How long it is worth trying again: for so many `seconds`, at growing intervals."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def pause(self) -> float | None:
        """Seconds to wait before the next try, None when there shall be no more."""
        left = self._end - time.monotonic()
        if left <= 0:
            return None
        pause = self._pause * random.uniform(0.5, 1)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return min(pause, left)
