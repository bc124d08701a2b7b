"""The witness tells a moving camera from one that stands still, and says so where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from guard.vision.motion import (
    DOUBTED_S,
    ESTABLISHED_S,
    GLIMPSED_S,
    OUTLIVES_S,
    PRESET_S,
    Motion,
    MotionWitness,
)
from guard.vision.thumbnail import HEIGHT, WIDTH, Thumbnail

Shown = Callable[[int], Thumbnail]


def world(seed: int = 0) -> np.ndarray:
    """A wide place full of things: blurred noise of several sizes, 400 x 1400."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (400, 1400)), (0, 0), size) * size for size in (1.5, 4, 11)]
    place = sum(layers)
    return np.clip(120 + 45 * place / place.std(), 10, 245).astype(np.float32)


WORLD = world()


def seen_from(x: float, y: float = 100.0, zoom: float = 1.0) -> np.ndarray:
    view = np.float32([[zoom, 0, x], [0, zoom, y]])
    return cv2.warpAffine(WORLD, view, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def taken(view: np.ndarray, number: int, noise: float = 1.0) -> Thumbnail:
    grain = np.random.default_rng(number).normal(0, noise, view.shape)
    return np.clip(view + grain, 0, 255).astype(np.uint8)


def shaken(number: int, px: float = 2.0) -> tuple[float, float]:
    t = number / 5
    return (
        200 + px * (np.sin(5.1 * t) + np.sin(8.3 * t + 1) + np.sin(2.2 * t + 2)),
        100 + px * (np.sin(6.3 * t + 3) + np.sin(3.9 * t)),
    )


def hand(number: int) -> Thumbnail:
    return taken(seen_from(*shaken(number)), number)


def wall(number: int) -> Thumbnail:
    return taken(seen_from(200), number)


def with_people(number: int) -> Thumbnail:
    """Four boxes of a texture of their own walk through; at any time they hide about a quarter of the picture."""
    view = seen_from(200).copy()
    for each in range(4):
        x, width = int((number * (2 + each) + 40 * each) % (WIDTH + 40)) - 20, 22
        left, right = max(0, x), min(WIDTH, x + width)
        if left < right:
            view[10 + 5 * each : 60 + 3 * each, left:right] = WORLD[
                300 : 350 - 2 * each, 50 * each : 50 * each + right - left
            ]
    return taken(view, number)


def two_ways(number: int, parted: int = 45) -> Thumbnail:
    """A crowd that hides everything from the first picture on: the far half goes left, the near half right."""
    view = seen_from(300 + 6 * number)
    view[parted:] = seen_from(900 - 5 * number)[parted:]
    return taken(view, number)


def before_a_faint_wall(number: int) -> Thumbnail:
    """Things full of contrast pass along a seventh of the picture; no corner of the wall behind is as strong."""
    view = 120 + 0.08 * (seen_from(200) - 120)
    view[50:60] = seen_from(300 + 8 * number)[50:60]
    return taken(view, number, 0.4)


def buses(number: int) -> Thumbnail:
    """Buses without end, all one way, and the wall between them for a moment, in half the light of before."""
    view = wall(number).astype(np.float32)
    hides = (np.arange(WIDTH) + 12 * number) % 160 < 130
    view[:, hides] = seen_from(300 + 12 * (number % 60))[:, hides]
    return taken(view * 0.5, number)


def watch(shown: Shown, seconds: float, *, witness: MotionWitness | None = None, start: int = 0) -> Iterator[Motion]:
    witness = witness or MotionWitness()
    for number in range(start, start + round(seconds * 5)):
        yield witness.see(shown(number), number / 5)


def last(motions: Iterator[Motion]) -> Motion:
    return list(motions)[-1]


MOVING: dict[str, Shown] = {
    "a hand": hand,
    "a slow pan": lambda n: taken(seen_from(100 + 1.2 * n), n),
    "walking": lambda n: taken(seen_from(*shaken(n, 8.0)), n),
    "driving": lambda n: taken(seen_from(200, 100, 1 - 0.012 * n), n),
    "a drone": lambda n: taken(seen_from(100 + 3 * n, 100 + 2 * n), n),
}

STILL: dict[str, Shown] = {
    "an empty place": wall,
    "people": with_people,
    "light that fades": lambda n: taken(seen_from(200) * (1 - 0.02 * n), n),
    "a lamp switched on": lambda n: taken(seen_from(200) * (0.5 if n < 8 else 1.0), n),
    "noise": lambda n: taken(seen_from(200), n, 3.0),
    "a mast in the wind": lambda n: taken(seen_from(200 + 0.15 * np.sin(4 * n)), n),
    "one picture for ever": lambda n: taken(seen_from(200), 0),
}


@pytest.mark.parametrize("kind", MOVING)
def test_a_moving_camera_is_found_within_three_seconds(kind):
    assert last(watch(MOVING[kind], 3.0)).state == "moving"


@pytest.mark.parametrize("kind", STILL)
def test_a_camera_that_stands_still_is_believed_within_three_seconds(kind):
    assert last(watch(STILL[kind], 3.0)).state == "still"


@pytest.mark.parametrize(
    "shown",
    [
        lambda n: taken(np.full((HEIGHT, WIDTH), 128.0), n),
        lambda n: taken(seen_from(*shaken(n)) * 0.01, n, 3.0),
        lambda n: np.zeros((HEIGHT, WIDTH), np.uint8),
    ],
    ids=["a bare wall", "the dark", "nothing"],
)
def test_where_nothing_can_be_made_out_the_witness_cannot_tell(shown):
    motion = last(watch(shown, 6.0))
    assert motion.state == "cannot-tell"
    assert motion.confidence == 0.0
    assert "too little structure" in motion.evidence


def test_it_says_nothing_before_it_has_seen_enough():
    assert {motion.state for motion in watch(hand, 2.6)} == {"cannot-tell"}


@pytest.mark.parametrize("every", [1, 2])
def test_cuts_between_fixed_cameras_are_no_motion(every):
    """A recorder that shows one camera after another, each for 2 s."""

    def switched(number: int) -> Thumbnail:
        return taken(seen_from(200 + 300 * (number // (10 * every) % 3)), number)

    assert "moving" not in {motion.state for motion in watch(switched, 20.0)}


def test_a_burnt_in_clock_and_a_bonnet_do_not_hold_a_moving_camera_still():
    def driving(number: int) -> Thumbnail:
        shown = hand(number)
        shown[:10, :90] = wall(number)[:10, :90]
        shown[80:] = wall(number)[80:]
        return shown

    assert last(watch(driving, 3.0)).state == "moving"


@pytest.mark.parametrize("crowd", [two_ways, before_a_faint_wall])
def test_a_crowd_that_no_one_camera_could_see_so_is_no_motion(crowd):
    assert "moving" not in {motion.state for motion in watch(crowd, 12.0)}


def test_buses_without_end_are_no_motion_while_the_place_shows_between_them():
    witness = MotionWitness()
    list(watch(wall, ESTABLISHED_S + 4, witness=witness))
    states = {motion.state for motion in watch(buses, OUTLIVES_S + 10, witness=witness, start=70)}
    assert "moving" not in states


@pytest.mark.parametrize(
    ("shown", "after_s"), [(hand, GLIMPSED_S), (lambda n: two_ways(n, 62), DOUBTED_S)], ids=["a hand", "a crowd"]
)
def test_after_a_glimpse_of_the_place_motion_must_last_and_longer_where_it_is_doubtful(shown, after_s):
    witness = MotionWitness()
    assert last(watch(wall, 4.0, witness=witness)).state == "still"
    found = [motion.state for motion in watch(shown, after_s + 6, witness=witness, start=20)]
    first = found.index("moving")
    assert after_s - 2 < first / 5 < after_s + 2


def test_a_bus_that_fills_the_picture_of_an_established_camera_is_no_motion():
    witness = MotionWitness()
    list(watch(wall, ESTABLISHED_S + 4, witness=witness))
    bus = watch(lambda n: taken(seen_from(600 + 3 * (n % 100)), n), OUTLIVES_S - 4, witness=witness, start=100)
    assert "moving" not in {motion.state for motion in bus}
    assert last(watch(wall, 4.0, witness=witness, start=200)).state == "still"


def test_a_camera_taken_off_its_wall_is_found_for_all_that():
    witness = MotionWitness()
    list(watch(wall, ESTABLISHED_S + 4, witness=witness))
    assert "moving" in {motion.state for motion in watch(hand, OUTLIVES_S + 8, witness=witness, start=70)}


def test_presets_are_no_motion_for_a_camera_that_has_them_and_wandering_is():
    def touring(number: int) -> Thumbnail:
        """Five seconds at a preset, four on the way to the next."""
        turn, step = divmod(number, 45)
        return taken(seen_from(100 + 60 * (turn % 5) + 3 * max(0, step - 25)), number)

    witness = MotionWitness(presets=True)
    assert "moving" not in {motion.state for motion in watch(touring, 40.0, witness=witness)}
    assert "moving" in {motion.state for motion in watch(touring, 40.0)}
    assert last(watch(hand, PRESET_S + 4, witness=MotionWitness(presets=True))).state == "moving"


def test_a_gap_in_the_feed_starts_anew():
    witness = MotionWitness()
    list(watch(hand, 3.0, witness=witness))
    assert witness.motion.state == "moving"
    assert witness.see(hand(16), 100.0).state == "cannot-tell"
    assert witness.see(hand(17), 99.0).state == "cannot-tell"


def test_the_evidence_names_what_was_measured():
    motion = last(watch(hand, 3.0))
    assert 0.5 < motion.confidence <= 1.0
    assert "stayed where they were" in motion.evidence
    assert motion.followed > 20
    assert 2.5 < motion.seconds <= 3.0
