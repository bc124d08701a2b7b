"""Attendance: every second of a source is watched, silent, or covered by nothing; nothing is claimed that was not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.attendance import SPAN_SECONDS, STALL_SECONDS, Attendance
from guard.clock import Reading
from guard.ledger import Ledger, NullLedger, Span, leaves
from guard.ledger.instants import ns_of, text_of
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import OFFICE, POLICE

ROOT = Path(__file__).resolve().parents[2]
START_NS = ns_of("2026-03-03T09:00:00.000000Z")


class Time:
    """A wall clock and one that nobody sets, moved by hand, and an attendance whose thread does nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 0.0
        self.set_by = 0.0
        self.trust: Any = "system"
        self.ledger = MemoryLedger()
        monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
        monkeypatch.setattr(threading.Thread, "join", lambda thread, timeout=None: None)
        self.attendance = Attendance(self.ledger, self.read, lambda: self.s)
        self.tally = self.attendance.tally("cam")

    def read(self) -> Reading:
        return START_NS + int((self.s + self.set_by) * 1e9), self.trust

    def second(self, frames: int = 0, *, first: int | None = None) -> None:
        """One second: so many frames, then the tick."""
        for number in range(frames):
            self.tally.opened(None if first is None else first + number)
        self.s += 1.0
        self.attendance.tick()

    def spans(self) -> list[tuple[str, float, float, int]]:
        """State, first and last second, frames of the leaves, then of what is pending."""
        found = [*self.ledger.leaves, *self.ledger.pending.values()]
        return [(s.state, self.at(s.at), self.at(s.until), s.frames) for s in found if isinstance(s, Span)]

    @staticmethod
    def at(instant: str) -> float:
        return (ns_of(instant) - START_NS) / 1e9


@pytest.fixture
def at(monkeypatch) -> Time:
    return Time(monkeypatch)


def test_a_source_that_nobody_watches_leaves_nothing(at):
    for _ in range(100):
        at.second()
    at.attendance.close()
    assert at.spans() == []


def test_frames_make_a_span_that_ends_with_the_guard(at):
    for _ in range(10):
        at.second(30)
    at.attendance.close()
    assert at.spans() == [("watched", 0, 10, 300)]
    (span,) = at.ledger.leaves
    assert (span.source, span.clock, span.seconds, span.longest_silence_s) == ("cam", "system", 10.0, 0.0)
    assert at.ledger.pending == {}


def test_spans_of_a_minute_join_without_a_hole(at):
    for _ in range(150):
        at.second(2)
    at.attendance.close()
    assert at.spans() == [("watched", 0, 60, 120), ("watched", 60, 120, 120), ("watched", 120, 150, 60)]
    assert SPAN_SECONDS == 60


def test_a_span_that_grows_is_on_disk_every_few_seconds(at):
    for _ in range(9):
        at.second(1)
    (pending,) = at.ledger.pending.values()
    assert at.at(pending.until) >= 9 - STALL_SECONDS
    before = pending.frames
    for _ in range(5):
        at.second(1)
    assert pending.frames == before, "what was handed over does not change any more"
    assert next(iter(at.ledger.pending.values())).frames > before


def test_a_feed_that_stalls_is_silent_from_its_last_frame_on(at):
    for _ in range(10):
        at.second(30)
    for _ in range(20):
        at.second()
    for _ in range(10):
        at.second(30)
    at.attendance.close()
    assert at.spans() == [("watched", 0, 10, 300), ("silent", 10, 30, 0), ("watched", 30, 40, 300)]


def test_a_feed_that_stays_silent_says_so_minute_by_minute(at):
    at.second(1)
    for _ in range(200):
        at.second()
    at.attendance.close()
    spans = at.spans()
    assert spans[0] == ("watched", 0, 1, 1)
    assert all(state == "silent" for state, *_ in spans[1:])
    assert [first for _, first, _, _ in spans[1:]] == [last for _, _, last, _ in spans[:-1]]
    assert spans[-1][2] == 201


def test_a_short_silence_stays_inside_and_is_said(at):
    for _ in range(3):
        at.second(10)
    for _ in range(4):
        at.second()
    at.second(10)
    at.attendance.close()
    assert at.spans() == [("watched", 0, 8, 40)]
    assert at.ledger.leaves[0].longest_silence_s == 4.0


def test_a_watched_span_never_ends_later_than_its_last_frame(at):
    at.second(1)
    for _ in range(3):
        at.second()
    at.attendance.close()
    assert at.spans() == [("watched", 0, 1, 1)]


