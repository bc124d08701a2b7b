"""Instants: RFC 3339 with a zone in, UTC out.

A time without a zone is not an instant, so it is refused rather than read as local time or as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from guard.errors import ConfigError

__all__ = ["format_instant", "parse_instant"]

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def parse_instant(text: str | datetime, *, where: str | None = None) -> datetime:
    """Read an instant such as ``2026-06-01T12:00:00Z`` or ``2026-06-01T05:00:00-07:00``; gives UTC.

    TOML files carry date-times of their own, so a `datetime` with a zone is taken too. Fractions beyond
    microseconds are cut off. Raises `ConfigError` for anything else, a time without a zone included.
    """
    if isinstance(text, datetime):
        if text.tzinfo is None:
            raise ConfigError(f"the time {text.isoformat()} has no zone", where=where, mend="add Z or an offset")
        return _utc(text, str(text), where)
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ConfigError(
            f"{text!r} is not an instant", where=where, mend="write it as 2026-06-01T12:00:00Z (RFC 3339)"
        )
    normal = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    try:
        return _utc(datetime.fromisoformat(normal), text, where)
    except ValueError:
        raise ConfigError(f"{text!r} is not a date that exists", where=where, mend="check day and hour") from None


def format_instant(instant: datetime) -> str:
    """``2026-06-01T12:00:00Z``; with milliseconds or microseconds only where there are any.

    `instant` must carry a zone; one that does not is a mistake of the caller's and raises `ValueError`.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no zone")
    utc = instant.astimezone(UTC)
    spec = "seconds"
    if utc.microsecond:
        spec = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def _utc(instant: datetime, text: str, where: str | None) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{text!r} is before the year 1 or after 9999", where=where, mend="check the year") from None
