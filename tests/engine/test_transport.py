"""Transport: where sockets may lie, and at which addresses a job may listen."""

from __future__ import annotations

from pathlib import Path

import pytest

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
