"""Instants carry a zone, or they are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from guard.errors import ConfigError
from guard.facts import format_instant, parse_instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01T12:00:00Z", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("2026-06-01t12:00:00z", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("2026-06-01T04:59:59-07:00", datetime(2026, 6, 1, 11, 59, 59, tzinfo=UTC)),
        ("2026-06-01 12:00:00.5+00:00", datetime(2026, 6, 1, 12, 0, 0, 500000, tzinfo=UTC)),
        ("2026-06-01T12:00:00.123456789Z", datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        (datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 6, 1, 12, tzinfo=UTC)),
    ],
)
def test_instants_are_read_and_become_utc(text: str | datetime, expected: datetime) -> None:
    found = parse_instant(text)
    assert found == expected
    assert found.utcoffset() == timedelta()


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01T12:00:00",
        "2026-06-01",
        "2026-02-30T12:00:00Z",
        "2026-06-01T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "yesterday",
        "",
        12,
        None,
        datetime(2026, 6, 1),
    ],
)
def test_what_is_no_instant_is_refused_with_its_place(text: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_instant(text, where="guard.toml: source[0].use.at")  # type: ignore[arg-type]
    assert caught.value.where == "guard.toml: source[0].use.at"
    assert caught.value.mend


@pytest.mark.parametrize("text", ["2026-06-01T12:00:00Z", "2026-06-01T12:00:00.500Z", "2026-06-01T12:00:00.000001Z"])
def test_an_instant_is_written_as_it_was_read(text: str) -> None:
    assert format_instant(parse_instant(text)) == text


def test_a_time_without_a_zone_is_never_written() -> None:
    with pytest.raises(ValueError, match="no zone"):
        format_instant(datetime(2026, 6, 1))
