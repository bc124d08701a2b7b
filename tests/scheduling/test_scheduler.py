"""The scheduler and its workers: bounded, fair to the broken, closed for good, and late is denied."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import numpy as np
import pytest

import guard
from guard.frames import Seen, current_frame
from guard.scheduling import Statistics, scheduler
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import POLICE, SCENE

HEAD, SOURCE = POLICE.split("[[source]]")


def config(number: int = 3, extra: str = "analyse_per_s = 1000") -> str:
    sources = [f"[[source]]{SOURCE.replace('bodycam', f'cam-{n}')}{extra}\n" for n in range(number)]
    return HEAD + "".join(sources)


@pytest.fixture
def started(make_guard) -> Iterator[Callable[..., guard.Scheduler]]:
    made: list[guard.Scheduler] = []

    def start(handle: Any, *, text: str | None = None, workers: int = 1, **options: Any) -> guard.Scheduler:
        made.append(guard.Scheduler(make_guard(text or config(), **options), handle, workers=workers))
        return made[-1]

    yield start
    for each in made:
        each.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads do; fails where it never comes."""
    for _ in range(5000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("it never came about")


def total(scheduler: guard.Scheduler, field: str) -> int:
    return sum(getattr(each, field) for each in scheduler.statistics().values())


class Gate:
    """A handler that stands still until it is let go, and says whose frames it was handed."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()
        self.handled: list[tuple[str | None, int | None]] = []

    def __call__(self, seen: Seen, source: guard.Source) -> None:
        self.handled.append((source.id, seen.index))
        self.entered.release()
        assert self.go.wait(30)


def test_the_handler_gets_the_open_frame_and_its_source(started):
    seen_there: list[Any] = []

    def handle(seen: Seen, source: guard.Source) -> None:
        seen_there.append((source.id, seen.index, len(seen.faces), current_frame() is seen, seen.image is SCENE))

    running = started(handle)
    running.offer("cam-1", SCENE, index=7)
    until(lambda: total(running, "analysed") == 1)
    assert seen_there == [("cam-1", 7, 1, True, True)]


def test_calls_in_the_handler_are_judged_as_calls_of_that_source(started):
    refused: list[guard.Denied] = []

    def handle(seen: Seen, source: guard.Source) -> None:
        try:
            source.protect(print, action="identify", service="azure_openai")(seen.image)
        except guard.Denied as denied:
            refused.append(denied)

    running = started(handle)
    running.offer("cam-2", SCENE)
    until(lambda: len(refused) == 1)
    assert refused[0].decision.source == "cam-2"


def test_while_a_handler_runs_one_frame_a_source_waits_and_it_is_the_newest(started):
    gate = Gate()
    running = started(gate)
    running.offer("cam-0", SCENE, index=0)
    assert gate.entered.acquire(timeout=30)
    for index in range(1, 500):
        for id in ("cam-0", "cam-1"):
            running.offer(id, SCENE, index=index)
    found = running.statistics()
    assert (found["cam-0"].offered, found["cam-0"].dropped, found["cam-0"].waiting) == (500, 498, True)
    assert (found["cam-1"].offered, found["cam-1"].dropped, found["cam-1"].waiting) == (499, 498, True)
    gate.go.set()
    until(lambda: total(running, "analysed") == 3)
    assert sorted(gate.handled) == [("cam-0", 0), ("cam-0", 499), ("cam-1", 499)]


def test_every_frame_is_counted_once_and_only_once(started):
    running = started(lambda seen, source: None)
    for number in range(3000):
        running.offer(f"cam-{number % 3}", SCENE)
    until(lambda: not any(each.waiting for each in running.statistics().values()))
    running.close()
    for each in running.statistics().values():
        assert each.offered == each.analysed + each.late + each.dropped == 1000


def test_a_frame_whose_turn_comes_too_late_is_not_looked_at_and_its_calls_are_refused(started):
    detector, ledger, gate = FakeDetector(), MemoryLedger(), Gate()
    outcome: list[Exception] = []

    def handle(seen: Seen, source: guard.Source) -> None:
        if source.id == "cam-0":
            gate(seen, source)
            return
        for ask in (
            lambda: source.protect(lambda picture: None, service="azure_openai")(seen.image),
            lambda: len(seen.faces),
        ):
            try:
                ask()
            except guard.GuardError as error:
                outcome.append(error)

    running = started(handle, text=config(extra="max_age_s = 0.05"), detector=detector, ledger=ledger)
    running.offer("cam-0", SCENE)
    assert gate.entered.acquire(timeout=30)
    running.offer("cam-1", SCENE)
    time.sleep(0.1)
    gate.go.set()
    until(lambda: running.statistics()["cam-1"].late == 1)
    assert [type(each) for each in outcome] == [guard.GuardFault, guard.GuardFault]
    assert "older than max_age_s = 0.05" in str(outcome[0])
    assert detector.seen == 1  # the frame of cam-0
    assert ledger.verdicts() == ["fault"]
    found = running.statistics()["cam-1"]
    assert (found.analysed, found.rate_per_s) == (0, 0.0)
    assert found.lag_max_s is not None
    assert found.lag_max_s > 0.05


def test_the_age_of_a_frame_counts_from_its_arrival(make_guard):
    cam = make_guard().source()
    with cam.frame(SCENE, arrived_s=time.monotonic() - 2) as seen, pytest.raises(guard.GuardFault, match="old"):
        len(seen.faces)
    with cam.frame(SCENE, arrived_s=time.monotonic()) as seen:
        assert len(seen.faces) == 1


@pytest.mark.parametrize(
    "instant",
    [time.time, lambda: time.monotonic() + 3600, lambda: float("nan"), lambda: float("-inf"), lambda: -1.0],
    ids=["the wall clock", "an hour ahead", "not a number", "before all time", "negative"],
)
def test_a_frame_cannot_have_arrived_at_an_instant_that_would_keep_it_young(make_guard, instant: Callable[[], float]):
    with pytest.raises(guard.SourceError, match="no instant gone by"):
        make_guard().source().frame(SCENE, arrived_s=instant())


def test_a_handler_that_raises_stops_nobody_and_is_said_once(started, caplog):
    def handle(seen: Seen, source: guard.Source) -> None:
        if source.id == "cam-0":
            raise RuntimeError("broken")
        if source.id == "cam-1":
            raise SystemExit

    running = started(handle)
    for number in range(60):
        done = total(running, "analysed")
        running.offer(f"cam-{number % 3}", SCENE)
        until(lambda done=done: total(running, "analysed") == done + 1)
    found = running.statistics()
    assert [found[id].failed for id in ("cam-0", "cam-1", "cam-2")] == [20, 20, 0]
    assert [record.message for record in caplog.records if "handler" in record.message] == [
        "source cam-0: the handler of its frames failed",
        "source cam-1: the handler of its frames failed",
    ]


def test_a_refusal_that_the_handler_lets_pass_is_no_failure(started, caplog):
    def handle(seen: Seen, source: guard.Source) -> None:
        source.protect(print, action="identify", service="azure_openai")(seen.image)

    running = started(handle)
    running.offer("cam-0", SCENE)
    until(lambda: total(running, "analysed") == 1)
    assert total(running, "failed") == 0
    assert not caplog.records


def test_a_detector_that_fails_is_no_failure_of_the_handler_and_faces_are_unknown(started):
    faults: list[str | None] = []
    running = started(lambda seen, source: faults.append(seen.fault), detector=FakeDetector(error=OSError("gone")))
    running.offer("cam-0", SCENE)
    until(lambda: total(running, "analysed") == 1)
    assert faults[0] is not None
    assert total(running, "failed") == 0


def test_what_a_handler_sets_in_its_context_is_gone_at_the_next_turn(started):
    variable: ContextVar[int] = ContextVar("variable", default=0)
    found: list[int] = []

    def handle(seen: Seen, source: guard.Source) -> None:
        found.append(variable.get())
        variable.set(1)

    running = started(handle)
    for number in range(3):
        running.offer(f"cam-{number}", SCENE)
    until(lambda: len(found) == 3)
    assert found == [0, 0, 0]


def test_a_scheduler_that_was_made_inside_a_frame_judges_by_its_own_sources_alone(make_guard):
    g = make_guard(config())
    outer: list[Seen | None] = []
    guard.install("opencv")
    try:
        with g.source("cam-0").frame(SCENE), guard.Scheduler(g, lambda seen, source: outer.append(seen.outer)) as own:
            own.offer("cam-1", SCENE)
            until(lambda: len(outer) == 1)
    finally:
        guard.uninstall()
    assert outer == [None]


def test_sources_share_the_turns_while_one_of_them_floods(started):
    handled: Counter[str | None] = Counter()
    running: guard.Scheduler

    def handle(seen: Seen, source: guard.Source) -> None:
        handled[source.id] += 1
        for id in ("cam-0", "cam-0", "cam-0", "cam-1", "cam-2"):  # always more than one worker can take
            running.offer(id, SCENE)
        time.sleep(0.002)

    running = started(handle)
    for number in range(3):
        running.offer(f"cam-{number}", SCENE)
    until(lambda: handled.total() > 300)
    counts = list(handled.values())
    assert max(counts) - min(counts) <= 2


def test_two_workers_never_handle_one_source_at_once(started, monkeypatch):
    monkeypatch.setattr(scheduler, "cores", lambda: 2)
    running_now: Counter[str | None] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    def handle(seen: Seen, source: guard.Source) -> None:
        with lock:
            running_now[source.id] += 1
            most["source"] = max(most["source"], running_now[source.id])
            most["all"] = max(most["all"], running_now.total())
        time.sleep(0.002)
        with lock:
            running_now[source.id] -= 1

    running = started(handle, workers=2)
    for number in range(400):
        running.offer(f"cam-{number % 3}", SCENE)
        time.sleep(0.0005)
    running.close()
    assert most == {"source": 1, "all": 2}


def test_closing_drops_what_waits_waits_for_what_runs_and_leaves_no_thread(started):
    gate = Gate()
    before = threading.active_count()
    running = started(gate, workers=1)
    running.offer("cam-0", SCENE)
    assert gate.entered.acquire(timeout=30)
    running.offer("cam-1", SCENE)
    closing = threading.Thread(target=running.close)
    closing.start()
    until(lambda: running.statistics()["cam-1"].dropped == 1)
    assert closing.is_alive()
    gate.go.set()
    closing.join(30)
    assert gate.handled == [("cam-0", None)]
    running.guard.close()
    until(lambda: threading.active_count() <= before)
    with pytest.raises(guard.GuardFault, match="closed"):
        running.offer("cam-0", SCENE)
    running.close()


def test_offers_end_with_a_fault_once_the_scheduler_is_closed(started):
    running = started(lambda seen, source: None)
    running.close()
    with pytest.raises(guard.GuardFault, match="this scheduler is closed; make another one"):
        running.offer("cam-0", SCENE)


def test_a_handler_may_close_its_own_scheduler(started):
    running: guard.Scheduler

    def handle(seen: Seen, source: guard.Source) -> None:
        running.close()

    running = started(handle)
    running.offer("cam-0", SCENE)
    until(lambda: not any(each.name.startswith("guard-scheduler") for each in threading.enumerate()))


def test_what_cannot_be_a_frame_is_refused_where_it_is_offered(started):
    running = started(lambda seen, source: None)
    with pytest.raises(guard.SourceError, match="float64"):
        running.offer("cam-0", np.zeros((4, 4, 3)))
    with pytest.raises(guard.ConfigError, match="did you mean 'cam-0'"):
        running.offer("cam_0", SCENE)
    with pytest.raises(guard.ConfigError, match="zone"):
        running.offer("cam-0", SCENE, at=datetime(2026, 5, 2))
    assert total(running, "offered") == 0


def test_workers_are_as_many_as_cores_at_most_and_handlers_plain_functions(make_guard):
    async def handle(seen: Seen, source: guard.Source) -> None: ...

    g = make_guard()
    for workers in (0, scheduler.cores() + 1):
        with pytest.raises(guard.ConfigError, match="workers"):
            guard.Scheduler(g, lambda seen, source: None, workers=workers)
    with pytest.raises(guard.ConfigError, match="plain function"):
        guard.Scheduler(g, handle)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own(started):
    running = started(lambda seen, source: None)
    child = os.fork()
    if child == 0:
        try:
            running.offer("cam-0", SCENE)
        except guard.GuardFault as fault:
            os._exit(0 if "another process" in str(fault) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_statistics_say_rate_and_lag_of_the_last_ten_seconds(started):
    running = started(lambda seen, source: None)
    assert running.statistics()["cam-0"] == Statistics(0, 0, 0, 0, 0, False, 1000.0, 0.0, None, None, None)
    for _ in range(5):
        running.offer("cam-0", SCENE)
        time.sleep(0.02)
    until(lambda: total(running, "analysed") == 5)
    found = running.statistics()["cam-0"]
    assert found.rate_per_s > 0
    assert found.lag_p50_s is not None
    assert found.lag_p95_s is not None
    assert found.lag_max_s is not None
    assert 0 <= found.lag_p50_s <= found.lag_p95_s <= found.lag_max_s


def test_frames_that_are_dropped_count_for_the_declared_pace(make_guard, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("guard.context.timestamps.time.monotonic", lambda: now[0])
    watch = make_guard(POLICE + "camera = { fps = 25.0 }\n").source().watch
    for number in range(25 * 30):
        now[0] += 0.04
        if number % 5:
            watch.skipped()
        else:
            assert watch.enter(SCENE, None) is None
