"""What is counted of one source, on a clock that the tests move."""

from __future__ import annotations

import pytest

from guard.scheduling.counts import Counts, Statistics


def statistics(counts: Counts, now_s: float) -> Statistics:
    return counts.statistics(now_s, waiting=False, budget_per_s=5.0)


def test_the_rate_is_that_of_turns_in_time_over_the_last_ten_seconds():
    counts = Counts()
    for number in range(100):
        counts.turned(number * 0.2, 0.01, late=number % 2 == 1, failed=False)
    assert statistics(counts, 20.0).rate_per_s == pytest.approx(2.5, abs=0.2)
    assert statistics(counts, 25.0).rate_per_s == pytest.approx(1.25, abs=0.2)
    assert statistics(counts, 31.0).rate_per_s == 0.0


def test_two_turns_in_a_row_are_no_rate():
    counts = Counts()
    counts.turned(100.0, 0.0, late=False, failed=False)
    counts.turned(100.01, 0.0, late=False, failed=False)
    assert statistics(counts, 100.02).rate_per_s <= 1.0


def test_a_rate_beyond_what_is_remembered_is_still_that_rate():
    counts = Counts()
    for number in range(5000):
        counts.turned(number / 100, 0.0, late=False, failed=False)
    assert statistics(counts, 50.0).rate_per_s == pytest.approx(100, rel=0.02)


def test_lags_are_percentiles_of_the_same_turns():
    counts = Counts()
    for number in range(200):
        counts.turned(number / 100, (number % 100 + 1) / 1000, late=False, failed=False)
    found = statistics(counts, 2.0)
    assert (found.lag_p50_s, found.lag_p95_s, found.lag_max_s) == (0.050, 0.095, 0.100)
    assert statistics(counts, 60.0).lag_p50_s is None


def test_what_was_counted_stays_while_the_counting_goes_on():
    counts = Counts()
    copy = counts.copy()
    counts.turned(1.0, 0.0, late=True, failed=True)
    assert (counts.late, counts.failed, copy.late, copy.failed) == (1, 1, 0, 0)
