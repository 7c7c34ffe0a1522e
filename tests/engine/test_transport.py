"""Transport: where sockets may lie, and at which addresses a job may listen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import zmq

from engine import ConnectorError, HeadgateError, Settings
from engine.keys import new_keys
from engine.transport import Place, Transport


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(HeadgateError, match=r"that only its user can enter, but .* is drwxr-xr-x"):
        Transport(Place(str(tmp_path)), 1, 1024, {})


def test_a_link_to_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(HeadgateError, match=r"that only its user can enter, but .* is l"):
        Transport(Place(str(tmp_path / "link")), 1, 1024, {})


def test_an_address_of_another_machine_cannot_be_listened_at() -> None:
    place = Place(host="192.0.2.1", keys=new_keys([1])[1])
    with pytest.raises(ConnectorError, match=r"no socket could be made at tcp://192\.0\.2\.1:\*"):
        Transport(place, 1, 1024, {})


@pytest.mark.parametrize("listen", ["localhost", "*", "0.0.0.0", "::", "224.0.0.1", "127.0.0.1:80"])
def test_a_job_listens_at_one_address(listen: str) -> None:
    with pytest.raises(ValueError, match="IP address of this machine"):
        Settings(listen=listen)


def test_keys_do_not_show_their_secret() -> None:
    keys = new_keys([0, 1])[1]
    assert keys.secret.decode() not in repr(Place(keys=keys))


def test_a_connection_that_is_lost_as_its_socket_lets_go_of_it_holds_nothing_up(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A socket that is closed lets go of a connection first and tells its listener then. That a connection is lost in
    between is rare, so it is made to let go of one in another way: for its successor, of the same name."""
    folder = tmp_path_factory.mktemp("t")  # paths of sockets are short
    folder.chmod(0o700)
    transport = Transport(Place(str(folder)), 0, 1 << 20, {})
    router, address = transport.control()
    router.set(zmq.ROUTER_HANDOVER, 1)

    def worker() -> zmq.Socket[bytes]:
        socket = workers.socket(zmq.DEALER)
        socket.set(zmq.RCVHWM, 1)
        socket.set(zmq.ROUTING_ID, b"worker")
        socket.connect(address)
        socket.send(b"hello")
        assert router.poll(10_000)
        assert router.recv_multipart() == [b"worker", b"hello"]
        return socket

    with zmq.Context() as workers:
        workers.setsockopt(zmq.LINGER, 0)
        first = worker()
        for _ in range(100):  # more than the system takes: the connection has something left to send
            router.send_multipart([b"worker", bytes(1 << 16)])
        with worker():
            first.close()
            while transport.speakers != 1:
                assert any(events.poll(10_000) for events, _ in transport.door)
                transport.attend()
            closing = threading.Thread(target=transport.close, daemon=True)
            closing.start()
            closing.join(10)
            assert not closing.is_alive(), "the transport does not close"
