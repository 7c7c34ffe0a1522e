"""Cuts: links that break, stall or are away for a while lose nothing, double nothing, and keep the order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine import JobError
from tests.faults.conftest import RUNS, SEED, eventually
from tests.faults.proxy import Proxy
from tests.faults.wire import TCP, Victim, detours, victim

pytestmark = pytest.mark.timeout(80)

CUTS = 4


@contextmanager
def linked_through(
    proxies: list[Proxy],
    tmp_path: Path,
    dice: random.Random | None = None,
    silence: str = "10s",
    delay: float = 0.0,
) -> Iterator[Victim]:
    """A victim whose links go through proxies, which cut where `dice` say so; every other one leads to signals."""

    def detour(address: str) -> str:
        budgets = [dice.randrange(20_000, 2_000_000) for _ in range(CUTS)] if dice and len(proxies) % 2 == 0 else []
        proxies.append(Proxy(address, budgets=budgets, delay=delay))
        return proxies[-1].address

    try:
        with detours(links=detour), victim(tmp_path, TCP, at_home=True, silence=silence) as job:
            yield job
    finally:
        for each in proxies:
            each.close()


def resent(job: Victim) -> int:
    """How many messages went from home again."""
    return sum(each.resent for outlets in job.job.attempt.part.worker.outlets.values() for each in outlets)


@pytest.mark.parametrize("run", range(min(RUNS, 20)))
def test_what_a_cut_connection_lost_is_sent_again(tmp_path: Path, run: int) -> None:
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path, random.Random(f"{SEED} {run}")) as job:
        eventually(lambda: sum(each.cuts for each in proxies) >= 2 * CUTS, f"seed {SEED}, run {run}: too few cuts")
        job.goes_on()
        assert resent(job) > 0
        job.finish()


def test_all_connections_are_cut_at_once_again_and_again(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path) as job:
        for _ in range(5):
            for each in proxies:
                each.cut()
            job.goes_on()
        job.finish()


def test_a_long_way_that_is_cut_again_and_again(tmp_path: Path) -> None:
    """50 ms there and 50 ms back: at each cut a lot is on its way."""
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path, delay=0.05) as job:
        for _ in range(3):
            for each in proxies:
                each.cut()
            job.goes_on(5_000)
        job.finish()


def test_a_connection_that_stalls_holds_the_source_back_and_then_all_goes_on(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path) as job:
        for each in proxies:
            each.hold()
        before = -1

        def is_still() -> bool:
            nonlocal before
            last, before = before, job.job.metrics().records_read
            return last == before and job.job.metrics().in_flight > 0

        for _ in range(20):  # looks, a hundredth of a second apart, that all see the same
            eventually(is_still, "the source was never held back")
        assert job.job.metrics().records_read - len(job.got) <= job.job.metrics().bound
        for each in proxies:
            each.let_go()
        job.goes_on()
        job.finish()


def test_a_peer_that_takes_connections_but_is_silent_is_not_out_of_reach(tmp_path: Path) -> None:
    """As one whose process is stopped: whether it lives, its control connection tells."""
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path, silence="2s") as job:
        for each in proxies:
            each.hold()
            each.cut()
        assert not job.job.join(5)
        for each in proxies:
            each.let_go()
            each.cut()
        job.goes_on()
        job.finish()


def test_peers_that_are_away_for_a_while_are_waited_for(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path) as job:
        for each in proxies:
            each.leave()
        assert not job.job.join(2)
        for each in proxies:
            each.come_back()
        job.goes_on()
        job.finish()


@pytest.mark.parametrize("go", [Proxy.close, Proxy.leave], ids=["nobody listens", "somebody takes it and hangs up"])
def test_a_peer_that_is_out_of_reach_for_good_ends_the_job_and_is_named(
    tmp_path: Path, go: Callable[[Proxy], None]
) -> None:
    proxies: list[Proxy] = []
    with linked_through(proxies, tmp_path, silence="2s") as job:
        for each in proxies:
            go(each)
        said = r"(home|worker-\d) has had no connection to (home|worker-\d), which listens at tcp://.*:\d+, for 2 s"
        with pytest.raises(JobError, match=said + r"\n  hint: .* less than Settings\.silence"):
            job.job.wait(30)
