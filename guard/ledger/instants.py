"""Instants in a ledger: UTC with microseconds, always of one length, so that their texts sort as they do."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["now", "ns_of", "text_of", "text_of_datetime"]


def text_of(ns: int) -> str:
    """``2026-06-01T12:00:00.000000Z`` from nanoseconds since 1970 UTC."""
    return f"{_second(ns // 1_000_000_000)}.{ns % 1_000_000_000 // 1000:06d}Z"


def text_of_datetime(instant: datetime) -> str:
    """The same from an instant with a zone."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ns_of(text: str) -> int:
    """Nanoseconds since 1970 UTC. Raises `ValueError`."""
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(instant.timestamp()) * 1_000_000_000 + instant.microsecond * 1000


def now() -> str:
    """The machine's clock."""
    return text_of(time.time_ns())


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
