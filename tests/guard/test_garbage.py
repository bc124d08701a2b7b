"""A frame and its calls leave nothing that only the garbage collector could free: it never has to run because of us."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import guard
from guard.testing import FakeDetector
from tests.conftest import OFFICE, POLICE, SCENE


def collected_after(work: Callable[[], object]) -> int:
    """How many objects 20 turns of `work` leave to the collector, after one that warms up."""
    work()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            work()
        return gc.collect()
    finally:
        gc.enable()


def attempt(call: Callable[[Any], object], cam: guard.Source) -> None:
    with cam.frame(SCENE[:]) as seen, suppress(guard.GuardError):
        call(seen.image)


def test_a_denied_call_leaves_nothing(make_guard):
    cam = make_guard().source()
    search = cam.protect(print, action="identify", service="azure_openai")
    assert collected_after(lambda: attempt(search, cam)) == 0


def test_a_released_call_leaves_nothing(make_guard):
    cam = make_guard(OFFICE).source()
    search = cam.protect(lambda picture: None, action="verify", service="my-matcher")
    assert collected_after(lambda: attempt(search, cam)) == 0


def test_a_redacted_call_leaves_nothing(make_guard):
    cam = make_guard().source()
    describe = cam.protect(lambda picture: None, service="azure_openai")
    assert collected_after(lambda: attempt(describe, cam)) == 0


def test_a_frame_in_which_faces_are_found_leaves_nothing(make_guard):
    from guard.vision import Detector

    cam = make_guard(detector=Detector()).source()

    def look() -> None:
        with cam.frame(SCENE[:]) as seen:
            len(seen.faces)

    assert collected_after(look) == 0


def broken(error: type[Exception]) -> Callable[[Any], list[Any]]:
    def boxes(picture: Any) -> list[Any]:
        raise error("gone")

    return boxes


@pytest.mark.parametrize("error", [OSError, guard.GuardFault])
def test_a_frame_whose_faces_are_unknown_leaves_nothing(make_guard, error, caplog):
    caplog.set_level("CRITICAL", logger="guard")  # what is logged is kept
    cam = make_guard(detector=FakeDetector(broken(error))).source()
    describe = cam.protect(lambda picture: None, service="azure_openai")

    def look() -> None:
        attempt(describe, cam)
        attempt(lambda picture: cam.find_faces(picture), cam)

    assert collected_after(look) == 0


def test_a_verdict_leaves_nothing(make_guard):
    cam = make_guard().source()
    assert collected_after(lambda: cam.authorize("identify", "azure_openai")) == 0


def test_a_turn_of_a_scheduler_leaves_nothing(make_guard):
    over = threading.Semaphore(0)
    g = make_guard(POLICE + "analyse_per_s = 1000\n")
    search = g.source().protect(print, action="identify", service="azure_openai")

    def handle(seen: Any, source: guard.Source) -> None:
        over.release()
        search(seen.image)

    with guard.Scheduler(g, handle) as scheduler:

        def turn() -> None:
            scheduler.offer("bodycam", SCENE[:])
            assert over.acquire(timeout=30)

        assert collected_after(turn) == 0
