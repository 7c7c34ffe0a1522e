"""Message: what a channel between processes sends over the wire, a header and a payload."""

from typing import Any, final

@final
class Message:
    payload: bytes
    sent_at: int
    @property
    def header(self) -> bytes: ...
    @property
    def size(self) -> int: ...

def sender_of(header: Any) -> int | None: ...
