"""Reads `[[source]] camera`."""

from __future__ import annotations

from typing import Any

from guard.config.values import known, number
from guard.context.camera import Camera
from guard.errors import ConfigError

__all__ = ["read_camera"]

_KEYS = ("size", "fps", "ptz", "live", "frozen_s")


def read_camera(table: Any, where: str) -> Camera:
    """What the file says of the device. Raises `ConfigError` with the key of the first mistake."""
    if not isinstance(table, dict):
        raise ConfigError("camera must be a table", where=where, mend="write camera = { size = [1920, 1080] }")
    known(table, _KEYS, where)
    said: dict[str, Any] = {key: _flag(table[key], f"{where}.{key}") for key in ("ptz", "live") if key in table}
    if "size" in table:
        said["size"] = _size(table["size"], f"{where}.size")
    if "fps" in table:
        said["fps"] = number(table["fps"], f"{where}.fps", low=0.01, high=1000.0)
    if "frozen_s" in table:
        said["frozen_s"] = number(table["frozen_s"], f"{where}.frozen_s", low=1.0, high=86_400.0)
    return Camera(**said)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{value!r} is neither true nor false", where=where, mend="write true or false")
    return value


def _size(value: Any, where: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError("a size is a width and a height", where=where, mend="write size = [1920, 1080]")
    width, height = (int(number(side, where, low=1, high=100_000, whole=True)) for side in value)
    return width, height
