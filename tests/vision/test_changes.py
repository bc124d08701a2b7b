"""Tiles of a feed: noise is no change, a face-sized patch is one, slow change adds up, and every pixel is watched."""

from __future__ import annotations

import numpy as np
import pytest

from guard.vision.changes import ChangeMap
from guard.vision.regions import regions, touched

SIZE = (640, 360)
SCENE = np.random.default_rng(3).integers(40, 200, (*SIZE[::-1], 3), np.uint8)


def noisy(picture: np.ndarray, seed: int, sigma: float = 3.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def looked_at() -> ChangeMap:
    found = ChangeMap(SIZE, 32)
    found.take(SCENE)
    found.settle(0, 0, *SIZE)
    return found


def test_the_same_picture_has_not_changed(looked_at: ChangeMap):
    assert not looked_at.take(SCENE).any()


def test_noise_is_no_change():
    found = ChangeMap(SIZE, 32)
    found.take(noisy(SCENE, 1))
    found.settle(0, 0, *SIZE)
    assert not any(found.take(noisy(SCENE, seed)).any() for seed in range(2, 12))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (64, 96), (75, 81), (608, 328), (623, 341)])
def test_a_patch_of_the_smallest_face_shows_wherever_it_is(looked_at: ChangeMap, x: int, y: int):
    changed = SCENE.copy()
    changed[y : y + 32, x : x + 32] = 255 - changed[y : y + 32, x : x + 32]
    found = looked_at.take(changed)
    rows, columns = np.nonzero(found)
    assert len(rows)
    assert set(rows) <= {y // 32, (y + 31) // 32}
    assert set(columns) <= {x // 32, (x + 31) // 32}


def test_what_changes_slowly_adds_up_until_it_shows(looked_at: ChangeMap):
    shown = []
    for step in range(1, 9):
        slowly = SCENE.copy()
        slowly[96:160, 64:128] += np.uint8(step)
        shown.append(bool(looked_at.take(slowly).any()))
    assert shown[0] is False
    assert shown[-1] is True


def test_only_tiles_that_were_looked_at_as_a_whole_have_a_new_reference(looked_at: ChangeMap):
    other = np.ascontiguousarray(SCENE[::-1])
    assert looked_at.take(other).all()
    looked_at.settle(40, 32, 130, 96)
    left = looked_at.take(other)
    assert np.argwhere(~left).tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]


def test_a_size_that_is_no_multiple_of_a_tile_is_looked_at_to_its_last_pixel():
    picture = SCENE[:331, :611]
    found = ChangeMap((611, 331), 32)
    found.take(picture)
    found.settle(0, 0, 611, 331)
    assert not found.take(picture).any()
    corner = picture.copy()
    corner[-11:, -3:] = 255
    assert np.argwhere(found.take(corner)).tolist() == [[10, 19]]


@pytest.mark.parametrize("shape", [(360, 640), (360, 640, 1), (360, 640, 4)])
def test_grey_and_four_channels_are_watched_too(shape: tuple[int, ...]):
    picture = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    found = ChangeMap(SIZE, 16)
    found.take(picture)
    found.settle(0, 0, *SIZE)
    assert not found.take(picture).any()
    assert found.take(255 - picture).mean() > 0.9


def tiles(*changed: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((34, 60), np.bool_)
    for row, column in changed:
        mask[row, column] = True
    return mask


NO_BOXES = np.empty((0, 4), np.float32)
FULL_HD = {"size": (1920, 1080), "tile_px": 32, "min_face_px": 32}


@pytest.mark.parametrize("tile", [(0, 0), (5, 7), (33, 59), (16, 59)])
def test_what_changed_lies_inside_the_rim_of_a_part_within_the_picture(tile: tuple[int, int]):
    (found,) = regions(tiles(tile), NO_BOXES, **FULL_HD)
    left, top, right, bottom = found.inner
    row, column = tile
    assert left <= column * 32
    assert top <= row * 32
    assert right >= min(1920, column * 32 + 32)
    assert bottom >= min(1080, row * 32 + 32)
    assert found.part[0] >= 0
    assert found.part[1] >= 0
    assert found.part[2] <= 1920
    assert found.part[3] <= 1080


def test_parts_have_few_sizes():
    sizes = set()
    for row in range(0, 34, 3):
        for column in range(0, 60, 3):
            (found,) = regions(tiles((row, column)), NO_BOXES, **FULL_HD)
            sizes.add((found.part[2] - found.part[0], found.part[3] - found.part[1]))
    assert sizes == {(256, 256)}


def test_a_known_face_that_changed_is_looked_at_as_a_whole():
    face = np.array([[300, 200, 620, 640]], np.float32)
    changed = tiles((10, 12))
    assert touched(face, changed, 32).tolist() == [True]
    (found,) = regions(changed, face, **FULL_HD)
    assert found.inner[0] < 300
    assert found.inner[1] < 200
    assert found.inner[2] > 620
    assert found.inner[3] > 640


def test_much_change_means_the_whole_picture_and_far_apart_changes_are_parts_of_their_own():
    everything = np.ones((34, 60), np.bool_)
    assert regions(everything, NO_BOXES, **FULL_HD) is None
    assert len(regions(tiles((3, 3), (30, 55)), NO_BOXES, **FULL_HD)) == 2
    assert regions(tiles((1, 1), (1, 58), (32, 1), (32, 58)), NO_BOXES, **FULL_HD) is None
