"""Whose turn it is, counted on a clock that the tests move."""

from __future__ import annotations

import heapq
from types import SimpleNamespace
from typing import Any

import pytest

from guard.scheduling.turns import Place, Turns


def place(analyse_per_s: float = 5.0) -> Place:
    source: Any = SimpleNamespace(analyse_per_s=analyse_per_s)
    return Place(source)


def turns_in(places: list[Place], *, fps: list[float], seconds: float, turn_s: float) -> list[int]:
    """How many turns each source had where one worker needs `turn_s` for each, and frames come at `fps`."""
    turns = Turns()
    had = [0] * len(places)
    coming = [(number / len(places) / rate, number) for number, rate in enumerate(fps)]
    heapq.heapify(coming)
    now_s = 0.0
    frame: Any = object()
    while now_s < seconds:
        while coming[0][0] <= now_s:
            at_s, number = heapq.heappop(coming)
            turns.offer(places[number], frame)
            heapq.heappush(coming, (at_s + 1 / fps[number], number))
        turn = turns.take(now_s)
        if turn is None:
            now_s = min(coming[0][0], max(turns.next_s(), now_s + 1e-6))
            continue
        had[places.index(turn[0])] += 1
        now_s += turn_s
        turns.finish(turn[0])
    return had


def test_with_time_enough_every_source_has_its_budget():
    had = turns_in([place() for _ in range(4)], fps=[5.0] * 4, seconds=100, turn_s=0.01)
    assert had == pytest.approx([500] * 4, rel=0.01)


def test_a_source_that_sends_more_gets_no_more_than_its_budget():
    assert turns_in([place()], fps=[30.0], seconds=100, turn_s=0.001) == pytest.approx([500], rel=0.01)


def test_under_overload_all_rates_fall_alike():
    had = turns_in([place() for _ in range(40)], fps=[5.0] * 40, seconds=100, turn_s=0.02)
    assert sum(had) == pytest.approx(100 / 0.02, rel=0.01)
    assert max(had) - min(had) <= 3


def test_under_overload_shares_follow_the_budgets():
    had = turns_in([place(10.0), place(5.0), place(5.0)], fps=[25.0] * 3, seconds=200, turn_s=0.1)
    assert had == pytest.approx([1000, 500, 500], rel=0.02)


def test_a_source_that_floods_takes_nothing_from_the_others():
    had = turns_in([place() for _ in range(8)], fps=[1000.0] + [5.0] * 7, seconds=100, turn_s=0.05)
    assert had[0] == pytest.approx(100 / 0.05 / 8, rel=0.03)
    assert min(had[1:]) >= 0.97 * had[0]


def test_a_source_that_was_silent_saves_up_nothing():
    turns, frame = Turns(), object()
    steady, silent = place(1000.0), place(1000.0)
    for number in range(500):
        turns.offer(steady, frame)  # type: ignore[arg-type]
        assert turns.take(number) == (steady, frame)
        turns.finish(steady)
    order = []
    for number in range(500, 520):
        for each in (steady, silent):
            if each.waiting is None:
                turns.offer(each, frame)  # type: ignore[arg-type]
        turn = turns.take(number)
        assert turn is not None
        turns.finish(turn[0])
        order.append(turn[0])
    assert order.count(silent) == 10


def test_only_the_newest_frame_waits_and_the_others_count_as_dropped():
    turns, one = Turns(), place()
    frames: list[Any] = [object() for _ in range(100)]
    assert [turns.offer(one, frame) for frame in frames] == [False] + [True] * 99
    assert turns.take(0.0) == (one, frames[-1])
    assert (one.counts.offered, one.counts.dropped) == (100, 99)
    turns.finish(one)
    assert turns.take(1000.0) is None


def test_a_source_that_is_being_handled_has_no_second_turn():
    turns, one, frame = Turns(), place(), object()
    turns.offer(one, frame)  # type: ignore[arg-type]
    turns.take(0.0)
    turns.offer(one, frame)  # type: ignore[arg-type]
    assert turns.take(1000.0) is None
    turns.finish(one)
    assert turns.take(1000.0) == (one, frame)


def test_frames_that_come_unevenly_lose_no_turn():
    turns, one, frame = Turns(), place(5.0), object()
    for number in range(200):
        turns.offer(one, frame)  # type: ignore[arg-type]
        assert turns.take(number * 0.2 + (0.05 if number % 2 else -0.04)) is not None
        turns.finish(one)


def test_it_says_when_the_next_turn_may_begin():
    turns, one, frame = Turns(), place(5.0), object()
    assert turns.next_s() == float("inf")
    turns.offer(one, frame)  # type: ignore[arg-type]
    turns.take(100.0)
    turns.finish(one)
    turns.offer(one, frame)  # type: ignore[arg-type]
    assert turns.next_s() == pytest.approx(100.1)
    assert turns.take(100.09) is None
    assert turns.take(100.11) is not None
