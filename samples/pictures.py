"""The pictures that the sample clips are made of: four that may be passed on, and what is drawn here.

The four come with scikit-image and are named, with their licences, in ``samples/README.md``. Nothing else does.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

Picture = NDArray[np.uint8]

PERSON_PX_PER_M = 600.0
"""Scale of the portrait: its face is 91 pixels, taken to be 15 cm, wide."""

# The outline of the person in astronaut.png (x, y), traced once: the portrait without its studio.
_OUTLINE = [
    (201, 23), (185, 38), (163, 51), (156, 58), (153, 68), (154, 92), (157, 104), (170, 116), (172, 125), (182, 133),
    (182, 147), (153, 151), (140, 158), (131, 167), (121, 183), (120, 193), (123, 199), (123, 209), (108, 209),
    (90, 227), (76, 235), (65, 246), (46, 278), (40, 294), (39, 306), (34, 315), (26, 342), (25, 374), (19, 392),
    (20, 419), (24, 432), (23, 460), (26, 484), (30, 495), (37, 502), (39, 511), (511, 511), (511, 505), (507, 504),
    (507, 491), (504, 483), (501, 482), (500, 478), (492, 478), (491, 473), (488, 471), (490, 455), (495, 454),
    (494, 426), (488, 405), (478, 384), (455, 361), (436, 351), (418, 345), (393, 344), (364, 348), (360, 344),
    (359, 326), (343, 268), (319, 243), (303, 233), (299, 219), (289, 203), (276, 189), (259, 176), (259, 165),
    (267, 139), (275, 134), (290, 117), (296, 107), (300, 92), (296, 58), (288, 43), (276, 31), (248, 18), (227, 16),
]  # fmt: skip


def _bgr(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[..., ::-1])


def portrait() -> Picture:
    """The whole portrait, 512 x 512."""
    return _bgr(data.astronaut())


def person() -> Picture:
    """The person alone, 512 x 512 x 4 (the fourth channel is opacity), seen down to the waist."""
    mask = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(mask, [np.array(_OUTLINE, np.int32)], 255)
    mask = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    return np.dstack([portrait(), mask])


def standing() -> Picture:
    """The person from head to boots, 512 x 1060 x 4: the portrait ends at the waist, so the legs are drawn."""
    figure = np.zeros((1060, 512, 4), np.uint8)
    rng = np.random.default_rng(9)
    folds = cv2.GaussianBlur(rng.normal(0, 1, (1060, 512)).astype(np.float32), (0, 0), sigmaX=9, sigmaY=26)
    folds = 1 + folds / np.abs(folds).max() * 0.25
    for top_left, top_right, left, right in ((60, 182, 78, 168), (176, 298, 196, 286)):
        leg = np.zeros((1060, 512), np.uint8)
        cv2.fillPoly(leg, [np.array([(top_left, 480), (top_right, 480), (right, 1000), (left, 1000)])], 255)
        across = (np.arange(512) - left) / (right - left) * np.pi
        shade = folds * (0.55 + 0.45 * np.clip(np.sin(across), 0, 1))
        suit = np.clip(shade[..., None] * np.array([36, 84, 214]), 0, 255)
        figure[leg > 0] = np.dstack([suit, leg])[leg > 0]
        cv2.ellipse(figure, ((left + right) // 2, 1020), (56, 36), 0, 0, 360, (34, 32, 34, 255), -1)
    cv2.rectangle(figure, (58, 500), (300, 528), (26, 46, 116, 255), -1)
    cv2.ellipse(figure, (388, 448), (108, 100), 0, 0, 180, (22, 20, 24, 255), -1)
    upper = person()
    opaque = upper[..., 3:] / 255
    figure[:512, :, :3] = upper[..., :3] * opaque + figure[:512, :, :3] * (1 - opaque)
    figure[:512, :, 3] = np.maximum(upper[..., 3], figure[:512, :, 3] * (np.arange(512) > 500)[:, None])
    return figure


def enrolment() -> Picture:
    """Head and shoulders of the same portrait, as a staff list would hold it."""
    return np.ascontiguousarray(portrait()[0:300, 80:380])


def launch() -> Picture:
    """A launch pad at dusk: the picture on the office wall."""
    return _bgr(data.rocket())


def tinted(grey: Picture, colour: tuple[int, int, int], contrast: float = 1.0) -> Picture:
    """A grey texture as shades of one colour."""
    shade = 1 + (grey.astype(np.float32) / grey.mean() - 1) * contrast
    return np.clip(shade[..., None] * np.array(colour, np.float32), 0, 255).astype(np.uint8)


def grass() -> Picture:
    return tinted(data.grass(), (52, 96, 78))


def gravel() -> Picture:
    return tinted(data.gravel(), (120, 132, 138), 0.9)


def asphalt() -> Picture:
    return tinted(data.gravel(), (96, 94, 92), 0.28)


def carpet() -> Picture:
    return tinted(data.gravel(), (104, 92, 84), 0.18)


def plaster(colour: tuple[int, int, int]) -> Picture:
    return tinted(data.gravel(), colour, 0.035)


def bricks(colour: tuple[int, int, int], seed: int) -> Picture:
    """Six by twelve bricks in running bond, 480 x 480 pixels, with the gravel's grain. Tiles without a seam."""
    rng = np.random.default_rng(seed)
    wall = np.empty((480, 480, 3), np.float32)
    wall[:] = (150, 158, 162)
    for course in range(12):
        # A course that is shifted by half a brick ends with the brick that it began with.
        half = course % 2
        tones = {place: np.array(colour) * rng.uniform(0.82, 1.15) + rng.normal(0, 4, 3) for place in range(-1, 7)}
        tones[6 - half] = tones[-half]
        for place, tone in tones.items():
            left, top = place * 80 + 40 * half, course * 40
            cv2.rectangle(wall, (left + 3, top + 3), (left + 76, top + 36), tone.tolist(), -1)
    grain = data.gravel()[:480, :480, None].astype(np.float32)
    return np.clip(wall * (1 + (grain / grain.mean() - 1) * 0.16), 0, 255).astype(np.uint8)


