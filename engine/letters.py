"""DeadLetter: a record that an operator could not handle, and why."""

from __future__ import annotations

from typing import Any

import msgspec


class DeadLetter(msgspec.Struct, frozen=True):
    """What `Dataflow.dead_letters` carries.

    `operator`: who could not handle it; `place`: the file and line where the record was read or the operator written;
    `error`: the exception's type and text; `record`: the record as it came, or the raw text that could not be read.
    """

    operator: str
    place: str
    error: str
    record: Any
