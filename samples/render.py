"""A very small renderer: textured flat surfaces seen by a moving pinhole camera, ray by ray, in NumPy.

World axes in metres: x to the right, y up, z away from where the camera starts. Pictures are BGR.
Everything is plain arithmetic on fixed inputs, so that the same frames come out every time.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

NEAR_M = 0.25
SUPERSAMPLING = 1.5


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how it looks. Angles in degrees: yaw to the right, pitch up, roll clockwise."""

    width: int
    height: int
    focal_px: float
    at: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    barrel: float = 0.0
    """Lens distortion: how much further out the picture's corner looks, as a part of its distance."""

    def rays(self) -> Floats:
        """Directions (rows, columns, 3) in the world, one for each supersampled pixel; their depth is 1."""
        columns, rows = round(self.width * SUPERSAMPLING), round(self.height * SUPERSAMPLING)
        x, y = np.meshgrid(
            (np.arange(columns, dtype=np.float32) + 0.5) / SUPERSAMPLING - self.width / 2,
            (np.arange(rows, dtype=np.float32) + 0.5) / SUPERSAMPLING - self.height / 2,
        )
        corner = (self.width**2 + self.height**2) / 4
        stretch = 1 + self.barrel * (x * x + y * y) / corner
        seen = np.stack([x * stretch / self.focal_px, -y * stretch / self.focal_px, np.ones_like(x)], axis=-1)
        return (seen @ self._rotation().T).astype(np.float32)

    def _rotation(self) -> Floats:
        yaw, pitch, roll = np.radians([self.yaw, self.pitch, self.roll])
        about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
        about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        return np.asarray(np.array(about_y) @ np.array(about_x) @ np.array(about_z), np.float32)


