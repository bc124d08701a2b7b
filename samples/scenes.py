"""The four scenes: what stands where, and how the camera moves. Each yields its frames, BGR uint8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pictures
from render import Air, Camera, Picture, Surface, render, sensor


@dataclass(frozen=True)
class Film:
    """Size and speed of a clip."""

    width: int
    height: int
    fps: int
    seconds: float

    @property
    def frames(self) -> int:
        return round(self.fps * self.seconds)


BODYCAM = Film(848, 480, 15, 8.0)
DASHCAM = Film(1280, 720, 10, 8.0)
OFFICE = Film(960, 540, 12, 8.0)
ROAD = Film(640, 360, 15, 7.0)

_HAZE = Air((226, 216, 206), 130.0)
_STREET_M = 90.0


def smooth(time_s: float, *points: tuple[float, float]) -> float:
    """A value that eases from point to point, each (second, value)."""
    times, values = zip(*points, strict=True)
    if time_s <= times[0]:
        return values[0]
    for before, after, start, end in zip(times, times[1:], values, values[1:], strict=False):
        if time_s < after:
            part = (time_s - before) / (after - before)
            return start + (end - start) * (part * part * (3 - 2 * part))
    return values[-1]


def wobble(time_s: float, seed: int, *, around_hz: float) -> float:
    """A restless value of about +-1: sines of unrelated frequencies."""
    rng = np.random.default_rng(seed)
    speeds, phases = rng.uniform(0.5, 1.6, 4) * around_hz, rng.uniform(0, 2 * np.pi, 4)
    return float(np.sin(2 * np.pi * speeds * time_s + phases).sum() / 2)


def ground(picture: Picture, left: float, right: float, px_per_m: float, y: float = 0.0, gain: float = 1.0) -> Surface:
    """A strip along the street."""
    return Surface(picture, (left, y, -10), (right - left, 0, 0), (0, 0, _STREET_M), px_per_m, gain)


def along(picture: Picture, x: float, top: float, px_per_m: float, *, gain: float, bottom: float = 0.0) -> Surface:
    """A wall along the street, seen from the middle of it."""
    if x < 0:
        return Surface(picture, (x, top, -10), (0, 0, _STREET_M), (0, bottom - top, 0), px_per_m, gain)
    return Surface(picture, (x, top, _STREET_M - 10), (0, 0, -_STREET_M), (0, bottom - top, 0), px_per_m, gain)


def facing(picture: Picture, x: float, y: float, z: float, width_m: float, gain: float = 1.0) -> Surface:
    """A picture that stands across the street: centre `x`, lower edge `y`, distance `z`."""
    height_m = width_m * picture.shape[0] / picture.shape[1]
    px_per_m = picture.shape[1] / width_m
    return Surface(picture, (x - width_m / 2, y + height_m, z), (width_m, 0, 0), (0, -height_m, 0), px_per_m, gain)


def house_across(z: float) -> Surface:
    """The house at which the street ends."""
    return Surface(pictures.facade((70, 84, 120), 6), (-24, 6, z), (48, 0, 0), (0, -6, 0), 80, 0.9)


def sky() -> Surface:
    return Surface(pictures.clouds(), (-300, 60, -40), (600, 0, 0), (0, 0, 600), 1.2)


def stamped(frame: Picture, text: str) -> Picture:
    """The line that a recorder burns into its picture: light letters, dark around them."""
    letters = np.zeros(frame.shape[:2], np.uint8)
    at = (12, round(frame.shape[0] / 30 + 10))
    cv2.putText(letters, text, at, cv2.FONT_HERSHEY_SIMPLEX, frame.shape[0] / 900, 255, 1, cv2.LINE_AA)
    for mask, shade in ((cv2.dilate(letters, np.ones((3, 3), np.uint8)), 24), (letters, 240)):
        opacity = mask[..., None].astype(np.float32) / 255
        frame = (frame * (1 - opacity) + shade * opacity).astype(np.uint8)
    return frame


def bodycam() -> Iterator[Picture]:
    """An officer walks along a pavement, past a placard, up to a person behind a garden wall, and on."""
    film, width_m = BODYCAM, 512 / pictures.PERSON_PX_PER_M
    paving = pictures.bricks((128, 130, 134), 4)
    street = [
        sky(),
        ground(pictures.grass(), 1.9, 6.2, 300),
        ground(paving, -1.4, 1.9, 300),
        ground(pictures.asphalt(), -8.5, -1.4, 260, y=-0.1),
        along(pictures.facade((62, 74, 138), 1), -8.5, 6.0, 80, gain=0.95, bottom=-0.1),
        along(pictures.facade((92, 116, 142), 2), 6.2, 6.0, 80, gain=0.8),
        along(pictures.bricks((58, 70, 130), 8), 1.9, 1.05, 400, gain=0.9),
        ground(pictures.gravel(), 1.88, 2.12, 700, y=1.06, gain=1.25),
        house_across(78),
    ]
    placard = facing(pictures.poster(), -0.75, 0.55, 4.3, 0.95)
    legs = [facing(np.full((40, 8, 3), 60, np.uint8), x, 0, 4.31, 0.11) for x in (-1.1, -0.4)]
    someone = facing(pictures.person(), 2.56, 0.9, 8.0, width_m, 0.96)
    for number in range(film.frames):
        t = number / film.fps
        walking = smooth(t, (0, 1), (4.4, 1), (5.0, 0.15), (6.3, 0.15), (6.9, 1))
        step = 2 * np.pi * 1.9 * t
        camera = Camera(
            film.width,
            film.height,
            430,
            at=(
                1.05 + 0.03 * walking * np.sin(step / 2) - smooth(t, (6.4, 0), (8, 0.5)),
                1.42 + 0.028 * walking * abs(np.sin(step / 2)),
                smooth(t, (-1.5, -2.4), (4.9, 6.75), (6.3, 6.8), (9.0, 9.4)),
            ),
            yaw=smooth(t, (0, -6), (1.9, -14), (3.2, 8), (4.9, 40), (6.3, 38), (7.4, -22))
            + 1.2 * wobble(t, 1, around_hz=1.0),
            pitch=-1.0 + 1.1 * walking * np.sin(step) + 0.7 * wobble(t, 2, around_hz=1.3),
            roll=1.6 * walking * np.sin(step / 2) + 1.0 * wobble(t, 3, around_hz=0.6),
            barrel=0.16,
        )
        scene = [*street, placard, *legs, someone.moved(x=0.02 * wobble(t, 4, around_hz=0.3)).turned(camera)]
        frame = sensor(render(camera, scene, _HAZE), number, noise=2.2, vignette=0.35)
        yield stamped(frame, f"BWC-117  2026-10-05 18:02:{11 + int(t):02d}Z")


def dashcam() -> Iterator[Picture]:
    """A car drives down a street, past an advertisement and a person on the pavement, and slows at the end."""
    film = DASHCAM
    markings = np.zeros((400, 16, 4), np.uint8)
    markings[:200] = (222, 226, 228, 235)
    street = [
        sky(),
        ground(pictures.asphalt(), -5.4, 1.9, 260),
        ground(pictures.bricks((126, 130, 134), 4), 1.9, 4.6, 300, y=0.1),
        ground(pictures.bricks((126, 130, 134), 5), -8.0, -5.4, 300, y=0.1),
        along(np.full((16, 16, 3), 150, np.uint8), 1.9, 0.1, 100, gain=1.0),
        along(np.full((16, 16, 3), 150, np.uint8), -5.4, 0.1, 100, gain=1.0),
        Surface(markings, (-1.82, 0.01, -10), (0.16, 0, 0), (0, 0, _STREET_M), 100),
        along(pictures.facade((62, 74, 138), 1), -8.0, 6.0, 80, gain=0.95, bottom=0.1),
        along(pictures.bricks((70, 88, 128), 8), 4.6, 1.5, 400, gain=0.85),
        ground(pictures.gravel(), 4.6, 4.9, 700, y=1.5, gain=1.25),
        along(pictures.facade((88, 120, 150), 2), 11.0, 6.0, 80, gain=0.85),
        ground(pictures.grass(), 4.9, 11.0, 300),
        house_across(78),
        facing(pictures.poster(), 3.35, 0.75, 17.0, 1.7),
        facing(np.full((16, 16, 3), 58, np.uint8), 3.35, 0.1, 17.02, 0.7),
        facing(pictures.standing(), 2.75, 0.1, 31.5, 512 / pictures.PERSON_PX_PER_M, 0.97),
    ]
    for number in range(film.frames):
        t = number / film.fps
        speed = smooth(t, (0, 1), (4.5, 1), (8, 0.12))
        camera = Camera(
            film.width,
            film.height,
            930,
            at=(0.02 * wobble(t, 5, around_hz=0.3), 1.28, _driven(t)),
            yaw=0.5 * wobble(t, 6, around_hz=0.25) + 1.5,
            pitch=-0.6 + 0.14 * speed * wobble(t, 7, around_hz=2.4),
            roll=0.2 * speed * wobble(t, 8, around_hz=1.1),
        )
        frame = render(camera, street, _HAZE)
        frame = sensor(_bonnet(frame), number, noise=1.6, vignette=0.2)
        yield stamped(frame, f"CAM 04  2026-10-05 07:41:{30 + int(t):02d}Z  {round(19 * speed)} KM/H")


def _driven(t: float) -> float:
    """Metres driven after `t` seconds: 5.2 m/s, then slower and slower."""
    return sum(5.2 * smooth(each, (0, 1), (4.5, 1), (8, 0.12)) * 0.02 for each in np.arange(0, t, 0.02))


def _bonnet(frame: Picture) -> Picture:
    rows, columns = frame.shape[:2]
    shape = np.zeros((rows, columns), np.uint8)
    centre, axes = (round(columns * 0.46), round(rows * 1.28)), (round(columns * 0.72), round(rows * 0.42))
    cv2.ellipse(shape, centre, axes, 0, 180, 360, 255, -1, cv2.LINE_AA)
    mirrored = cv2.GaussianBlur(frame[::-1], (0, 0), 14) * 0.22
    paint = mirrored + np.linspace(10, 46, rows)[::-1, None, None] * np.array([1.1, 0.95, 0.9])
    edge = cv2.GaussianBlur(shape, (0, 0), 1.5)[..., None] / 255
    return np.clip(frame * (1 - edge) + paint * edge, 0, 255).astype(np.uint8)


def _room() -> list[Surface]:
    """The office: a wall with a doorway 5.2 m away, the corridor behind it, a desk in front."""
    door = 5.2
    wall, far = pictures.plaster((196, 204, 208)), pictures.plaster((176, 190, 196))
    white, frame, lamp = (np.full((8, 8, 3), shade, np.uint8) for shade in (228, 90, 254))
    board = pictures.sign(["RECEPTION", "PLEASE REGISTER HERE"], (420, 130), (250, 250, 250), (120, 78, 30))
    return [
        Surface(pictures.carpet(), (-4, 0, 0), (8, 0, 0), (0, 0, 12), 240),
        Surface(white, (-4, 2.9, 0), (8, 0, 0), (0, 0, 12), 200),
        Surface(wall, (-3.2, 2.9, 0), (0, 0, 12), (0, -2.9, 0), 200, 0.92),
        Surface(wall, (3.2, 2.9, 12), (0, 0, -12), (0, -2.9, 0), 200, 0.86),
        Surface(wall, (-3.2, 2.9, door), (2.7, 0, 0), (0, -2.9, 0), 200),
        Surface(wall, (0.8, 2.9, door), (2.4, 0, 0), (0, -2.9, 0), 200),
        Surface(wall, (-0.5, 2.9, door), (1.3, 0, 0), (0, -0.7, 0), 200),
        Surface(far, (-3.2, 2.9, 10.5), (6.4, 0, 0), (0, -2.9, 0), 200, 0.85),
        facing(pictures.launch(), 1.9, 1.25, door - 0.03, 1.25),
        facing(np.full((10, 15, 3), 44, np.uint8), 1.9, 1.2, door - 0.02, 1.36),
        facing(board, -1.75, 1.55, door - 0.03, 1.2),
        Surface(frame, (-0.56, 2.26, door - 0.02), (0.08, 0, 0), (0, -2.26, 0), 100),
        Surface(frame, (0.78, 2.26, door - 0.02), (0.08, 0, 0), (0, -2.26, 0), 100),
        Surface(frame, (-0.56, 2.26, door - 0.02), (1.42, 0, 0), (0, -0.08, 0), 100),
        Surface(pictures.wood(), (-2.6, 1.12, 0.7), (5.2, 0, 0), (0, 0, 1.05), 300, 1.05),
        *(Surface(lamp, (x, 2.895, z), (1.1, 0, 0), (0, 0, 0.5), 100) for x in (-1.9, 0.8) for z in (1.6, 3.6)),
    ]


def office() -> Iterator[Picture]:
    """A fixed camera behind a reception desk: a person comes down the corridor, stops at the desk and leaves."""
    film = OFFICE
    room, someone = _room(), facing(pictures.standing(), 0.0, 0.0, 0.0, 512 / pictures.PERSON_PX_PER_M, 0.95)
    camera = Camera(film.width, film.height, 900, at=(0.25, 1.78, -0.35), pitch=-7.0, yaw=-0.5, roll=-0.4)
    air = Air((180, 186, 190), 90.0)
    for number in range(film.frames):
        t = number / film.fps
        walks = smooth(t, (0.9, 1), (4.2, 1), (4.6, 0))
        here = someone.moved(
            x=smooth(t, (0.6, -2.0), (1.7, 0.15), (4.4, 0.1), (6.3, 0.1), (7.5, -2.1))
            + 0.012 * wobble(t, 9, around_hz=0.4),
            y=0.02 * walks * abs(np.sin(2 * np.pi * 0.95 * t)),
            z=smooth(t, (0.6, 9.2), (1.5, 8.6), (4.5, 1.92), (6.3, 1.92), (7.5, 2.3)),
        )
        light = 1 + 0.012 * np.sin(2 * np.pi * 1.7 * t)
        frame = np.clip(render(camera, [*room, here], air) * light, 0, 255).astype(np.uint8)
        yield stamped(sensor(frame, number, noise=2.4, vignette=0.25), f"DOOR 1  2026-10-05 08:57:{12 + int(t):02d}")


def road() -> Iterator[Picture]:
    """A country road without anybody on it, from a moving car."""
    film = ROAD
    markings = np.zeros((600, 16, 4), np.uint8)
    markings[:200] = (222, 226, 228, 235)
    land = [
        sky(),
        ground(pictures.asphalt(), -5.5, 2.2, 220),
        ground(pictures.gravel(), 1.9, 2.7, 380, y=0.02),
        ground(pictures.gravel(), -6.0, -5.2, 380, y=0.02),
        ground(pictures.grass(), 2.7, 60, 240, y=0.03, gain=1.05),
        ground(pictures.grass(), -64, -6.0, 240, y=0.03),
        Surface(markings, (-1.72, 0.01, -10), (0.14, 0, 0), (0, 0, _STREET_M), 100),
    ]
    rng = np.random.default_rng(12)
    post = np.full((64, 8, 3), (190, 196, 200), np.uint8)
    post[6:18] = (40, 40, 48)
    for z in range(4, 80, 8):
        land += [facing(post, 2.35, 0, z, 0.11), facing(post, -5.65, 0, z, 0.11)]
    for number in range(16):
        side = -1 if number % 2 else 1
        x, z = (side * rng.uniform(9, 22) - 1.5, 6 + number * 5.0)
        land.append(facing(_tree(number), x, 0, z, rng.uniform(3.5, 5.5), rng.uniform(0.75, 1.0)))
    for number in range(film.frames):
        t = number / film.fps
        camera = Camera(
            film.width,
            film.height,
            480,
            at=(0.06 * wobble(t, 10, around_hz=0.2), 1.35, 5.5 * t),
            yaw=0.8 * wobble(t, 11, around_hz=0.2),
            pitch=-2.0 + 0.2 * wobble(t, 12, around_hz=2.2),
            roll=0.25 * wobble(t, 13, around_hz=1.0),
        )
        yield sensor(render(camera, land, _HAZE), number, noise=1.6, vignette=0.2)


def _tree(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    crown = np.zeros((320, 256), np.uint8)
    for _ in range(70):
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1) ** 0.5
        centre = (round(128 + 86 * far * np.cos(angle)), round(112 + 80 * far * np.sin(angle)))
        cv2.circle(crown, centre, int(rng.uniform(12, 30)), 255, -1)
    leaves = cv2.resize(pictures.grass(), (256, 256))[:, :, :3].astype(np.float32)
    leaves = np.vstack([leaves, leaves[:64]]) * np.linspace(1.1, 0.55, 320)[:, None, None]
    tree = np.zeros((320, 256, 4), np.uint8)
    cv2.rectangle(tree, (119, 150), (137, 319), (48, 58, 70, 255), -1)
    tree[crown > 0] = np.dstack([leaves.clip(0, 255), crown])[crown > 0]
    return tree
