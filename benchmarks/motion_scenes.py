"""Feeds for the camera-motion witness whose truth is known, because they are made here.

Each is a walk of a simulated camera through streets, fields and rooms (the renderer of `samples/`), or the same places
before a camera that does not move, with people, cars, crowds, weather and light in front of it. Pictures are 320 x 180
BGR; where a feed is *compressed*, they went through H.264 at a low rate and back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from motion_cameras import MOVING, Drift, Pose, fixed, on_a_mast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "samples"))

import pictures
import render
from scenes import along, facing, ground, house_across, sky, stamped

render.SUPERSAMPLING = 1.0  # the thumbnail averages anyway
Picture = render.Picture
Surface = render.Surface
WIDTH, HEIGHT, RATE_HZ = 320, 180, 5
_HAZE = render.Air((226, 216, 206), 130.0)
_PERSON_M = 512 / pictures.PERSON_PX_PER_M


Run = Callable[[float], Iterator[tuple[float, Picture]]]


@dataclass(frozen=True)
class Feed:
    """One feed: `truth` is moving or still, `kind` says what it shows."""

    kind: str
    truth: str
    pictures: Run


# ---- places


@cache
def _people() -> list[Picture]:
    figure = pictures.standing()
    rng = np.random.default_rng(1)
    found = []
    for _ in range(6):
        dyed = figure.copy()
        dyed[..., :3] = np.clip(dyed[..., :3] * rng.uniform(0.35, 1.15, 3), 0, 255)
        found.append(np.ascontiguousarray(dyed[:, ::-1] if rng.random() < 0.5 else dyed))
    return found


@cache
def _car(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    car = np.zeros((150, 400, 4), np.uint8)
    body = (*rng.integers(20, 230, 3).tolist(), 255)
    cv2.fillPoly(
        car, [np.array([(10, 120), (10, 70), (90, 60), (140, 12), (300, 12), (350, 62), (392, 74), (392, 120)])], body
    )
    cv2.fillPoly(car, [np.array([(110, 60), (150, 22), (215, 22), (215, 60)])], (60, 55, 50, 255))
    cv2.fillPoly(car, [np.array([(225, 60), (225, 22), (292, 22), (330, 60)])], (70, 62, 58, 255))
    for x in (90, 310):
        cv2.circle(car, (x, 120), 29, (25, 25, 25, 255), -1)
        cv2.circle(car, (x, 120), 14, (150, 150, 150, 255), -1)
    return car


def street(rng: np.random.Generator) -> list[Surface]:
    """A street along z: pavement, houses left and right, parked cars and posts."""
    half = rng.uniform(3.5, 7.0)
    colours = rng.integers(50, 160, (3, 3))
    walls = [pictures.facade(tuple(int(c) for c in colours[i]), int(rng.integers(99))) for i in range(2)]
    found = [
        ground(pictures.asphalt(), -half, half, 260, y=-0.1),
        ground(pictures.bricks((128, 130, 134), int(rng.integers(99))), half, half + 3, 300),
        ground(pictures.bricks((126, 130, 134), int(rng.integers(99))), -half - 3, -half, 300),
        along(walls[0], -half - 3, 6.0, 80, gain=0.95),
        along(walls[1], half + 3, 6.0, 80, gain=0.8),
        house_across(78),
    ]
    if rng.random() < 0.7:
        found.append(sky())
    for z in np.arange(rng.uniform(4, 9), 70, rng.uniform(6, 14)):
        side = rng.choice([-1, 1])
        found.append(facing(_car(int(rng.integers(12))), side * (half - 1.1), -0.1, float(z), 1.9))
    post = np.full((64, 8, 3), 70, np.uint8)
    return found + [facing(post, half + 0.4, 0, float(z), 0.16) for z in np.arange(5, 70, rng.uniform(7, 12))]


def field(rng: np.random.Generator) -> list[Surface]:
    """A road through open land, with posts and boards."""
    found = [
        ground(pictures.asphalt(), -4, 4, 220),
        ground(pictures.grass(), 4, 60, 240, y=0.02),
        ground(pictures.gravel(), -60, -4, 240, y=0.02),
        sky(),
        house_across(78),
    ]
    for z in np.arange(4, 80, rng.uniform(5, 9)):
        found += [facing(np.full((64, 8, 3), 200, np.uint8), x, 0, float(z), 0.12) for x in (-4.4, 4.4)]
    for _ in range(7):
        found.append(
            facing(
                pictures.poster(), float(rng.uniform(6, 20) * rng.choice([-1, 1])), 0.4, float(rng.uniform(9, 60)), 2.5
            )
        )
    return found


def room(rng: np.random.Generator) -> list[Surface]:
    """A hall with pictures on its walls, desks and lamps."""
    wide, deep = rng.uniform(3, 5), rng.uniform(7, 14)
    wall = pictures.plaster(tuple(int(c) for c in rng.integers(150, 215, 3)))
    found = [
        Surface(pictures.carpet(), (-wide, 0, -3), (2 * wide, 0, 0), (0, 0, deep + 3), 240),
        Surface(np.full((8, 8, 3), 226, np.uint8), (-wide, 3, -3), (2 * wide, 0, 0), (0, 0, deep + 3), 200),
        Surface(wall, (-wide, 3, -3), (0, 0, deep + 3), (0, -3, 0), 200, 0.92),
        Surface(wall, (wide, 3, deep), (0, 0, -deep - 3), (0, -3, 0), 200, 0.86),
        Surface(wall, (-wide, 3, deep), (2 * wide, 0, 0), (0, -3, 0), 200),
    ]
    for _ in range(5):
        sheet = [pictures.launch(), pictures.poster(), pictures.bricks((80, 96, 150), 3)][int(rng.integers(3))]
        found.append(
            facing(sheet, float(rng.uniform(-wide + 1, wide - 1)), float(rng.uniform(0.6, 1.6)), deep - 0.03, 1.1)
        )
    lamp, rows = np.full((8, 8, 3), 254, np.uint8), np.arange(1.6, deep - 1, 2.0)
    found += [Surface(lamp, (x, 2.99, float(z)), (1.1, 0, 0), (0, 0, 0.5), 100) for x in (-1.9, 0.8) for z in rows]
    for z in np.arange(2.5, deep - 1, 2.2):
        side = float(rng.choice([-1, 1]))
        found.append(Surface(pictures.wood(), (side * wide * 0.6 - 0.8, 0.8, float(z)), (1.6, 0, 0), (0, 0, 0.9), 300))
    return found


PLACES = {"street": street, "field": field, "room": room}


def _passers(rng: np.random.Generator, number: int, *, cars: bool) -> Callable[[float], list[Surface]]:
    """People, and cars where there is a road, each on its own way."""
    tracks = []
    far = 22.0 if cars else 7.0
    for _ in range(number):
        car = cars and rng.random() < 0.4
        z = float(rng.uniform(5, 30) if car else rng.uniform(2.2, far))
        across = rng.random() < 0.6
        speed = float(rng.uniform(4, 12) if car else rng.uniform(0.4, 1.6)) * float(rng.choice([-1, 1]))
        picture = _car(int(rng.integers(12))) if car else _people()[int(rng.integers(6))]
        tracks.append(
            (picture, float(rng.uniform(-5, 5)), z, across, speed, 4.2 if car else _PERSON_M, float(rng.uniform(0, 40)))
        )

    def at(t: float) -> list[Surface]:
        found = []
        for picture, x, z, across, speed, width, phase in tracks:
            way = speed * (t + phase)
            if across:
                found.append(facing(picture, (x + way + 15) % 30 - 15, 0.0, z, width))
            else:
                found.append(facing(picture, x * 0.6, 0.0, 2.2 + (z + way) % (far + 3), width))
        return found

    return at


# ---- what a sensor and a codec make of it

Light = Callable[[float], float]


def _steady(t: float) -> float:
    return 1.0


def _changing(rng: np.random.Generator) -> Light:
    """Clouds, an exposure that adapts, lamps that are switched."""
    slow, switched, low = Drift(rng, 0.1), rng.uniform(0.5, 3.5), rng.uniform(0.45, 0.8)
    return lambda t: (1 + 0.18 * slow(t)) * (low if t > switched else 1.0)


def _filmed(
    rng: np.random.Generator,
    place: str,
    camera: Callable[[float], Pose],
    passers: Callable[[float], list[Surface]] | None,
    light: Light = _steady,
    *,
    noise: float = 2.0,
    rain: bool = False,
    clock: bool = False,
    bonnet: bool = False,
) -> Run:
    surfaces = PLACES[place](rng)
    focal = float(rng.uniform(0.55, 1.0) * WIDTH)
    seed = int(rng.integers(1 << 30))

    def run(seconds: float) -> Iterator[tuple[float, Picture]]:
        drops = np.random.default_rng(seed)
        for number in range(round(seconds * RATE_HZ)):
            t = number / RATE_HZ
            pose = camera(t)
            eye = render.Camera(
                WIDTH, HEIGHT, focal, at=(pose.x, pose.y, pose.z), yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll
            )
            seen = render.render(eye, [*surfaces, *(passers(t) if passers else [])], _HAZE)
            seen = np.clip(seen * light(t), 0, 255).astype(np.uint8)
            if bonnet:
                cv2.ellipse(
                    seen,
                    (WIDTH // 2, round(HEIGHT * 1.25)),
                    (round(WIDTH * 0.7), round(HEIGHT * 0.4)),
                    0,
                    180,
                    360,
                    (38, 34, 30),
                    -1,
                )
                cv2.line(seen, (60, 158), (140, 149), (90, 84, 80), 2)
            if rain:
                for x, y, long in zip(
                    drops.integers(0, WIDTH, 160),
                    drops.integers(0, HEIGHT, 160),
                    drops.integers(4, 14, 160),
                    strict=True,
                ):
                    cv2.line(seen, (int(x), int(y)), (int(x) + 1, int(y + long)), (200, 200, 200), 1)
            seen = render.sensor(seen, seed + number, noise=noise, vignette=0.2)
            if clock:
                seen = stamped(seen, f"CAM 04 2026-10-05 07:41:{int(t) % 60:02d}")
            yield t, seen

    return run


def compressed(run: Run, bits: int) -> Run:
    """The same, through H.264 at `bits` a second and back."""

    def again(seconds: float) -> Iterator[tuple[float, Picture]]:
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.bit_rate = WIDTH, HEIGHT, "yuv420p", bits
        encoder.time_base, encoder.framerate = Fraction(1, RATE_HZ), Fraction(RATE_HZ)
        encoder.options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1"}
        decoder = av.CodecContext.create("h264", "r")
        times: list[float] = []
        for number, (t, picture) in enumerate(run(seconds)):
            times.append(t)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            for packet in encoder.encode(frame):
                for seen in decoder.decode(packet):
                    yield times.pop(0), seen.to_ndarray(format="bgr24")

    return again


def feeds(each: int, seed: int) -> Iterator[Feed]:
    """`each` feeds of every kind; the same for the same seed."""
    for number in range(each):
        for kind, camera in MOVING.items():
            rng = np.random.default_rng([seed, number, len(kind), ord(kind[0])])
            place = (
                "room"
                if kind.startswith(("hand", "body")) and rng.random() < 0.4
                else str(rng.choice(["street", "field"]))
            )
            # People stand about in front of moving cameras too.
            passers = _passers(rng, int(rng.integers(0, 6)), cars=place != "room")
            run = _filmed(
                rng,
                place,
                camera(rng),
                passers,
                clock=rng.random() < 0.4,
                bonnet=kind == "vehicle" and rng.random() < 0.5,
            )
            yield _feed(kind, "moving", run, rng)
        for kind, busy, light, rain, mast in (
            ("a few people", (1, 6), False, False, False),
            ("a crowd", (10, 20), False, False, False),
            ("light changes", (0, 5), True, False, False),
            ("rain", (0, 5), False, True, False),
            ("on a mast", (0, 5), False, False, True),
        ):
            rng = np.random.default_rng([seed, number, len(kind), 7])
            place = (
                str(rng.choice(["street", "field"])) if rain or mast else str(rng.choice(["street", "room", "room"]))
            )
            camera = on_a_mast(rng) if mast else fixed(rng)
            passers = _passers(rng, int(rng.integers(*busy)), cars=place != "room")
            run = _filmed(
                rng, place, camera, passers, _changing(rng) if light else _steady, rain=rain, clock=rng.random() < 0.4
            )
            yield _feed(kind, "still", run, rng)


def _feed(kind: str, truth: str, run: Run, rng: np.random.Generator) -> Feed:
    """Half of them compressed; those that show too little to judge by are kept apart."""
    little = shows_little(next(run(1 / RATE_HZ))[1])
    return Feed(
        "little to see, " + truth if little else kind, truth, compressed(run, 120_000) if rng.random() < 0.5 else run
    )


def shows_little(picture: Picture) -> bool:
    """Whether fewer than an eighth of the picture's blocks hold anything, by contrast: flat grass, a bare wall."""
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (160, 90), interpolation=cv2.INTER_AREA)
    blocks = grey[10:80].reshape(7, 10, 16, 10).astype(np.float32)
    return bool((blocks.std(axis=(1, 3)) > 6).mean() < 1 / 8)


def dark(each: int, seed: int) -> Iterator[Feed]:
    """The same cameras where there is hardly any light: `cannot-tell` is a good answer, the opposite is not."""
    for number in range(each):
        for kind, camera, truth in (
            ("dark, fixed", fixed, "still"),
            ("dark, body-worn", MOVING["body-worn, walking"], "moving"),
        ):
            rng = np.random.default_rng([seed, number, len(kind), 11])
            gain = float(rng.uniform(0.03, 0.12))
            run = _filmed(rng, "street", camera(rng), _passers(rng, 3, cars=True), lambda t, gain=gain: gain, noise=5.0)
            yield Feed(kind, truth, run)
