"""Frame: what travels in a channel, a run of records or one mark."""

from typing import Any, final

@final
class Frame:
    kind: int
    rows: list[Any]
    records: int
    value: int
    born: int

def data(rows: list[Any], born: int = 0) -> Frame: ...
def watermark(time: int) -> Frame: ...
def idle() -> Frame: ...
def barrier(checkpoint: int) -> Frame: ...
def end(whole: bool = True) -> Frame: ...
