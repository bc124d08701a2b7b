"""What `[[source]] camera` says of the device itself, beside the facts that rules read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Camera"]


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera as declared.

    Attributes:
        size: width and height of its pictures in pixels, None where any will do.
        fps: frames a second, None where any will do.
        ptz: it can pan, tilt and zoom to presets, so that it may move for a while.
        live: its pictures are handed in as they are taken.
        frozen_s: how long it may give the same picture, bit for bit.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    ptz: bool = False
    live: bool = False
    frozen_s: float = 10.0
