"""All peers that are installed, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.sampling import Run

NAMES = {"push_pull": "", "bounded_queue": "", "bytewax_cluster": "bytewax"}
"""The module of each peer, and the extra that it takes."""


def run_all(profile: Profile, say: Callable[[str], None]) -> Iterator[Run]:
    """Run each; `say` why one is skipped."""
    if profile.sinks > 1:
        say(f"no peers: profile {profile.name} has {profile.sinks} sinks, and they run one")
        return
    for name, extra in NAMES.items():
        try:
            peer = import_module(f"benchmarks.slow_sink.peers.{name}")
        except ModuleNotFoundError as error:
            say(f"skipped: {name} needs {error.name}: pip install 'headgate[{extra}]'")
            continue
        say(f"{name} ...")
        yield peer.run(profile)