@dataclass(frozen=True)
class Surface:
    """A flat rectangle with a picture on it; the picture repeats until the rectangle is full.

    `origin` is the picture's upper left corner, `across` and `down` are the rectangle's sides in metres, at right
    angles to each other. A fourth channel of the picture is its opacity. `gain` is how brightly it is lit.
    """

    picture: Picture
    origin: tuple[float, float, float]
    across: tuple[float, float, float]
    down: tuple[float, float, float]
    px_per_m: float
    gain: float = 1.0
    levels: tuple[Floats, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        levels = [self.picture.astype(np.float32)]
        while min(levels[-1].shape[:2]) > 8:
            half = (levels[-1].shape[1] // 2, levels[-1].shape[0] // 2)
            levels.append(np.asarray(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA), np.float32))
        object.__setattr__(self, "levels", tuple(levels))

    def turned(self, camera: Camera) -> Surface:
        """The same upright surface, turned about its middle to face the camera."""
        width = float(np.hypot(self.across[0], self.across[2]))
        x, z = self.origin[0] + self.across[0] / 2, self.origin[2] + self.across[2] / 2
        away = np.array([x - camera.at[0], z - camera.at[2]])
        away /= np.linalg.norm(away)
        turned = copy(self)
        object.__setattr__(turned, "across", (width * away[1], 0.0, -width * away[0]))
        object.__setattr__(turned, "origin", (x - width / 2 * away[1], self.origin[1], z + width / 2 * away[0]))
        return turned

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Surface:
        """The same surface elsewhere."""
        moved = copy(self)
        object.__setattr__(moved, "origin", (self.origin[0] + x, self.origin[1] + y, self.origin[2] + z))
        return moved

    def hit(
        self, camera: Camera, rays: list[Floats], nearest: Floats
    ) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
        """Which rays (x, y and z apart) meet the surface before `nearest`: their numbers, depths and places on it."""
        sides = np.array([self.across, self.down], np.float32)
        lengths = np.linalg.norm(sides, axis=1)
        offset = np.array(self.origin, np.float32) - np.array(camera.at, np.float32)
        normal = np.cross(sides[0], sides[1])
        with np.errstate(divide="ignore"):
            depth = np.float32(offset @ normal) / _dot(rays, normal)
        hits = np.flatnonzero((depth > NEAR_M) & (depth < nearest))
        met, depth = [axis[hits] for axis in rays], depth[hits]
        along, down = (
            _dot(met, side / length) * depth - np.float32(offset @ side / length)
            for side, length in zip(sides, lengths, strict=True)
        )
        inside = np.flatnonzero((along >= 0) & (down >= 0) & (along < lengths[0]) & (down < lengths[1]))
        return hits[inside], depth[inside], along[inside], down[inside]

    def sample(self, u: Floats, v: Floats, m_per_pixel: Floats) -> Floats:
        """Colours (count, channels) at places in metres, taken from a copy as coarse as one pixel sees."""
        level = np.clip(np.log2(np.maximum(m_per_pixel * self.px_per_m, 1e-6)), 0, len(self.levels) - 1)
        colours = np.zeros((len(u), self.picture.shape[2]), np.float32)
        for number, texture in enumerate(self.levels):
            weight = 1 - np.abs(level - number)
            chosen = np.flatnonzero(weight > 0)
            if not len(chosen):
                continue
            rows, columns = texture.shape[:2]
            scale = columns / self.picture.shape[1] * self.px_per_m
            x = (u[chosen] * scale % columns).astype(np.float32) - 0.5
            y = (v[chosen] * rows / self.picture.shape[0] * self.px_per_m % rows).astype(np.float32) - 0.5
            colours[chosen] += weight[chosen, None] * _bilinear(texture, x, y)
        return colours * np.array([self.gain] * 3 + [1.0] * (colours.shape[1] - 3), np.float32)


def _dot(rays: list[Floats], direction: Floats) -> Floats:
    # Three long sums: a matrix product of so thin a matrix takes ten times as long.
    return rays[0] * direction[0] + rays[1] * direction[1] + rays[2] * direction[2]


def _bilinear(texture: Floats, x: Floats, y: Floats) -> Floats:
    # cv2.remap takes at most 32,767 rows or columns: the list of points is folded into a picture of their places.
    count = len(x)
    folded = int(np.ceil(count / 4096)) * 4096
    places = [np.pad(axis, (0, folded - count)).reshape(-1, 4096) for axis in (x, y)]
    # What has holes stands alone: its upper edge must not show its lower one.
    border = cv2.BORDER_WRAP if texture.shape[2] == 3 else cv2.BORDER_CONSTANT
    sampled = cv2.remap(texture, places[0], places[1], cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(sampled, np.float32).reshape(folded, -1)[:count]


@dataclass(frozen=True)
class Air:
    """What is seen where nothing is, and how fast distance fades into it."""

    colour: tuple[int, int, int]
    fades_over_m: float


def render(camera: Camera, surfaces: list[Surface], air: Air) -> Picture:
    """One frame, height x width x 3, of the surfaces as the camera sees them. Opaque ones first, then the rest."""
    seen = camera.rays()
    rays = [np.ascontiguousarray(axis) for axis in seen.reshape(-1, 3).T]
    canvas = np.broadcast_to(np.array(air.colour, np.float32), (len(rays[0]), 3)).copy()
    nearest = np.full(len(rays[0]), np.inf, np.float32)
    for surface in sorted(surfaces, key=lambda each: each.picture.shape[2]):
        hits, depth, u, v = surface.hit(camera, rays, nearest)
        if not len(hits):
            continue
        normal = np.cross(surface.across, surface.down)
        slant = np.abs(_dot([axis[hits] for axis in rays], (normal / np.linalg.norm(normal)).astype(np.float32)))
        footprint = depth / camera.focal_px / SUPERSAMPLING / np.clip(slant, 0.2, 1) ** 0.8
        colours = surface.sample(u, v, footprint)
        haze = (1 - np.exp(-depth / air.fades_over_m))[:, None]
        lit = colours[:, :3] * (1 - haze) + np.array(air.colour, np.float32) * haze
        if colours.shape[1] == 4:
            opacity = colours[:, 3:] / 255
            canvas[hits] = lit * opacity + canvas[hits] * (1 - opacity)
        else:
            canvas[hits] = lit
            nearest[hits] = depth
    canvas = canvas.reshape(seen.shape)
    small = cv2.resize(canvas, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return np.clip(small, 0, 255).astype(np.uint8)


def sensor(frame: Picture, number: int, *, noise: float, vignette: float = 0.0) -> Picture:
    """What a small camera makes of a picture: darker corners, and noise that differs from frame to frame."""
    rows, columns = frame.shape[:2]
    y, x = np.mgrid[-1 : 1 : complex(rows), -1 : 1 : complex(columns)]
    light = 1 - vignette * (x * x + y * y)[..., None] / 2
    # Noise of neighbouring pixels hangs together in a camera, and costs the encoder less.
    grain = np.random.default_rng(number).normal(0, noise * 1.6, (rows, columns, 1))
    grain = cv2.GaussianBlur(grain, (0, 0), 0.7)[..., None]
    return np.clip(frame * light + grain, 0, 255).astype(np.uint8)
