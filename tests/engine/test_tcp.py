"""Jobs whose processes reach each other over TCP."""

from __future__ import annotations

import socket

import pytest

from connectors.memory import collect, generate
from engine import Dataflow, Settings


@pytest.mark.parametrize("listen", ["127.0.0.1", "::1"])
def test_a_job_over_tcp_gives_what_it_gives_over_files(listen: str) -> None:
    if listen == "::1":
        try:
            socket.create_server((listen, 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"this machine has no IPv6: {error}")
    flow = Dataflow("tcp", settings=Settings(listen=listen))
    got: list[int] = []
    flow.source(generate(int, count=5000)).key_by(abs).map(abs).sink(collect(got))
    result = flow.run(processes=2)
    assert sorted(got) == list(range(5000))
    assert (result.state, result.refused) == ("finished", {})
