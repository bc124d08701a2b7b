"""Hours before a fixed camera, as thumbnails, five a second: cheap enough to show a whole day.

The place is one picture of the renderer. Before it pass people and cars, alone and in crowds, near enough now and then
to fill the picture (a bus, a lorry that unloads); clouds, lamps and an exposure change the light; rain falls; leaves
move; the sensor is noisy, the mast sways, and every picture goes through JPEG at a quality that differs from place to
place.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import motion_cameras
import motion_scenes
import numpy as np
import render

from guard.vision.thumbnail import HEIGHT, WIDTH, Thumbnail

RATE_HZ = 5
_HAZE = render.Air((226, 216, 206), 130.0)
Floats = np.ndarray


class FixedDay:
    """One place; `seed` decides which, and what happens there."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        name = ("street", "room", "field")[seed % 3]
        pose = motion_cameras.fixed(rng)(0.0)
        camera = render.Camera(
            WIDTH * 2, HEIGHT * 2, float(rng.uniform(0.55, 1.0) * WIDTH * 2),
            at=(pose.x, pose.y, pose.z), yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll,
        )  # fmt: skip
        place = render.render(camera, motion_scenes.PLACES[name](rng), _HAZE)
        self.place = cv2.cvtColor(place, cv2.COLOR_BGR2GRAY).astype(np.float32)
        self.outdoors = name != "room"
        self.quality = int(rng.integers(35, 90))
        self.noise = float(rng.uniform(0.4, 2.0))
        self.sway_px = float(rng.uniform(0, 0.12)) if self.outdoors else 0.0
        self.busy = float(rng.choice([0.02, 0.1, 0.3]))
        people = [cv2.cvtColor(each[..., :3], cv2.COLOR_BGR2GRAY) for each in motion_scenes._people()]
        self.people = [
            (grey.astype(np.float32), each[..., 3].astype(np.float32) / 255)
            for grey, each in zip(people, motion_scenes._people(), strict=True)
        ]
        cars = [motion_scenes._car(number) for number in range(8)]
        self.cars = [
            (cv2.cvtColor(each[..., :3], cv2.COLOR_BGR2GRAY).astype(np.float32), each[..., 3].astype(np.float32) / 255)
            for each in cars
        ]
        self.passing: list[tuple[Floats, Floats, float, float, float, float, float]] = []
        self.sky = np.array([motion_cameras.Drift(rng, hz)(0) for hz in (0.01,)])
        self.clouds, self.swaying = motion_cameras.Drift(rng, 0.02), motion_cameras.Drift(rng, 0.9)
        self.level, self.rain_until, self.leaves = 1.0, -1.0, rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)

    def pictures(self, seconds: float) -> Iterator[tuple[float, Thumbnail]]:
        """The hours, a thumbnail every fifth of a second."""
        rng = self.rng
        for number in range(round(seconds * RATE_HZ)):
            t = number / RATE_HZ
            self._happens(t)
            view = self._passed(self._swayed(t), t)
            view = view * (1 + 0.15 * self.clouds(t)) * self.level
            if t < self.rain_until:
                for x, y, long in zip(
                    rng.integers(0, WIDTH, 50), rng.integers(0, HEIGHT - 9, 50), rng.integers(2, 8, 50), strict=True
                ):
                    view[y : y + long, x] += 40
            view = view + rng.standard_normal((HEIGHT, WIDTH), np.float32) * self.noise
            data = cv2.imencode(
                ".jpg", np.clip(view, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, self.quality]
            )[1]
            yield t, cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)

    def _happens(self, t: float) -> None:
        rng = self.rng
        if rng.random() < self.busy / RATE_HZ * 2:
            for _ in range(int(rng.choice([1, 2, 12], p=[0.7, 0.25, 0.05]))):
                self._enter(t, rng.uniform(12, 70), rng.uniform(6, 30), self.people)
        if self.outdoors and rng.random() < self.busy / RATE_HZ:
            self._enter(t, rng.uniform(12, 50), rng.uniform(20, 120), self.cars)
        if rng.random() < 1 / (RATE_HZ * 600):
            # Something that hides everything: a bus in a street, somebody's back before a lens in a room.
            self._enter(t, rng.uniform(110, 200), rng.uniform(40, 200), self.cars)
        if rng.random() < 1 / (RATE_HZ * 300):
            self.level = float(rng.uniform(0.4, 1.2))
        if self.outdoors and rng.random() < 1 / (RATE_HZ * 1800):
            self.rain_until = t + rng.uniform(60, 900)

    def _enter(self, t: float, height: float, speed: float, among: list[tuple[Floats, Floats]]) -> None:
        rng = self.rng
        grey, opacity = among[int(rng.integers(len(among)))]
        size = (max(4, round(height * grey.shape[1] / grey.shape[0])), round(height))
        parts = (
            cv2.resize(grey, size, interpolation=cv2.INTER_AREA),
            cv2.resize(opacity, size, interpolation=cv2.INTER_AREA),
        )
        side = float(rng.choice([-1, 1]))
        waits_at, waits_s = (
            (float(rng.uniform(0.2, 0.8)), float(rng.uniform(3, 40))) if rng.random() < 0.2 else (2.0, 0.0)
        )
        self.passing.append((*parts, t, speed * side, float(rng.uniform(0.1, 1.0)), waits_at, waits_s))

    def _swayed(self, t: float) -> Floats:
        """The place from a mast in the wind, a new array."""
        by = self.sway_px * self.swaying(t) * 2
        view = np.float32([[1, 0, by], [0, 1, by * 0.6]])
        place = cv2.warpAffine(self.place, view, (WIDTH * 2, HEIGHT * 2), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.resize(place, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))

    def _passed(self, view: Floats, t: float) -> Floats:
        staying = []
        for each in self.passing:
            grey, opacity, since, speed, down, waits_at, waits_s = each
            rows, columns = grey.shape
            way = abs(speed) * (t - since)
            stop = waits_at * (WIDTH + columns)
            way = way if way < stop else max(stop, way - abs(speed) * waits_s)
            if way > WIDTH + columns:
                continue
            staying.append(each)
            x = way - columns if speed > 0 else WIDTH - way
            y = down * (HEIGHT - rows)
            left, right = max(0, int(x) - 1), min(WIDTH, int(x) + columns + 2)
            top, bottom = max(0, int(y) - 1), min(HEIGHT, int(y) + rows + 2)
            if left >= right or top >= bottom:
                continue
            at, size = np.float32([[1, 0, x - left], [0, 1, y - top]]), (right - left, bottom - top)
            cover = cv2.warpAffine(opacity, at, size)
            shown = cv2.warpAffine(grey, at, size, borderMode=cv2.BORDER_REPLICATE)
            part = view[top:bottom, left:right]
            part += (shown - part) * cover
        self.passing = staying
        return view
