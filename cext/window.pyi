"""Window: how many records a channel may hold, from how fast its consumer takes them."""

class Window:
    size: int
    most: int
    floor: int
    frame: int
    def __init__(self, share: float, most: int, frame: int, batch: int = 0, now: int = 0) -> None: ...
    def update(self, now: int, released: int, starved: bool, blocked: bool) -> int: ...