def test_a_process_that_was_stopped_has_not_watched_meanwhile(at):
    for _ in range(5):
        at.second(10)
    at.s += 300
    for _ in range(5):
        at.second(10)
    at.attendance.close()
    spans = at.spans()
    assert spans[0] == ("watched", 0, 5, 50)
    assert spans[1][1] >= 305
    assert sum(frames for *_, frames in spans) == 100


def test_a_clock_that_was_set_splits_the_span(at):
    for _ in range(5):
        at.second(10)
    at.set_by = 3600
    for _ in range(5):
        at.second(10)
    at.set_by = -3600
    for _ in range(5):
        at.second(10)
    at.attendance.close()
    spans = at.spans()
    assert [frames for *_, frames in spans] == [50, 50, 50]
    assert spans[0][2] == 5
    assert spans[1][1] == 3606
    assert spans[2][1] == -3600 + 11


def test_a_clock_that_is_not_believed_is_marked(at):
    at.second(1)
    at.trust = "disbelieved"
    at.second(1)
    at.attendance.close()
    assert [span.clock for span in at.ledger.leaves] == ["system", "disbelieved"]


def test_missing_numbers_are_dropped_frames(at):
    at.second(10, first=0)
    at.second(10, first=15)
    for _ in range(70):
        at.second(1)
    at.second(1, first=30)
    at.attendance.close()
    spans = [leaf for leaf in at.ledger.leaves if isinstance(leaf, Span)]
    assert sum(span.dropped for span in spans) == 5 + 5
    assert (spans[0].frame, spans[0].last_frame) == (0, 24)


def test_numbers_that_begin_anew_are_no_dropped_frames(at):
    at.second(10, first=100)
    at.second(10, first=0)
    at.second(3)
    at.attendance.close()
    assert at.ledger.leaves[0].dropped == 0
    assert at.ledger.leaves[0].frames == 23


def test_a_ledger_that_cannot_be_written_is_said_once_and_costs_no_frame(at, caplog):
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    at.ledger.pend = at.ledger.append = broken
    for _ in range(70):
        at.second(1)
    at.attendance.close()
    assert sum("nobody watched" in record.getMessage() for record in caplog.records) == 1


def test_the_rest_of_a_span_is_what_came_after_it():
    early = Span(at=text_of(0), until=text_of(5), clock="system", source="c", state="watched", frames=5, seconds=5.0)
    later = Span(
        at=text_of(0), until=text_of(9), clock="system", source="c", state="watched", frames=9, seconds=9.0, raised=1
    )
    rest = later.rest(early)
    assert (rest.at, rest.until, rest.frames, rest.seconds, rest.raised) == (text_of(5), text_of(9), 4, 4.0, 1)
    assert early.rest(early) is None


# ---- in a guard


def spans_of(path: Path) -> list[dict[str, Any]]:
    return list(leaves(path, kind="span"))


def test_a_guard_counts_its_frames_and_how_released_calls_ended(make_guard, picture, tmp_path):
    path = tmp_path / "d.db"

    def search(probe: object) -> None:
        if probe is None:
            raise KeyError("the matcher's own")

    with make_guard(OFFICE, ledger=Ledger(path)) as g:
        call = g.source().protect(search, action="identify", service="my-matcher")
        refused = g.source().protect(search, action="identify", service="azure_face")
        for number in range(6):
            with g.source().frame(picture, index=number):
                call(picture)
        with pytest.raises(KeyError):
            call(None)
        later = g.source().protect(asyncio.sleep, action="identify", service="my-matcher")
        asyncio.run(later(0))
        assert refused
    (span,) = spans_of(path)
    assert (span["source"], span["state"], span["frames"], span["unjudged"]) == ("door", "watched", 6, 0)
    assert (span["returned"], span["raised"], span["frame"], span["last_frame"]) == (7, 1, 0, 5)


def test_calls_of_a_source_without_frames_pile_up_nowhere(make_guard):
    """A gateway's source has no frames: nobody would ever empty what its calls left behind."""
    g = make_guard(OFFICE)
    call = g.source().protect(lambda: None, action="identify", service="my-matcher")
    for _ in range(5):
        call()
    assert g.source().tally.taken() == ([], 0, 0, 0)
    g.close()
    assert g.ledger.leaves == []


def test_a_refused_call_neither_came_back_nor_raised(make_guard, picture, tmp_path):
    path = tmp_path / "d.db"
    with make_guard(POLICE, ledger=Ledger(path)) as g, g.source().frame(picture), pytest.raises(guard.Denied):
        g.source().protect(lambda probe: None, action="identify", service="azure_openai")(picture)
    (span,) = spans_of(path)
    assert (span["returned"], span["raised"]) == (0, 0)


