"""The network's input: its size, what fills it, and that nothing is turned or shifted on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.vision.picture import Picture
from guard.vision.scaling import Scaling, Workspace


@pytest.mark.parametrize(
    ("source", "min_face_px", "used", "size"),
    [
        ((1920, 1080), 32, (960, 540), (960, 544)),
        ((1280, 720), 32, (640, 384), (640, 384)),
        ((640, 360), 32, (320, 192), (320, 192)),
        ((1920, 1080), 16, (1920, 1080), (1920, 1088)),
        ((1920, 1080), 8, (1920, 1080), (1920, 1088)),
        ((640, 427), 16, (640, 427), (640, 448)),
        ((512, 512), 64, (128, 128), (128, 128)),
        ((20, 10), 16, (20, 10), (32, 32)),
        ((20, 10), 32, (20, 10), (32, 32)),
        ((1, 1), 1000, (1, 1), (32, 32)),
    ],
)
def test_size(source: tuple[int, int], min_face_px: int, used: tuple[int, int], size: tuple[int, int]) -> None:
    scaling = Scaling.of(*source, min_face_px)
    assert (scaling.used_width, scaling.used_height) == used
    assert (scaling.width, scaling.height) == size


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    min_face_px=st.floats(1, 500),
)
def test_size_in_general(width: int, height: int, min_face_px: float) -> None:
    scaling = Scaling.of(width, height, min_face_px)
    scale = min(1.0, 16 / min_face_px)
    for source, used, size in (
        (width, scaling.used_width, scaling.width),
        (height, scaling.used_height, scaling.height),
    ):
        assert size % 32 == 0
        assert size - 32 < max(1, source * scale) + 0.5
        assert 1 <= used <= min(source, size)
        assert used in (size, source) or size - used < 0.01 * size
        # Never smaller than asked for: a face of min_face_px keeps its 16 network pixels.
        assert used >= min(source, source * scale - 0.5)


def test_a_picture_at_native_size_arrives_as_it_is_with_a_blank_rim() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    blob = _blob(picture, 16)
    assert blob.shape == (1, 3, 64, 96)
    np.testing.assert_array_equal(blob[0, :, :50, :70], picture.transpose(2, 0, 1))
    assert not blob[0, :, 50:].any()
    assert not blob[0, :, :, 70:].any()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_scaling_down_averages_and_skips_no_pixel(factor: int) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (64 * factor, 96 * factor, 3), dtype=np.uint8)
    blocks = picture.reshape(64, factor, 96, factor, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(_blob(picture, 16 * factor)[0], blocks.transpose(2, 0, 1), atol=1.6)


def test_workspaces_can_be_filled_again() -> None:
    bright, dark = np.full((100, 100, 3), 200, np.uint8), np.full((100, 100, 3), 20, np.uint8)
    work = Workspace(Scaling.of(100, 100, 20))
    for picture in (bright, dark, bright):
        work.fill(picture)
        assert work.blob.max() == picture.max()


def _blob(picture: Picture, min_face_px: float) -> np.ndarray:
    work = Workspace(Scaling.of(picture.shape[1], picture.shape[0], min_face_px))
    work.fill(picture)
    return work.blob
