"""A frame through the guard: what this page shows again is no repetition of the feed, and no fault of its pace."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the live page needs frguard[watch]")

from guard.watch.serving import Watching
from tests.conftest import POLICE
from tests.watch.running import IDENTIFY, write_noise

LOOP = np.random.default_rng(5).integers(0, 255, (12, 120, 160, 3), np.uint8)
"""2.4 s of pictures, at five a second."""


@pytest.fixture
def clip(tmp_path):
    from guard.replay.clip import open_clip

    opened = open_clip(write_noise(tmp_path / "clip.mp4", frames=2))
    yield opened
    opened.close()


@pytest.mark.parametrize("begins", [True, False])
def test_a_recording_that_is_shown_again_is_no_repetition_of_the_feed(make_guard, clip, begins):
    g = make_guard(packs=["microsoft_ai_code"])
    analyst = Watching(g, {"bodycam": "clip.mp4"}, [IDENTIFY]).analysts["bodycam"]
    watch = g.source("bodycam").watch
    faults = set()
    for showing in range(4):
        if begins:
            analyst.begin(clip)
        for number, picture in enumerate(LOOP):
            watch.sample(picture, (showing * len(LOOP) + number) * 0.2)
            faults.add(watch.fault)
    assert (faults == {None}) is begins


def test_frames_that_are_left_out_are_no_fault_of_the_camera(make_guard, clip):
    text = POLICE.replace('id = "bodycam"', 'id = "bodycam"\ncamera = { fps = 25 }')
    g = make_guard(text, packs=["microsoft_ai_code"])
    analyst = Watching(g, {"bodycam": "clip.mp4"}, [IDENTIFY]).analysts["bodycam"]
    analyst.begin(clip)
    watch = g.source("bodycam").watch
    for number in range(100):
        watch.clip_s = number * 0.2
        assert watch.enter(LOOP[number % len(LOOP)], None) is None
