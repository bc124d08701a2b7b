"""Pictures that the tests of vision share. Only the astronaut is public; the others are read where they lie."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from guard.vision import Detector
from guard.vision.picture import Picture

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    """512 x 512, one frontal face of about 90 x 112 px."""
    data = pytest.importorskip("skimage.data")
    picture: Picture = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def group(astronaut: Picture) -> Picture:
    """1280 x 720: the astronaut's head, five times in sizes from 40 to 200 px, on grey."""
    scene = np.full((720, 1280, 3), 127, np.uint8)
    head = astronaut[20:220, 130:330]
    for index, side in enumerate((80, 120, 200, 280, 400)):
        left = 20 + sum((80, 120, 200, 280, 400)[:index]) + 30 * index
        scene[100 : 100 + side, left : left + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    scene.setflags(write=False)
    return scene


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="session")
def evaluation_pictures() -> list[Path]:
    """A spread of real pictures for measuring; they may not be redistributed, so the repository has none."""
    folder = SHARED / "eval" / "images"
    found = sorted(folder.glob("*"))[::60]
    if not found:
        pytest.skip("no evaluation pictures beside the repository")
    return found
