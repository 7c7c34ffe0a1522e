"""A proxy before a TCP socket: connections through it can be cut, held up, turned away or delayed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

INWARD, OUTWARD = 0, 1
"""The directions: to the address behind the proxy, and back."""


class Proxy:
    """Forwards to `address`, a tcp:// one.

    `budgets`: after so many bytes a connection is cut, one number for each of the first connections, counted in
    `direction`; those after them are let be. `delay`: seconds that each piece takes on its way.
    """

    def __init__(
        self, address: str, *, budgets: Iterable[int] = (), direction: int = INWARD, delay: float = 0.0
    ) -> None:
        host, port = address.removeprefix("tcp://").rsplit(":", 1)
        self._there = (host, int(port))
        self._budgets, self._direction, self._delay = list(budgets), direction, delay
        self.cuts = self.connections = 0
        self.forwarded = [0, 0]
        """Bytes, by direction."""
        self._lock = threading.Lock()
        """Over the counters and the open connections."""
        self._flowing, self._closed = threading.Event(), threading.Event()
        self._flowing.set()
        self._is_away = False
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._start(self._accept)

    def cut(self) -> None:
        """Break all connections through it."""
        with self._lock:
            broken, self._open = self._open, []
            self.cuts += len(broken)
        for pair in broken:
            _shut(pair)

    def leave(self) -> None:
        """Break all connections, and those that come until `come_back`."""
        self._is_away = True
        self.cut()

    def come_back(self) -> None:
        """Forward again."""
        self._is_away = False

    def hold(self) -> None:
        """Let nothing through, though connections stay, until `let_go`."""
        self._flowing.clear()

    def let_go(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def close(self) -> None:
        """Take no more, and end what there is."""
        self._closed.set()
        self._flowing.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _start(self, function: object, *arguments: object) -> None:
        assert callable(function)
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._closed.is_set():
                here, _ = self._server.accept()
                if self._is_away or self._closed.is_set():
                    here.close()
                    continue
                self._forward(here)

    def _forward(self, here: socket.socket) -> None:
        try:
            there = socket.create_connection(self._there, 10)
        except OSError:
            here.close()
            return
        there.settimeout(None)
        with self._lock:
            self.connections += 1
            budget = self._budgets.pop(0) if self._budgets else None
            self._open.append((here, there))
        self._start(self._serve, (here, there), budget)

    def _serve(self, pair: tuple[socket.socket, socket.socket], budget: int | None) -> None:
        """Both directions of one connection, until it ends."""
        budgets = [budget if direction == self._direction else None for direction in (INWARD, OUTWARD)]
        back = threading.Thread(target=self._pump, args=(pair, OUTWARD, budgets[OUTWARD]), daemon=True)
        back.start()
        self._pump(pair, INWARD, budgets[INWARD])
        back.join()
        for each in pair:
            each.close()

    def _pump(self, pair: tuple[socket.socket, socket.socket], direction: int, budget: int | None) -> None:
        source, target = pair if direction == INWARD else pair[::-1]
        with suppress(OSError):
            while some := source.recv(1 << 16):
                self._flowing.wait()
                self._closed.wait(self._delay)
                if budget is not None:
                    some, budget = some[:budget], budget - len(some)
                target.sendall(some)
                with self._lock:
                    self.forwarded[direction] += len(some)
                    self.cuts += budget is not None and budget <= 0
                if budget is not None and budget <= 0:
                    break
        _shut(pair)


def _shut(pair: tuple[socket.socket, socket.socket]) -> None:
    for each in pair:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
