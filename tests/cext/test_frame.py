"""Frames: rows or a mark, never half of either."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.frame import Frame, barrier, data, end, idle, watermark

WATERMARK, BARRIER, END = 1, 2, 3
INT64 = st.integers(-(2**63), 2**63 - 1)


class Thing:
    pass


@given(st.lists(st.integers(), min_size=1), INT64)
def test_a_frame_of_records_costs_as_many_as_it_holds(rows: list[int], born: int) -> None:
    frame = data(rows, born)
    assert (frame.kind, frame.rows, frame.records, frame.value, frame.born) == (0, rows, len(rows), 0, born)


@given(INT64)
def test_marks_carry_their_value_and_cost_nothing(value: int) -> None:
    for mark, kind in ((watermark(value), WATERMARK), (barrier(value), BARRIER)):
        assert (mark.kind, mark.value, mark.records, mark.rows, mark.born) == (kind, value, 0, [], 0)


def test_an_end_says_whether_the_stream_is_whole() -> None:
    assert [(end(whole).kind, end(whole).value) for whole in (True, False)] == [(END, 1), (END, 0)]
    assert end().value == 1


def test_an_empty_frame_of_records_is_refused() -> None:
    with pytest.raises(ValueError, match="holds at least one"):
        data([])


@pytest.mark.parametrize("rows", [None, (1, 2), "ab", iter([1])])
def test_rows_are_a_list(rows: Any) -> None:
    with pytest.raises(TypeError):
        data(rows)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_value_beyond_64_bits_is_refused(value: int) -> None:
    for make in (watermark, barrier, lambda born: data([1], born)):
        with pytest.raises(OverflowError):
            make(value)


def test_a_frame_cannot_be_half_built() -> None:
    build: Any = Frame
    for arguments in ((), (None,), (object(),), ([1], 0)):
        with pytest.raises(TypeError):
            build(*arguments)
        with pytest.raises(TypeError):
            build.__new__(build, *arguments)
    with pytest.raises(TypeError):
        type("Own", (build,), {})


def test_a_frame_cannot_be_changed_or_copied() -> None:
    frame: Any = data([1, 2, 3])
    for name in ("kind", "rows", "records", "value", "born"):
        with pytest.raises(AttributeError):
            setattr(frame, name, 1)
    for how in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            how(frame)


def test_a_frame_shows_what_it_is() -> None:
    shown = [repr(frame) for frame in (data([1, 2]), watermark(-7), barrier(3), end(), end(False), idle())]
    assert shown == ["data(2 records)", "watermark(-7)", "barrier(3)", "end(1)", "end(0)", "idle(0)"]


def test_a_frame_lets_go_of_its_rows() -> None:
    thing = Thing()
    seen = weakref.ref(thing)
    frame = data([thing])
    del thing
    assert seen() is frame.rows[0]
    del frame
    assert seen() is None


def test_a_frame_in_a_cycle_is_collected() -> None:
    thing = Thing()
    seen = weakref.ref(thing)
    thing.frame = data([thing])  # type: ignore[attr-defined]
    del thing
    gc.collect()
    assert seen() is None


def test_frames_of_the_free_list_come_back_clean() -> None:
    for _ in range(3):
        frames = [data([i], i) for i in range(1000)]
        del frames
        marks = [watermark(i) for i in range(1000)]
        assert all(mark.rows == [] and mark.born == 0 and mark.records == 0 for mark in marks)
        del marks
