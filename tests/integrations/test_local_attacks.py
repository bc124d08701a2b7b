"""Ways past the hooks on libraries in this process, tried with ONNX Runtime and OpenCV."""

from __future__ import annotations

import asyncio
import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import wrapt
from onnxruntime.capi import onnxruntime_pybind11_state as native

import guard
from tests.conftest import OFFICE
from tests.integrations.local_sources import PORTLAND, frame, network

CROP = np.zeros((1, 3, 112, 112), np.float32)
FACE = np.zeros((112, 112, 3), np.uint8)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    pytest.importorskip("onnx")
    yield
    guard.uninstall()


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND, name="p.toml").source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


@pytest.fixture
def face() -> ort.InferenceSession:
    """Made before the guard."""
    return ort.InferenceSession(network(), providers=["CPUExecutionProvider"])


def outcome(face: Any) -> str:
    try:
        face.run(None, {"data": CROP})
    except guard.Denied as denied:
        return f"denied for {denied.decision.source}"
    return "done"


def test_threads_of_two_sources_on_one_session_are_never_mixed_up(face, street, door):
    guard.install()
    wrong: list[str] = []

    def use(source: Any, wanted: str) -> None:
        for _ in range(20):
            with source.frame(frame()):
                found = outcome(face)
            if found != wanted:
                wrong.append(found)

    plans = [(street, "denied for bodycam"), (door, "done")] * 4
    threads = [threading.Thread(target=use, args=plan) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert street.guard.ledger.verdicts() == ["deny"] * 80
    assert door.guard.ledger.verdicts() == ["allow"] * 80


def test_tasks_of_two_sources_are_never_mixed_up(face, street, door):
    guard.install()

    async def use(source: Any) -> str:
        with source.frame(frame()):
            await asyncio.sleep(0)
            return await asyncio.to_thread(outcome, face)

    async def main() -> list[str]:
        return await asyncio.gather(*(use(source) for source in (street, door) * 10))

    assert asyncio.run(main()) == ["denied for bodycam", "done"] * 10


def test_a_thread_that_is_started_inside_an_allowed_call_is_judged_on_its_own(face, door, street):
    guard.install()

    def elsewhere() -> str:
        with street.frame(frame()):
            return outcome(face)

    def call() -> list[str]:
        with ThreadPoolExecutor(1) as pool:
            return [outcome(face), pool.submit(outcome, face).result(), pool.submit(elsewhere).result()]

    protected = door.protect(call, action="identify", service="self_hosted")
    with door.frame(frame()):
        assert protected() == ["done", "done", "denied for bodycam"]
    assert door.guard.ledger.verdicts() == ["allow"] * 2


def test_an_allowed_call_of_a_weaker_action_covers_nothing(face, make_guard):
    source = make_guard(PORTLAND).source()
    guard.install()
    for action in ("detect", "attributes", "emotion"):
        call = source.protect(lambda: face.run(None, {"data": CROP}), action=action, service="self_hosted")
        with source.frame(frame()), pytest.raises(guard.Denied):
            call()


@pytest.mark.parametrize("said", ["detect", "redact", "vlm_describe", "attributes"])
def test_a_call_does_not_become_harmless_by_what_the_code_says_of_it(said, face, street):
    guard.install()
    with street.frame(frame()), street.intent(said):
        assert outcome(face) == "denied for bodycam"


def test_another_tool_that_takes_its_wrapper_off_takes_ours_off_for_64_calls_at_most(face, street):
    native_run = native.InferenceSession.run
    wrapt.wrap_function_wrapper(native, "InferenceSession.run", lambda wrapped, self, args, kwargs: wrapped(*args))
    guard.install()
    native.InferenceSession.run = native_run  # as its un-instrumenting does
    with street.frame(frame()):
        for _ in range(64):
            with pytest.raises(guard.Denied):
                ort.InferenceSession(network(), providers=["CPUExecutionProvider"])
        assert outcome(face) == "denied for bodycam"
    guard.uninstall()
    native.InferenceSession.run = native_run


def test_a_reloaded_library_is_guarded(face, street):
    guard.install()
    importlib.reload(importlib.import_module("onnxruntime.capi.onnxruntime_inference_collection"))
    importlib.reload(ort)
    with street.frame(frame()):
        assert outcome(face) == "denied for bodycam"
        with pytest.raises(guard.Denied):
            ort.InferenceSession(network(), providers=["CPUExecutionProvider"])


def test_a_handler_for_the_library_s_own_errors_does_not_swallow_a_refusal(face, street, tmp_path: Path):
    guard.install()
    network(tmp_path / "m.onnx")
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            _patiently(lambda: face.run(None, {"data": CROP}))
        with pytest.raises(guard.Denied):
            _patiently(lambda: cv2.FaceRecognizerSF.create(str(tmp_path / "m.onnx"), ""))
    assert street.guard.ledger.verdicts() == ["deny"] * 2


def _patiently(call: Any) -> Any:
    """As pipelines retry."""
    for _ in range(3):
        try:
            return call()
        except (ValueError, RuntimeError, OSError, cv2.error, native.Fail):
            continue
    return None


def test_an_allowed_recogniser_that_is_handed_to_another_camera_is_judged_there(street, door, tmp_path: Path):
    network(tmp_path / "m.onnx")
    guard.install()
    with door.frame(frame()):
        made = cv2.FaceRecognizerSF.create(str(tmp_path / "m.onnx"), "")
        assert made.feature(FACE).shape == (1, 128)
    with street.frame(frame()), pytest.raises(guard.Denied):
        made.feature(FACE)


def test_a_guard_that_broke_lets_nothing_through(face, make_guard):
    g = make_guard(OFFICE)
    guard.install()
    g.ledger.fail = "the disk is full"
    with g.source().frame(frame()), pytest.raises(guard.GuardFault, match="disk is full"):
        face.run(None, {"data": CROP})
    with pytest.raises(guard.GuardFault, match="disk is full"):
        ort.InferenceSession(network(), providers=["CPUExecutionProvider"])
    g.close()
    with pytest.raises(guard.GuardFault, match="closed"):
        face.run(None, {"data": CROP})
