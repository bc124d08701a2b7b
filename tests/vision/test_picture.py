"""What counts as a picture: it works, or one clear error says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from guard.errors import SourceError
from guard.vision import Detector, as_bgr
from guard.vision.picture import Picture


def test_a_plain_picture_is_not_copied(astronaut: Picture) -> None:
    assert as_bgr(astronaut) is astronaut


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: image[:, ::-1][:, ::-1], id="negative strides"),
        pytest.param(lambda image: np.asfortranarray(image), id="Fortran order"),
        pytest.param(lambda image: np.pad(image, ((3, 3), (5, 5), (0, 0)))[3:-3, 5:-5], id="a cut-out"),
        pytest.param(lambda image: np.dstack([image, np.full(image.shape[:2], 9, np.uint8)]), id="BGRA"),
        pytest.param(lambda image: np.ma.masked_array(image, mask=False), id="masked array"),
        pytest.param(lambda image: image.copy(), id="writable"),
    ],
)
def test_the_same_picture_in_another_guise_shows_the_same_face(
    change: Callable[[Picture], Picture], detector: Detector, astronaut: Picture
) -> None:
    other = change(astronaut)
    plain = as_bgr(other)
    assert plain.flags.c_contiguous
    np.testing.assert_array_equal(plain, astronaut)
    assert detector.detect(other) == detector.detect(astronaut)


@pytest.mark.parametrize("axes", [(), (np.newaxis,)])
def test_grey_pictures_show_their_face(axes: tuple[None, ...], detector: Detector, astronaut: Picture) -> None:
    grey = astronaut[:, :, 1][(..., *axes)]
    plain = as_bgr(grey)
    assert plain.shape == astronaut.shape
    assert (plain == astronaut[:, :, 1:2]).all()
    assert len(detector.detect(grey)) == 1


def test_what_lies_under_transparent_pixels_is_looked_at(detector: Detector, astronaut: Picture) -> None:
    hidden = np.dstack([astronaut, np.zeros(astronaut.shape[:2], np.uint8)])
    assert len(detector.detect(hidden)) == 1


@pytest.mark.parametrize(
    ("image", "says"),
    [
        pytest.param(None, "must be a numpy array, not NoneType", id="nothing"),
        pytest.param([[1, 2], [3, 4]], "must be a numpy array, not list", id="list"),
        pytest.param(b"\xff\xd8\xff", "must be a numpy array, not bytes", id="bytes"),
        pytest.param(np.zeros((9, 9, 3), np.uint16), "8-bit unsigned values, not uint16", id="16 bits"),
        pytest.param(np.zeros((9, 9, 3), np.float32), "8-bit unsigned values, not float32", id="floats"),
        pytest.param(np.zeros((9, 9, 3), np.int8), "8-bit unsigned values, not int8", id="signed"),
        pytest.param(np.zeros((9, 9, 3), bool), "8-bit unsigned values, not bool", id="booleans"),
        pytest.param(np.zeros((9, 9, 3), object), "8-bit unsigned values, not object", id="objects"),
        pytest.param(np.array("face"), "8-bit unsigned values, not <U4", id="text"),
        pytest.param(np.zeros((0, 9, 3), np.uint8), "empty: 0 x 9 x 3", id="no rows"),
        pytest.param(np.zeros((9, 0), np.uint8), "empty: 9 x 0", id="no columns"),
        pytest.param(np.zeros((9, 9, 0), np.uint8), "not 9 x 9 x 0", id="no channels"),
        pytest.param(np.zeros((), np.uint8), "not a single value", id="no dimensions"),
        pytest.param(np.zeros(27, np.uint8), "not 27", id="one dimension"),
        pytest.param(np.zeros((9, 9, 2), np.uint8), "not 9 x 9 x 2", id="two channels"),
        pytest.param(np.zeros((3, 9, 9), np.uint8), "not 3 x 9 x 9", id="channels first"),
        pytest.param(np.zeros((1, 9, 9, 3), np.uint8), "not 1 x 9 x 9 x 3", id="a batch"),
    ],
)
def test_what_is_no_picture_is_one_clear_error(image: Any, says: str, detector: Detector) -> None:
    for look in (as_bgr, detector.detect):
        with pytest.raises(SourceError) as caught:
            look(image)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.mend