def test_frames_that_the_detector_could_not_judge_are_counted(make_guard, picture, tmp_path):
    path = tmp_path / "d.db"
    with make_guard(POLICE, ledger=Ledger(path), detector=FakeDetector(error=RuntimeError("broken"))) as g:
        for _ in range(3):
            with g.source().frame(picture):
                pass
    (span,) = spans_of(path)
    assert (span["frames"], span["unjudged"]) == (3, 3)


def test_many_threads_lose_no_frame(make_guard, picture, tmp_path):
    path = tmp_path / "d.db"
    with make_guard(OFFICE, ledger=Ledger(path)) as g:

        def work() -> None:
            for _ in range(200):
                with g.source().frame(picture):
                    pass

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(span["frames"] for span in spans_of(path)) == 1200


def test_a_day_that_the_user_named_is_not_the_day_on_which_frames_came(make_guard, picture, tmp_path):
    from datetime import UTC, datetime

    path = tmp_path / "d.db"
    with make_guard(OFFICE, ledger=Ledger(path), at=datetime(2021, 1, 1, tzinfo=UTC)) as g, g.source().frame(picture):
        pass
    assert spans_of(path)[0]["at"] >= "2026"


def test_a_guard_for_questions_and_a_closed_one_count_nothing(make_guard, picture, tmp_path):
    g = make_guard(OFFICE, ledger=NullLedger())
    with g.source().frame(picture):
        assert g.attendance is None
    path = tmp_path / "d.db"
    g = make_guard(OFFICE, ledger=Ledger(path), name="b.toml")
    g.close()
    g.close()
    with g.source().frame(picture):
        pass
    assert spans_of(path) == []


def test_the_thread_starts_with_the_first_frame_and_ends_with_the_guard(make_guard, picture):
    def running() -> int:
        return sum(thread.name == "guard-attendance" for thread in threading.enumerate())

    before = running()
    g = make_guard(OFFICE)
    assert running() == before
    with g.source().frame(picture):
        assert running() == before + 1
    g.close()
    assert running() == before


def test_a_real_second_passes_by_itself(make_guard, picture, tmp_path):
    path = tmp_path / "d.db"
    with make_guard(OFFICE, ledger=Ledger(path)) as g:
        for _ in range(12):
            with g.source().frame(picture):
                time.sleep(0.1)
    (span,) = spans_of(path)
    assert span["frames"] == 12
    assert 0.9 < (ns_of(span["until"]) - ns_of(span["at"])) / 1e9 < 10


def run(code: str, *arguments: str) -> str:
    head = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


SETUP = """
import os, pathlib, signal, sys, time
import numpy as np
import guard
from guard.testing import FakeDetector
from tests.conftest import OFFICE
folder = pathlib.Path(sys.argv[1])
(folder / "guard.toml").write_text(OFFICE)
g = guard.load(folder / "guard.toml", detector=FakeDetector(), ledger=folder / "d.db")
picture = np.zeros((20, 20, 3), np.uint8)
def frames(count):
    for _ in range(count):
        with g.source().frame(picture):
            pass
"""


def test_a_guard_that_nobody_closed_says_what_it_watched(tmp_path):
    assert "cannot be written" not in run(SETUP + "frames(7)\n", str(tmp_path))
    assert sum(span["frames"] for span in spans_of(tmp_path / "d.db")) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_counts_its_own_frames_and_not_its_parents(tmp_path):
    code = """
frames(3)
pid = os.fork()
if pid == 0:
    frames(5)
    g.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
frames(2)
g.close()
"""
    run(SETUP + code, str(tmp_path))
    assert sorted(span["frames"] for span in spans_of(tmp_path / "d.db")) == [5, 5]


def test_a_process_that_is_killed_leaves_the_span_as_far_as_it_had_come(tmp_path):
    code = """
for _ in range(75):
    frames(1)
    time.sleep(0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    code = f"import sys; sys.path[:0] = {sys.path!r}\n" + SETUP + code
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=120, check=False)
    assert done.returncode < 0
    path = tmp_path / "d.db"
    (span,) = spans_of(path)
    assert span["seq"] == -1
    assert 20 <= span["frames"] <= 75
    Ledger(path).close()  # whoever opens it next puts into the tree what the dead one left
    (kept,) = spans_of(path)
    assert (kept["frames"], kept["until"]) == (span["frames"], span["until"])
    assert kept["seq"] > 0


def test_a_frame_leaves_a_number_and_nothing_else(make_guard, picture):
    """What is done on a frame's way is one append: the tally of a running source is that and no code of ours."""
    g = make_guard(OFFICE)
    with g.source().frame(picture):
        pass
    opened: Callable[..., Any] = g.source().tally.opened
    assert type(opened).__name__ == "builtin_function_or_method"
    assert opened.__name__ == "append"
