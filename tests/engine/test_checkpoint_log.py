"""What a job's log says of checkpoints that come to nothing."""

from __future__ import annotations

import logging

import pytest

from engine.checkpoint_log import CheckpointLog
from engine.coordinator import Announce, GiveUp
from engine.restarts import Restarts


def test_why_checkpoints_are_given_up_is_told_once_until_it_changes_or_one_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = CheckpointLog("shop", "state", 0, Restarts(0))
    with caplog.at_level(logging.WARNING, "headgate"):
        for number, why in enumerate(["slow", "slow", "full", "slow", "slow"], start=1):
            log.given_up(GiveUp(number, why, number))
        log.completed(Announce(6, False), 0)
        log.given_up(GiveUp(7, "slow", 1))
    told = [record.getMessage() for record in caplog.records]
    wanted = [(1, "slow"), (3, "full"), (4, "slow"), (7, "slow")]
    assert told == [f"job 'shop': checkpoint {number} was given up: {why}" for number, why in wanted]
    assert (log.metrics.given_up, log.metrics.why) == (6, "slow")
