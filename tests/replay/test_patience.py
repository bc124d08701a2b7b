"""Waiting with a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from guard.errors import SourceError
from guard.replay.patience import Impatient, within


def late() -> SourceError:
    return SourceError("too late")


def test_everything_comes_through_in_order():
    assert list(Impatient(iter(range(100)), patience_s=5, late=late)) == list(range(100))


def test_an_error_of_the_reader_reaches_the_one_who_waits():
    def items() -> Iterator[int]:
        yield 1
        raise SourceError("broken")

    reader = Impatient(items(), patience_s=5, late=late)
    assert next(reader) == 1
    with pytest.raises(SourceError, match="broken"):
        next(reader)
    assert list(reader) == []


def test_silence_is_late_and_ends_it():
    hang = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        hang.wait(20)

    reader = Impatient(items(), patience_s=0.2, late=late)
    assert next(reader) == 1
    with pytest.raises(SourceError, match="too late"):
        next(reader)
    assert reader.reading
    hang.set()
    reader.stop(wait_s=5)
    assert not reader.reading


def test_a_slow_consumer_of_a_live_reader_gets_the_newest():
    def items() -> Iterator[int]:
        yield from range(1000)

    reader = Impatient(items(), patience_s=5, late=late, depth=2, drop_oldest=True)
    deadline = time.monotonic() + 5
    while reader.reading and time.monotonic() < deadline:
        time.sleep(0.01)
    got = list(reader)
    assert got[-1] == 999
    assert len(got) <= 2
    assert reader.dropped >= 998 - len(got)


def test_a_reader_that_is_stopped_ends():
    def items() -> Iterator[int]:
        yield from range(10**9)

    reader = Impatient(items(), patience_s=5, late=late)
    next(reader)
    reader.stop(wait_s=5)
    assert not reader.reading


def test_work_within_the_limit_gives_its_result():
    assert within(5, lambda: 42, what="nothing", where="here") == 42


def test_work_that_takes_too_long_is_one_line():
    hang = threading.Event()
    with pytest.raises(SourceError, match=r"no answer within 0\.1 s \(here\)"):
        within(0.1, lambda: hang.wait(20), what="no answer", where="here")
    hang.set()
