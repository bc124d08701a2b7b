"""Replaying: the call is tried on every frame, and every count is what happened."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import guard
from guard.errors import ConfigError, LedgerError, SourceError
from guard.ledger import Ledger, read
from guard.replay.clip import open_clip
from guard.replay.result import Replay
from guard.replay.stopping import Stop
from guard.testing import FakeDetector, MemoryLedger
from tests.replay.conftest import BOX, OFFICE, POLICE, MakeClip, Recognising
from tests.replay.test_clip import cut

Run = Callable[..., Replay]


def counts(result: Replay) -> tuple[int, int, int, int, int, int]:
    (row,) = result.calls
    return row.attempted, row.allowed, row.redacted, row.denied, row.faulted, row.reached_service


# ---- verdicts


def test_a_forbidden_call_is_tried_on_every_frame_and_reaches_nobody(make_clip: MakeClip, run: Run):
    matcher = Recognising()
    result = run(make_clip(frames=12), matcher=matcher)
    assert counts(result) == (12, 0, 0, 12, 0, 0)
    assert matcher.reached == 0
    assert (result.frames, result.frames_with_faces) == (12, 12)
    assert result.seconds == pytest.approx(12 / 25)
    assert result.broke_off is None
    rules = {ruled.reason.rule: ruled.count for ruled in result.reasons}
    assert rules["MS-AOAI.us-police"] == 12


def test_an_allowed_call_reaches_the_matcher_with_every_frame(make_clip: MakeClip, run: Run):
    matcher = Recognising()
    result = run(make_clip(frames=12), OFFICE, service="self_hosted", matcher=matcher)
    assert counts(result) == (12, 12, 0, 0, 0, 12)
    assert matcher.reached == 12
    assert result.calls[0].matched == 12
    assert result.people == {"alice": 12}
    assert result.reasons == ()


def test_a_redacted_call_reaches_the_service_without_the_faces(make_clip: MakeClip, run: Run):
    matcher = Recognising()
    path = make_clip(frames=4)
    result = run(path, action="vlm_describe", service="openai", matcher=matcher)
    assert counts(result) == (4, 0, 4, 0, 0, 4)
    frame = next(open_clip(path).frames()).image
    sent = matcher.pictures[0]
    x1, y1, x2, y2 = BOX
    assert sent.shape == frame.shape
    assert not np.array_equal(sent[y1:y2, x1:x2], frame[y1:y2, x1:x2])
    assert np.array_equal(sent[:, 130:], frame[:, 130:])


def test_a_clip_without_faces_lets_a_description_through(make_clip: MakeClip, run: Run):
    result = run(make_clip(frames=4), action="vlm_describe", service="openai", detector=FakeDetector([]))
    assert counts(result) == (4, 4, 0, 0, 0, 4)
    assert result.frames_with_faces == 0


def test_reached_is_what_the_far_end_counted_in_this_run(make_clip: MakeClip, run: Run):
    matcher = Recognising()
    matcher.search(np.zeros((8, 8, 3), np.uint8))
    result = run(make_clip(frames=3), OFFICE, service="self_hosted", matcher=matcher)
    assert matcher.reached == 4
    assert result.calls[0].reached_service == 3


def test_every_attempted_call_is_counted_in_the_record(make_clip: MakeClip, run: Run, make_guard: Any, tmp_path: Path):
    ledger = Ledger(tmp_path / "decisions.db")
    made = make_guard(ledger=ledger)
    result = run(make_clip(frames=12, metadata={"creation_time": "2025-03-04T10:00:00Z"}), guard=made)
    assert result.outputs.ledger == tmp_path / "decisions.db"
    (record,) = read(tmp_path / "decisions.db")
    assert (record["verdict"], record["count"], record["frame"], record["last_frame"]) == ("deny", 12, 0, 11)
    assert record["captured_at"] == "2025-03-04T10:00:00.000000Z"
    assert record["last_captured_at"].startswith("2025-03-04T10:00:00.4")


def test_a_call_that_cannot_be_made_is_refused_before_the_first_frame(make_clip: MakeClip, run: Run):
    with pytest.raises(ConfigError, match="nobody"):
        run(make_clip(), service="nobody")


# ---- faults


def test_a_broken_detector_is_counted_as_a_fault_and_hides_the_whole_picture(make_clip: MakeClip, run: Run):
    result = run(
        make_clip(frames=4),
        action="vlm_describe",
        service="openai",
        detector=FakeDetector(error=RuntimeError("model gone")),
    )
    assert counts(result) == (4, 0, 0, 4, 4, 0)
    assert "the detector raised RuntimeError" in next(iter(result.faults))
    assert result.frames_with_faces == 0
    shown = picture_at(result, 0)
    # Four fields by three, as far as compression lets them be told apart: a face may fill the picture.
    assert len(np.unique(shown[4:116].reshape(-1, 3) // 32, axis=0)) <= 12


def test_a_record_that_cannot_be_written_stops_every_call(make_clip: MakeClip, run: Run, make_guard: Any):
    ledger = MemoryLedger()
    ledger.fail = "disk full"
    matcher = Recognising()
    made = make_guard(OFFICE, ledger=ledger)
    result = run(make_clip(frames=4), guard=made, service="self_hosted", matcher=matcher)
    assert counts(result) == (4, 0, 0, 4, 4, 0)
    assert matcher.reached == 0
    assert "disk full" in next(iter(result.faults))


def test_records_that_are_still_missing_at_the_end_are_said(make_clip: MakeClip, run: Run, make_guard: Any):
    class Lazy(MemoryLedger):
        def flush(self) -> None:
            raise LedgerError("the record cannot be written: disk full")

    result = run(make_clip(frames=2), guard=make_guard(ledger=Lazy()))
    assert result.broke_off is not None
    assert "disk full" in result.broke_off
    assert result.outputs.report is not None


def test_a_matcher_that_fails_ends_the_run_and_keeps_what_was_decided(make_clip: MakeClip, run: Run):
    class Failing(Recognising):
        def search(self, picture: Any) -> Any:
            if self.reached == 2:
                raise SourceError("out of memory")
            return super().search(picture)

    result = run(make_clip(frames=12), OFFICE, service="self_hosted", matcher=Failing())
    assert result.frames == 3
    assert result.broke_off == "the matcher failed on frame 2: out of memory"
    assert frames_of(result) == 3


# ---- ends


def test_a_clip_that_breaks_off_keeps_what_was_decided(make_clip: MakeClip, run: Run):
    path = make_clip(frames=60, size=(320, 240), options={"movflags": "+faststart"})
    result = run(cut(path, 0.7))
    assert 10 < result.frames < 60
    assert counts(result)[0] == result.frames
    assert result.broke_off is not None
    assert "broke off" in result.broke_off
    assert result.to_json()["broke_off"] == result.broke_off
    assert frames_of(result) == result.frames
    assert sorted(p.name for p in result.outputs.report.parent.iterdir()) == [
        "redacted.mp4", "replay.json", "replay.mp4", "report.html",
    ]  # fmt: skip


def test_a_clip_without_a_frame_leaves_no_files(tmp_path: Path, run: Run):
    for name in ("a.png", "b.png"):
        (tmp_path / "pictures" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(b"no picture")
    with pytest.raises(SourceError, match="no picture can be decoded"):
        run(tmp_path / "pictures")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_signal_ends_the_run_between_two_frames(make_clip: MakeClip, run: Run):
    before = signal.getsignal(signal.SIGINT)  # a job in the background may have been started with it ignored
    stop = Stop()
    done: list[int] = []

    def progress(frames: int) -> None:
        done.append(frames)
        if frames == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with stop.listening():
        result = run(make_clip(frames=12), progress=progress, stop=stop)
    assert done == [1, 2, 3, 4, 5]
    assert result.frames == 5
    assert result.broke_off == "interrupted"
    assert frames_of(result) == 5
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_ends_the_wait_for_a_frame(make_clip: MakeClip, run: Run):
    stop = Stop()
    clip = open_clip(make_clip(frames=12))
    inner = clip.frames

    def stalling(listen: Any = None) -> Any:
        for frame in inner(listen):
            if frame.index == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            yield frame

    clip.frames = stalling  # type: ignore[method-assign]
    with stop.listening():
        result = run(clip, stop=stop)
    assert result.frames == 3
    assert result.broke_off == "interrupted"


def test_a_live_clip_that_is_stopped_has_not_broken_off(make_clip: MakeClip, run: Run):
    clip = open_clip(make_clip(frames=12))
    clip.live = True  # type: ignore[misc]
    stop = Stop()
    result = run(clip, stop=stop, progress=lambda frames: setattr(stop, "asked", frames == 4))
    assert result.frames == 4
    assert result.broke_off is None


def test_a_full_disk_costs_the_video_and_nothing_else(make_clip: MakeClip, run: Run, monkeypatch: pytest.MonkeyPatch):
    def full(self: object, frame: object, drawn: object) -> None:
        raise SourceError("the annotated video cannot be written: No space left on device")

    monkeypatch.setattr("guard.replay.video.VideoWriter.add", full)
    result = run(make_clip(frames=6))
    assert counts(result) == (6, 0, 0, 6, 0, 0)
    assert result.outputs.video is None
    assert any("No space left" in note for note in result.notes)


# ---- detection and latency

ON_DEMAND = OFFICE.replace('id = "door"', 'id = "door"\ndetect = "on-demand"')


def test_replay_detects_on_every_frame_but_keeps_it_out_of_the_hooks_time(make_clip: MakeClip, run: Run):
    class Slow(FakeDetector):
        def detect(self, image: Any, **options: Any) -> Any:
            import time

            time.sleep(0.03)
            return super().detect(image, **options)

    slow = Slow([BOX])
    result = run(make_clip(frames=5), ON_DEMAND, service="self_hosted", detector=slow)
    assert slow.seen == 5
    assert result.frames_with_faces == 5
    assert result.latency_us["detect"]["p50"] > 30_000
    assert result.latency_us["hook"]["p50"] < 25_000
    every = run(make_clip(frames=5), OFFICE, service="self_hosted", detector=Slow([BOX]))
    assert every.latency_us["hook"]["p50"] > 30_000


def test_the_matchers_own_time_is_not_the_hooks(make_clip: MakeClip, run: Run):
    class Slow(Recognising):
        def search(self, picture: Any) -> Any:
            import time

            time.sleep(0.03)
            return super().search(picture)

    result = run(make_clip(frames=4), OFFICE, service="self_hosted", matcher=Slow())
    assert result.latency_us["hook"]["p50"] < 25_000


# ---- JSON


def test_the_json_is_the_contracts(make_clip: MakeClip, run: Run):
    value = run(make_clip(frames=3)).to_json()
    assert list(value) == [
        "schema",
        "clip",
        "source",
        "frames",
        "frames_with_faces",
        "seconds",
        "calls",
        "reasons",
        "latency_us",
        "outputs",
    ]
    assert value["schema"] == "guard.replay/1"
    assert value["source"] == "bodycam"
    contract = {"action", "service", "attempted", "allowed", "redacted", "denied", "reached_service", "matched"}
    assert set(value["calls"][0]) == contract | {"faulted"}
    assert set(value["reasons"][0]) == {"rule", "pack", "cite", "count"}
    assert set(value["latency_us"]) == {"hook", "detect", "decide"}
    for stage in value["latency_us"].values():
        assert list(stage) == ["p50", "p95", "p99", "max"]
        assert stage["p50"] <= stage["p95"] <= stage["p99"] <= stage["max"]
    assert set(value["outputs"]) == {"report", "video", "ledger"}
    assert Path(value["outputs"]["video"]).is_file()


# ---- helpers


def frames_of(result: Replay) -> int:
    with av.open(str(result.outputs.video)) as container:
        return sum(1 for _ in container.decode(video=0))


def picture_at(result: Replay, index: int) -> np.ndarray[Any, Any]:
    reader = cv2.VideoCapture(str(result.outputs.video))
    for _ in range(index + 1):
        good, picture = reader.read()
    reader.release()
    assert good
    return picture


def test_a_closed_guard_is_a_fault(make_clip: MakeClip, run: Run, make_guard: Any):
    made: guard.Guard = make_guard(OFFICE)
    made._closed = True
    assert counts(run(make_clip(frames=2), guard=made, service="self_hosted")) == (2, 0, 0, 2, 2, 0)


def test_in_shadow_mode_every_call_reaches_the_service_and_result_and_json_say_so(make_clip: MakeClip, run: Run):
    matcher = Recognising()
    result = run(make_clip(frames=5), '[policy]\nmode = "shadow"\n' + POLICE, matcher=matcher)
    assert counts(result) == (5, 0, 0, 5, 0, 5)
    assert result.shadow
    found = result.to_json()
    assert found["mode"] == "shadow"
    assert found["calls"][0]["unenforced"] == 5
    assert not run(make_clip(frames=2)).shadow
