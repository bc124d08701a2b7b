"""How cameras move: on a wall and a mast, in a hand, on a chest, in a car, in the air. Metres, degrees, seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["MOVING", "Drift", "Pose", "fixed", "on_a_mast"]


@dataclass(frozen=True)
class Pose:
    x: float = 0.0
    y: float = 1.6
    z: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


class Drift:
    """A restless value with unit variance: sines of unrelated frequencies about `around_hz`."""

    def __init__(self, rng: np.random.Generator, around_hz: float) -> None:
        self.speeds = rng.uniform(0.4, 1.7, 5) * around_hz
        self.phases = rng.uniform(0, 2 * np.pi, 5)

    def __call__(self, t: float) -> float:
        return float(np.sin(2 * np.pi * self.speeds * t + self.phases).sum() / np.sqrt(2.5))


def handheld(rng: np.random.Generator) -> Callable[[float], Pose]:
    """Somebody stands and films: tremor, sway, and turning to what happens."""
    size = rng.uniform(0.35, 1.2)
    parts = [Drift(rng, 1.4) for _ in range(3)] + [Drift(rng, 0.25) for _ in range(4)]
    return lambda t: Pose(
        x=0.05 * parts[3](t),
        y=1.55 + 0.03 * parts[4](t),
        yaw=size * (parts[0](t) + 4.0 * parts[5](t)),
        pitch=size * (parts[1](t) + 1.5 * parts[6](t)),
        roll=size * 0.7 * parts[2](t),
    )


def body_worn(rng: np.random.Generator) -> Callable[[float], Pose]:
    """On the chest of somebody who walks."""
    speed, pace = rng.uniform(0.5, 1.7), rng.uniform(1.6, 2.2)
    size, about = rng.uniform(0.6, 1.4), rng.uniform(-25, 25)
    parts = [Drift(rng, 1.0), Drift(rng, 1.3), Drift(rng, 0.6), Drift(rng, 0.12)]
    return lambda t: Pose(
        x=0.05 * np.sin(np.pi * pace * t),
        y=1.4 + 0.03 * abs(np.sin(np.pi * pace * t)),
        z=speed * t % 25,
        yaw=about + size * (1.2 * parts[0](t) + 8 * parts[3](t)),
        pitch=-2 + size * (1.1 * np.sin(2 * np.pi * pace * t) + 0.7 * parts[1](t)),
        roll=size * (1.6 * np.sin(np.pi * pace * t) + parts[2](t)),
    )


def body_worn_standing(rng: np.random.Generator) -> Callable[[float], Pose]:
    """On the chest of somebody who stands and talks: breathing, shifting the weight."""
    size, about = rng.uniform(0.6, 1.3), rng.uniform(-20, 20)
    parts = [Drift(rng, 0.5), Drift(rng, 0.45), Drift(rng, 0.35), Drift(rng, 0.2)]
    return lambda t: Pose(
        x=0.04 * parts[3](t),
        y=1.4 + 0.008 * np.sin(2 * np.pi * 0.27 * t),
        yaw=about + size * 1.6 * parts[0](t),
        pitch=size * (0.7 * parts[1](t) + 0.5 * np.sin(2 * np.pi * 0.27 * t)),
        roll=size * 0.7 * parts[2](t),
    )


def vehicle(rng: np.random.Generator) -> Callable[[float], Pose]:
    """Behind a windscreen, driving."""
    speed, about = rng.uniform(2.0, 9.0), rng.uniform(-8, 8)
    parts = [Drift(rng, 0.2), Drift(rng, 2.2), Drift(rng, 1.1), Drift(rng, 0.1)]
    return lambda t: Pose(
        x=0.3 * parts[0](t),
        y=1.3,
        z=speed * t % 40,
        yaw=about + 1.5 * parts[3](t),
        pitch=-1 + 0.15 * parts[1](t),
        roll=0.2 * parts[2](t),
    )


def drone(rng: np.random.Generator) -> Callable[[float], Pose]:
    """From above: flying along, sideways, or turning on the spot."""
    height, down = rng.uniform(4, 18), rng.uniform(-60, -20)
    ahead, aside, turn = rng.choice([0, 1, 1]) * rng.uniform(1, 5), rng.uniform(-1.5, 1.5), rng.uniform(-6, 6)
    parts = [Drift(rng, 0.4), Drift(rng, 0.5)]
    return lambda t: Pose(
        x=aside * t % 6,
        y=height,
        z=-4 + ahead * t % 30,
        yaw=turn * t + 0.5 * parts[0](t),
        pitch=down + 0.4 * parts[1](t),
    )


def fixed(rng: np.random.Generator) -> Callable[[float], Pose]:
    """On a wall."""
    pose = Pose(
        x=float(rng.uniform(-1.5, 1.5)), y=float(rng.uniform(1.8, 2.8)), yaw=float(rng.uniform(-20, 20)),
        pitch=float(rng.uniform(-22, -3)), roll=float(rng.uniform(-2, 2)),
    )  # fmt: skip
    return lambda t: pose


def on_a_mast(rng: np.random.Generator) -> Callable[[float], Pose]:
    """On a pole in the wind: a few hundredths of a degree."""
    still, size = fixed(rng)(0.0), rng.uniform(0.01, 0.04)
    parts = [Drift(rng, 0.8), Drift(rng, 0.9)]
    return lambda t: replace(still, yaw=still.yaw + size * parts[0](t), pitch=still.pitch + size * parts[1](t))


MOVING = {
    "hand-held": handheld,
    "body-worn, walking": body_worn,
    "body-worn, standing": body_worn_standing,
    "vehicle": vehicle,
    "drone": drone,
}
