"""A feed that shows nothing, is broken, frozen or repeated is found out; one that is only dull is not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from guard.vision.integrity import FeedIntegrity, unfit
from guard.vision.thumbnail import HEIGHT, WIDTH, thumbnail


def scene(seed: int = 0, low: int = 40, high: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (HEIGHT, WIDTH), np.uint8)


@pytest.mark.parametrize(
    ("value", "colour"), [(0, "black"), (15, "black"), (128, "of one grey"), (90, "of one grey"), (255, "white")]
)
def test_a_picture_of_one_colour_shows_nothing(value, colour):
    assert unfit(np.full((HEIGHT, WIDTH), value, np.uint8)) == f"the picture is {colour}"


def test_a_clock_burnt_into_a_black_picture_shows_nothing_either():
    black = np.zeros((HEIGHT, WIDTH), np.uint8)
    black[4:8, 5:50] = 240
    assert unfit(black) == "the picture is black"


def test_a_dark_room_is_no_black_picture():
    assert unfit(scene(low=4, high=20)) is None


def test_a_clear_sky_is_no_picture_of_one_colour():
    sky = np.linspace(150, 200, HEIGHT).astype(np.uint8)[:, None].repeat(WIDTH, axis=1)
    assert unfit(sky) is None


@pytest.mark.parametrize("grey", [128, 130])
@pytest.mark.parametrize(("rows", "found"), [(60, True), (30, True), (15, False)])
def test_the_grey_that_decoders_leave_is_damage_once_it_is_a_quarter(grey, rows, found):
    picture = scene()
    picture[-rows:] = grey
    assert (unfit(picture) is not None) is found


@pytest.mark.parametrize(("rows", "found"), [(60, True), (30, True), (15, False)])
def test_a_row_smeared_downwards_is_damage_once_it_is_a_quarter(rows, found):
    picture = scene()
    picture[-rows:] = picture[-rows]
    assert (unfit(picture) is not None) is found


def test_a_letterbox_and_stripes_are_no_damage():
    boxed = scene()
    boxed[:12] = boxed[-12:] = 0
    assert unfit(boxed) is None
    assert unfit(np.tile(scene()[:1], (HEIGHT, 1))) is None


def test_a_feed_is_frozen_once_it_gives_the_same_picture_for_so_long():
    feed = FeedIntegrity(frozen_s=10)
    found = [feed.see(scene(), at / 5) for at in range(60)]
    assert found[:50] == [None] * 50
    assert found[50] == "the feed is frozen: the same picture for 10 s"
    assert feed.see(scene(1), 12.0) is None


def test_noise_of_one_grey_level_keeps_a_feed_alive():
    feed, rng = FeedIntegrity(frozen_s=10), np.random.default_rng(1)
    still = scene()
    assert {feed.see(still + rng.integers(0, 2, still.shape, np.uint8), at / 5) for at in range(200)} == {None}


def test_a_loop_is_found_in_its_second_turn():
    feed = FeedIntegrity()
    found = [feed.see(scene(at % 30), at / 5) for at in range(60)]
    assert found[:30] == [None] * 30
    assert "repeats what it showed 6 s before" in str(found[-1])
    assert found.index(next(each for each in found if each)) < 45


def test_a_loop_whose_pictures_are_caught_one_time_in_five_is_found():
    """Sampling by time catches other frames of the loop in every turn."""
    feed = FeedIntegrity()
    found = [feed.see(scene((at * 5 + at // 30) % 151), at / 5) for at in range(600)]
    assert any(found)


def test_a_picture_that_comes_again_by_itself_is_no_loop():
    feed, rng = FeedIntegrity(), np.random.default_rng(2)
    order = [int(each) for each in rng.integers(0, 12, 400)]
    assert {feed.see(scene(each), at / 5) for at, each in enumerate(order)} == {None}


def test_after_a_loop_ends_the_feed_is_trusted_again():
    feed = FeedIntegrity()
    for at in range(60):
        feed.see(scene(at % 30), at / 5)
    later = [feed.see(scene(1000 + at), 12 + at / 5) for at in range(90)]
    assert later[-1] is None


@pytest.mark.parametrize(
    "shape", [(1080, 1920, 3), (1080, 1920), (480, 640, 4), (40, 60, 3), (1920, 1080, 3), (7, 5, 1)]
)
def test_every_frame_has_a_thumbnail_of_one_size(shape):
    picture = np.random.default_rng(3).integers(0, 255, shape, np.uint8)
    before = picture.copy()
    small = thumbnail(picture)
    assert small.shape == (HEIGHT, WIDTH)
    assert small.dtype == np.uint8
    assert np.array_equal(picture, before)
    assert not np.shares_memory(small, picture)


def test_an_upright_picture_is_laid_on_its_side():
    picture = np.zeros((1920, 1080, 3), np.uint8)
    picture[:960] = 200
    small = thumbnail(picture)
    assert small[:, : WIDTH // 2].min() == 200
    assert small[:, WIDTH // 2 :].max() == 0


def test_a_loop_of_an_hour_is_found_out_and_a_feed_keeps_less_than_a_megabyte():
    picture = scene()

    def show(watched: FeedIntegrity, number: int, at_s: float) -> str | None:
        picture[0, :4] = np.frombuffer((number + 1).to_bytes(4, "big"), np.uint8)
        return watched.see(picture, at_s)

    tracemalloc.start()
    try:
        watched = FeedIntegrity()
        for number in range(18_000):
            assert show(watched, number, number / 5) is None
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert show(watched, 0, 3600.0) is None
    assert [show(watched, number, 3600 + number / 5) for number in range(1, 20)][-1] is not None
