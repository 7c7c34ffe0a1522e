"""Keys: who may speak to whom in a job over TCP: CURVE keys made for this job, and the doorman that knows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import zmq
from zmq.utils import z85

_DOMAIN = b"headgate"
_ZAP = "inproc://zeromq.zap.01"


class Keys(msgspec.Struct, frozen=True):
    """What one process of a job proves itself with: its key pair, and the public keys of all, by their numbers."""

    secret: bytes
    own: bytes
    public: dict[int, bytes]

    def __repr__(self) -> str:
        return f"<Keys of {self.own!r}>"  # no log shows the secret

    def serve(self, socket: zmq.Socket[Any]) -> None:
        """Only processes of this job can connect to `socket`, and nobody while no Doorman answers for it."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_PUBLICKEY, self.own)
        socket.set(zmq.CURVE_SECRETKEY, self.secret)
        socket.set(zmq.ZAP_DOMAIN, _DOMAIN)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def reach(self, socket: zmq.Socket[Any], process: int) -> None:
        """`socket` connects to nobody but `process`."""
        socket.set(zmq.CURVE_SERVERKEY, self.public[process])
        socket.set(zmq.CURVE_PUBLICKEY, self.own)
        socket.set(zmq.CURVE_SECRETKEY, self.secret)


def new_keys(processes: Iterable[int]) -> dict[int, Keys]:
    """Fresh keys for each of `processes`."""
    pairs = {process: zmq.curve_keypair() for process in processes}
    public = {process: own for process, (own, _) in pairs.items()}
    return {process: Keys(secret, own, public) for process, (own, secret) in pairs.items()}


class Doorman:
    """Tells libzmq of each new connection to a socket of `context` whether it may stay, and whose it is (ZAP, RFC 27).

    Its owner polls `socket` and calls `admit`; until then whoever knocks waits. What comes in over a connection then
    bears the number of the process as its "User-Id".
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys) -> None:
        self._names = {z85.decode(key): str(process).encode() for process, key in keys.public.items()}
        self.socket = context.socket(zmq.REP)
        self.socket.bind(_ZAP)

    def admit(self) -> None:
        """Answer for all who have knocked."""
        while self.socket.poll(0):
            version, request, domain, _, _, mechanism, *credentials = self.socket.recv_multipart()
            known = (domain, mechanism) == (_DOMAIN, b"CURVE")
            name = self._names.get(credentials[0], b"") if known else b""
            self.socket.send_multipart([version, request, b"200" if name else b"400", b"", name, b""])
