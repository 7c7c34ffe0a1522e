"""Moments against a plain set: any order of adding, removing and taking; what is kept in order stays small."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cext.moments import Moments

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(-5, 20), st.sampled_from("abc")),
        st.tuples(st.just("cancel"), st.integers(-5, 20), st.sampled_from("abc")),
        st.tuples(st.just("take"), st.integers(-5, 20), st.none()),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(steps)
def test_each_comes_once_in_order_of_time_then_of_adding(script: list[tuple[str, int, str | None]]) -> None:
    moments, plain = Moments(), list[tuple[int, str]]()
    for step, time, what in script:
        if step == "take":
            due = sorted((each for each in plain if each[0] <= time), key=lambda each: each[0])
            assert moments.take_until(time) == due
            plain = [each for each in plain if each[0] > time]
            continue
        assert what is not None
        there = (time, what) in plain
        if step == "put":
            assert moments.put(time, what) is not there
            plain += [] if there else [(time, what)]
        else:
            assert moments.cancel(time, what) is there
            plain = [each for each in plain if each != (time, what)]
        assert moments.count == len(plain)
    assert moments.take_until(100) == sorted(plain, key=lambda each: each[0])


def test_times_that_were_cancelled_do_not_pile_up() -> None:
    moments = Moments()
    for time in range(10_000):
        moments.put(time, "key")
        moments.cancel(time, "key")
    assert moments.known_times < 100
    moments.put(5, "other")
    assert moments.take_until(10_000) == [(5, "other")]