def facade(colour: tuple[int, int, int], seed: int) -> Picture:
    """A piece of a brick house, 6 m wide and 6 m high at 80 pixels a metre: two floors, a door and three windows."""
    wall = cv2.resize(bricks(colour, seed), (160, 160), interpolation=cv2.INTER_AREA)
    wall = np.tile(wall, (3, 3, 1))
    for left, top, right, bottom in ((60, 50, 170, 180), (310, 50, 420, 180), (60, 280, 170, 400)):
        cv2.rectangle(wall, (left - 8, top - 8), (right + 8, bottom + 8), (214, 220, 222), -1)
        for row in range(top, bottom):
            wall[row, left:right] = 58 + 46 * (row - top) // (bottom - top)
        cv2.line(wall, ((left + right) // 2, top), ((left + right) // 2, bottom), (214, 220, 222), 6)
        cv2.rectangle(wall, (left - 14, bottom + 8), (right + 14, bottom + 18), (168, 172, 174), -1)
    cv2.rectangle(wall, (322, 280), (408, 479), (214, 220, 222), -1)
    cv2.rectangle(wall, (330, 288), (400, 479), (70, 62, 44), -1)
    cv2.circle(wall, (390, 390), 5, (150, 190, 200), -1)
    return wall


def clouds(seed: int = 3) -> Picture:
    """A sky that tiles: noise of low frequency, 256 x 256."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None]) * 256
    spectrum = np.fft.fft2(rng.normal(size=(256, 256))) / np.maximum(frequency, 1) ** 1.8
    field = np.real(np.fft.ifft2(spectrum))
    amount = np.clip((field - field.mean()) / field.std() * 0.35 + 0.35, 0, 1)[..., None]
    return (np.array([214, 178, 142]) * (1 - amount) + np.array([238, 238, 236]) * amount).astype(np.uint8)


def wood() -> Picture:
    """Planks, 512 x 256: stretched noise, brown."""
    rng = np.random.default_rng(5)
    rough = cv2.GaussianBlur(rng.normal(0, 1, (256, 512)).astype(np.float32), (0, 0), sigmaX=40, sigmaY=1.1)
    shade = 1 + rough / np.abs(rough).max() * 0.22
    return np.clip(shade[..., None] * np.array([62, 96, 140]), 0, 255).astype(np.uint8)


def sign(lines: list[str], size: tuple[int, int], ink: tuple[int, int, int], paper: tuple[int, int, int]) -> Picture:
    """Lines of capitals on a plain board; `size` is (width, height) in pixels."""
    board = np.full((size[1], size[0], 3), paper, np.uint8)
    step = size[1] / (len(lines) + 0.4)
    for number, line in enumerate(lines):
        scale = min(step / 45, size[0] * 0.88 / cv2.getTextSize(line, cv2.FONT_HERSHEY_DUPLEX, 1, 2)[0][0])
        (width, height), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_DUPLEX, scale, 2)
        at = ((size[0] - width) // 2, round(step * (number + 0.7) + height / 2))
        cv2.putText(board, line, at, cv2.FONT_HERSHEY_DUPLEX, scale, ink, 2, cv2.LINE_AA)
    return board


def poster() -> Picture:
    """The portrait as a placard, 512 x 640, framed."""
    sheet = np.full((640, 512, 3), 244, np.uint8)
    sheet[96:608, :] = portrait()
    sheet[0:96] = sign(["SPACE MUSEUM"], (512, 96), (90, 40, 20), (244, 244, 244))
    sheet[608:] = (90, 40, 20)
    return cv2.copyMakeBorder(sheet, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=(52, 52, 54))
