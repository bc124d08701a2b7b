"""The police and the office of all tests, with frames that may be a minute old: a busy machine denies nothing."""

from __future__ import annotations

from tests import conftest

__all__ = ["OFFICE", "POLICE"]

OFFICE, POLICE = (
    text.replace("[[source]]\n", "[[source]]\nmax_age_s = 60\n") for text in (conftest.OFFICE, conftest.POLICE)
)
