"""A redacted picture hides every face, and the picture that it was made from is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError, GuardFault, SourceError
from guard.facts.faces import Faces
from guard.vision import Detector, redact
from guard.vision.picture import Picture
from guard.vision.redaction import STYLES, Style


def _faces(*boxes: tuple[float, float, float, float]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("min_face_px", [16, 32])
def test_no_face_is_found_afterwards(style: Style, min_face_px: int, detector: Detector, group: Picture) -> None:
    hidden = redact(group, detector.detect(group), style=style)
    assert len(detector.detect(hidden, min_face_px=min_face_px)) == 0


def test_solid_leaves_nothing_of_a_face_and_everything_else(detector: Detector, astronaut: Picture) -> None:
    faces = detector.detect(astronaut)
    hidden = redact(astronaut, faces, margin=0.0)
    x1, y1, x2, y2 = faces.boxes[0]
    inside = np.s_[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
    assert not hidden[inside].any()
    expected = astronaut.copy()
    expected[inside] = 0
    np.testing.assert_array_equal(hidden, expected)


@pytest.mark.parametrize("style", STYLES)
def test_the_picture_itself_is_left_alone(style: Style, astronaut: Picture) -> None:
    before = astronaut.copy()
    hidden = redact(astronaut, _faces((178, 63, 268, 176)), style=style)
    np.testing.assert_array_equal(astronaut, before)
    assert not np.shares_memory(hidden, astronaut)
    assert hidden.flags.writeable
    assert hidden.flags.c_contiguous
    assert (hidden != astronaut).any()


def test_no_faces_gives_an_equal_copy(astronaut: Picture) -> None:
    hidden = redact(astronaut, _faces())
    np.testing.assert_array_equal(hidden, astronaut)
    assert not np.shares_memory(hidden, astronaut)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 1), (60, 80, 3), (60, 80, 4)])
def test_every_layout_keeps_its_shape(style: Style, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(3).integers(1, 256, shape, dtype=np.uint8)
    hidden = redact(image, _faces((10, 10, 40, 50)), style=style)
    assert hidden.shape == shape
    assert hidden.dtype == np.uint8
    assert (hidden[12:48, 12:38] != image[12:48, 12:38]).any()
    np.testing.assert_array_equal(hidden[:, 60:], image[:, 60:])


def test_an_outline_in_the_alpha_channel_is_hidden_too() -> None:
    image = np.random.default_rng(4).integers(0, 200, (50, 50, 4), dtype=np.uint8)
    hidden = redact(image, _faces((10, 10, 30, 30)), margin=0.0)
    assert (hidden[10:30, 10:30] == [0, 0, 0, 255]).all()


def test_views_and_other_strides_work(astronaut: Picture) -> None:
    faces = _faces((100, 63, 190, 176))
    expected = redact(np.ascontiguousarray(astronaut[::2, ::-1]), faces)
    np.testing.assert_array_equal(redact(astronaut[::2, ::-1], faces), expected)


_COORDINATE = st.floats(-50, 150, width=32)


@given(
    boxes=st.lists(st.tuples(_COORDINATE, _COORDINATE, _COORDINATE, _COORDINATE), max_size=6),
    margin=st.floats(0, 2),
)
def test_all_boxes_are_covered_whatever_overlaps_or_crosses_the_border(
    boxes: list[tuple[float, float, float, float]], margin: float
) -> None:
    inside = [
        (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        for x1, y1, x2, y2 in boxes
        if min(x1, x2) < 100 and max(x1, x2) > 0 and min(y1, y2) < 80 and max(y1, y2) > 0
    ]
    image = np.full((80, 100, 3), 255, np.uint8)
    hidden = redact(image, _faces(*inside), margin=margin)
    for x1, y1, x2, y2 in inside:
        left, top = (max(0, int(np.floor(low))) for low in (x1, y1))
        assert not hidden[top : int(np.ceil(y2)), left : int(np.ceil(x2))].any()
        # Even a box without extent hides the pixel that it lies in.
        assert not hidden[min(top, 79), min(left, 99)].any()
    assert (hidden == 255).all() == (not inside)


def test_the_margin_reaches_beyond_the_box_on_every_side() -> None:
    hidden = redact(np.full((100, 100, 3), 255, np.uint8), _faces((40, 40, 60, 60)), margin=0.5)
    dark = np.argwhere(hidden[..., 0] == 0)
    assert dark.min(axis=0).tolist() == [30, 30]
    assert dark.max(axis=0).tolist() == [69, 69]


@pytest.mark.parametrize(
    "box",
    [
        (float("nan"), 0, 10, 10),
        (0, 0, float("inf"), 10),
        (30, 10, 20, 20),
        (100, 10, 120, 20),
        (-30, 10, -20, 20),
        (10, 80, 20, 90),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_a_box_that_hides_nothing_is_a_fault(box: tuple[float, float, float, float], style: Style) -> None:
    with pytest.raises(GuardFault, match="outside of the picture"):
        redact(np.zeros((80, 100, 3), np.uint8), _faces((10, 10, 20, 20), box), style=style, margin=0.0)


@pytest.mark.parametrize(("style", "margin"), [("mosaic", 0.25), ("solid", -0.1), ("solid", float("nan"))])
def test_wrong_settings_are_refused(style: Any, margin: float) -> None:
    with pytest.raises(ConfigError):
        redact(np.zeros((80, 100, 3), np.uint8), _faces(), style=style, margin=margin)


@pytest.mark.parametrize("image", [None, np.zeros((5, 5), np.float32), np.zeros((0, 5, 3), np.uint8)])
def test_what_is_no_picture_cannot_be_redacted(image: Any) -> None:
    with pytest.raises(SourceError):
        redact(image, _faces())


@pytest.mark.parametrize("side", [40, 200, 600])
def test_no_more_is_kept_of_a_large_face_than_of_a_small_one(side: int) -> None:
    image = np.random.default_rng(5).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    hidden = redact(image, _faces((50, 50, 50 + side, 50 + side)), style="pixelate", margin=0.0)
    assert len(np.unique(hidden[50 : 50 + side, 50 : 50 + side].reshape(-1, 3), axis=0)) <= 16


@pytest.mark.parametrize("style", ["pixelate", "blur"])
def test_no_more_is_kept_of_a_face_that_the_border_cuts_off(style: Style) -> None:
    image = np.random.default_rng(5).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    hidden = redact(image, _faces((-90, -90, 30, 30)), style=style, margin=0.0)
    assert len(np.unique(hidden[:30, :30].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("style", ["pixelate", "blur"])
def test_little_is_left_of_a_pixelated_or_blurred_face(style: Style) -> None:
    image = np.random.default_rng(5).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    hidden = redact(image, _faces((40, 40, 160, 160)), style=style, margin=0.0)
    region = hidden[40:160, 40:160].astype(float)
    assert region.std() < 0.1 * image[40:160, 40:160].std()
    # Few values are left: neighbours are equal or nearly so.
    assert np.median(np.abs(np.diff(region, axis=0))) <= 1.0
