"""The page over a real socket: what it says of feeds that run, die and cannot be judged, and the pictures."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from functools import partial

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the live page needs frguard[watch]")

from guard.testing import FakeDetector
from guard.watch import app, feeds
from guard.watch.board import Board
from guard.watch.runs import Attempt
from tests.conftest import OFFICE, POLICE
from tests.watch.running import served, wait_for, write_noise

TWO = OFFICE.partition("[[source.evidence]]")[0] + POLICE.partition("[[source]]")[2].join(["\n[[source]]", ""])
SHADOW = '[policy]\nmode = "shadow"\n'
AT_THE_DOOR = Attempt("identify", "self_hosted")
FACE = [40, 30, 80, 80]


PACKS = ("microsoft_ai_code", "microsoft_azure_openai_2024", "microsoft_azure_face")
"""Those that speak of the calls below: all of them take longer to load."""


@pytest.fixture
def make_guard(make_guard):
    return partial(make_guard, packs=PACKS)


@pytest.fixture
def clip(tmp_path):
    return write_noise(tmp_path / "clip.mp4")


def first(page, met=lambda event: event["runs"]):
    """The first event that `met` holds for."""
    with page.events() as events:
        return next(event for event in events if met(event))


def test_a_blocked_call_is_shown_with_its_reason(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page:
        event = first(page.enter())
    (run,) = event["runs"]
    assert (run["source"], run["outcome"], run["enforced"]) == ("bodycam", "deny", True)
    assert "MS-COC.us-police" in run["rules"]
    assert run["title"]
    assert run["cite"]


def test_an_allowed_call_reaches_the_stand_in_and_is_on_record(make_guard, clip):
    g = make_guard(OFFICE)
    with served(g, {"door": clip}, [AT_THE_DOOR]) as page:
        assert first(page.enter())["runs"][0]["outcome"] == "allow"
    assert set(g.ledger.verdicts()) == {"allow"}


def test_the_detail_names_what_would_lift_a_denial(make_guard, clip):
    text = OFFICE.partition("[[source.evidence]]")[0]
    with served(make_guard(text), {"door": clip}, [Attempt("identify", "azure_face")]) as page:
        first(page.enter())
        found = json.loads(page.ask("/sources/door").body)
    (call,) = found["calls"]
    assert call["outcome"] == "deny"
    assert ["limited_access_approval"] in call["lifted_by"]
    assert call["reasons"][0]["cite"]
    assert found["declared"]["capture"]["mount"] == "fixed"
    assert "capture.mount" in [finding["name"] for finding in found["context"]]


def test_shadow_mode_is_said(make_guard, clip):
    with served(make_guard(SHADOW + POLICE), {"bodycam": clip}) as page:
        event = first(page.enter())
    assert event["mode"] == "shadow"
    assert event["runs"][0]["enforced"] is False


def test_one_feed_that_dies_leaves_the_others_alone(make_guard, tmp_path, clip, monkeypatch):
    monkeypatch.setattr(feeds, "_FIRST_RETRY_S", 0.05)
    dying = write_noise(tmp_path / "dying.mp4", frames=4)
    with served(make_guard(TWO), {"door": dying, "bodycam": clip}) as page, page.enter().events() as events:
        dying.unlink()
        for event in events:
            tile = event["tiles"].get("door")
            if tile is not None and tile["feed"]["state"] == "stalled":
                break
        assert "there is no such clip" in tile["feed"]["why"] or "went away" in tile["feed"]["why"]
        before = page.watching.board.since(0)["tiles"]["bodycam"]["frames"]
        wait_for(lambda: page.watching.board.since(0)["tiles"]["bodycam"]["frames"] > before + 3)


def test_a_picture_bears_no_face(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page, page.enter().events() as events:
        next(event for event in events if event["tiles"].get("bodycam", {}).get("picture"))
        reply = page.ask("/pictures/bodycam")
    picture = cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_COLOR)
    x1, y1, x2, y2 = FACE
    assert reply.headers["content-type"] == "image/jpeg"
    assert picture[y1:y2, x1:x2].max() < 40
    assert picture[100:, 120:].mean() > 60


def test_where_the_detector_fails_there_is_no_picture_and_the_tile_says_why(make_guard, clip):
    g = make_guard(detector=FakeDetector(error=RuntimeError("out of memory")))
    with served(g, {"bodycam": clip}) as page, page.enter().events() as events:
        tile = next(event["tiles"]["bodycam"] for event in events if event["tiles"].get("bodycam", {}).get("why_none"))
        assert page.ask("/pictures/bodycam").status == 404
    assert tile["picture"] is None
    assert "the detector raised RuntimeError" in tile["why_none"]
    assert "out of memory" not in tile["why_none"]


def test_a_picture_that_was_shown_goes_when_the_detector_fails(make_guard, clip):
    detector = FakeDetector([FACE])
    with served(make_guard(detector=detector), {"bodycam": clip}) as page, page.enter().events() as events:
        next(event for event in events if event["tiles"].get("bodycam", {}).get("picture"))
        detector.error = RuntimeError("broken")
        wait_for(lambda: page.ask("/pictures/bodycam").status == 404)


def test_no_picture_is_made_while_nobody_looks_on(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page:
        board = page.watching.board
        wait_for(lambda: board.since(0)["tiles"]["bodycam"]["frames"] > 5)
        assert page.enter().ask("/pictures/bodycam").status == 404


def test_on_demand_the_detector_rests_while_nobody_looks_on(make_guard, clip):
    text = POLICE.replace('id = "bodycam"', 'id = "bodycam"\ndetect = "on-demand"')
    g = make_guard(text)
    with served(g, {"bodycam": clip}) as page:
        board = page.watching.board
        wait_for(lambda: board.since(0)["tiles"]["bodycam"]["frames"] > 5)
        assert g.detector.seen == 0
        with page.enter().events() as events:
            next(event for event in events if event["tiles"].get("bodycam", {}).get("picture"))
        assert g.detector.seen > 0


def test_on_change_a_picture_is_covered_by_the_faces_of_its_very_frame(make_guard, tmp_path):
    folder = tmp_path / "still"
    folder.mkdir()
    picture = np.random.default_rng(1).integers(60, 200, (120, 160, 3), np.uint8)
    for number in range(20):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    detector = FakeDetector()
    text = OFFICE.replace('id = "door"', 'id = "door"\ndetect = "on-change"\nmax_stale_s = 60')
    with (
        served(make_guard(text, detector=detector), {"door": folder}, [AT_THE_DOOR], rate=5.0) as page,
        page.enter().events() as events,
    ):
        next(event for event in events if event["tiles"].get("door", {}).get("picture"))
        detector.boxes = [FACE]  # and nothing in the picture gives it away

        def covered():
            shown = cv2.imdecode(np.frombuffer(page.ask("/pictures/door").body, np.uint8), cv2.IMREAD_COLOR)
            x1, y1, x2, y2 = FACE
            return shown[y1:y2, x1:x2].max() < 40

        wait_for(covered, seconds=5.0)


def test_a_recording_that_is_shown_again_does_not_run_backwards(make_guard, clip, monkeypatch):
    monkeypatch.setattr("guard.replay.container._created", lambda *_: datetime(2026, 1, 1, tzinfo=UTC))
    with served(make_guard(OFFICE), {"door": clip}, [AT_THE_DOOR]) as page:
        board = page.watching.board
        wait_for(lambda: board.since(0)["tiles"]["door"]["frames"] > 50)
        assert {run["outcome"] for run in board.since(0)["runs"]} == {"allow"}


def test_a_feed_whose_pictures_stand_still_is_stalled(make_guard, tmp_path):
    folder = tmp_path / "still"
    folder.mkdir()
    picture = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    for number in range(20):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    text = POLICE.replace('id = "bodycam"', 'id = "bodycam"\ncamera = { frozen_s = 1 }')
    with served(make_guard(text), {"bodycam": folder}) as page, page.enter().events() as events:
        for event in events:
            tile = event["tiles"].get("bodycam")
            if tile is not None and tile["feed"]["state"] == "stalled":
                break
    assert "frozen" in tile["feed"]["why"]


def test_a_browser_that_comes_back_gets_what_it_missed(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page:
        last = first(page.enter())["id"]
        with page.events(last) as events:
            assert next(events)["version"] > int(last.partition("-")[2])
        with page.events("another-1") as events:
            assert next(events)["runs"], "a browser of an earlier run is told everything"


def test_a_browser_that_does_not_read_holds_up_nobody(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page, page.enter().events():
        board = page.watching.board
        wait_for(lambda: board.since(0)["tiles"]["bodycam"]["frames"] > 5)
        with page.events() as events:
            assert next(events)["runs"]


def test_there_are_only_so_many_streams(make_guard, clip, monkeypatch):
    monkeypatch.setattr(app, "MOST_STREAMS", 1)
    with served(make_guard(), {"bodycam": clip}) as page, page.enter().events() as events:
        next(events)
        assert page.ask("/events").status == 503


def test_streams_that_were_asked_for_at_once_are_no_more_than_that(make_guard, monkeypatch):
    monkeypatch.setattr(app, "MOST_STREAMS", 1)
    board = Board({})
    changes = app._Pages(make_guard(), board)._changes(0)
    with board.viewer(), pytest.raises(StopAsyncIteration):
        asyncio.run(anext(changes))


def test_a_last_event_that_no_board_ever_had_is_none(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page:
        boot = first(page.enter())["id"].partition("-")[0]
        with page.events(f"{boot}-{'9' * 5000}") as events:
            assert next(events)["tiles"]


@pytest.mark.parametrize("target", ["/sources/nobody", "/pictures/nobody", "/static/..%2fwatch.py", "/static/nothing"])
def test_what_there_is_not(make_guard, clip, target):
    with served(make_guard(), {"bodycam": clip}) as page:
        assert page.enter().ask(target).status == 404


def test_a_source_may_have_any_name(make_guard, clip):
    text = POLICE.replace('"bodycam"', "\"yard/north <1> 'é'\"")
    with served(make_guard(text), {"yard/north <1> 'é'": clip}) as page:
        first(page.enter())
        assert page.ask("/sources/yard%2Fnorth%20%3C1%3E%20'%C3%A9'").status == 200


def test_it_ends_though_a_browser_looks_on(make_guard, clip):
    with served(make_guard(), {"bodycam": clip}) as page, page.enter().events() as events:
        next(events)
        page.watching.stop()
        begun = time.monotonic()
        for _ in events:
            assert time.monotonic() - begun < 20
