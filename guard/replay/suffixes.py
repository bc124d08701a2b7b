"""By which endings of their names videos and pictures are told, where a folder is searched for them."""

from __future__ import annotations

from typing import Final

__all__ = ["PICTURES", "VIDEOS"]

VIDEOS: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".wmv"}
)
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
