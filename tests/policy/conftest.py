"""Engines for the tests of policy: the toy pack alone, and everything together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guard.facts import Facts
from guard.policy import Engine

DATA = Path(__file__).parent / "data"
RULE = """@id("{id}")
@title("t")
@cite("c")
@sure("text")
@reviewed("2026-11-01")
forbid (principal, action, resource)
{body};
"""


@pytest.fixture(scope="session")
def toy() -> Engine:
    """The engine of tests/policy/data/toy.cedar."""
    return Engine.load([DATA / "toy.cedar"])


@pytest.fixture(scope="session")
def everything() -> Engine:
    """The shipped packs and the toy pack."""
    return Engine.load(["all", DATA / "toy.cedar"])


@pytest.fixture
def write_pack(tmp_path: Path) -> Callable[..., Path]:
    """Writes a pack of one rule with this `when`/`unless` body, or of this whole text; gives its path."""

    def write(body: str = "", *, id: str = "X.y", text: str | None = None, name: str = "mine") -> Path:
        path = tmp_path / f"{name}.cedar"
        path.write_text(RULE.format(id=id, body=body) if text is None else text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def at() -> datetime:
    return datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def known() -> Callable[..., Facts]:
    """Facts of which every one is known, with these changes by dotted name (None = unknown)."""
    base = {
        "operator": {"type": "private", "acts_for": "self", "country": "SG"},
        "place": {"country": "SG", "control": "controlled", "access": "workplace"},
        "capture": {"mount": "fixed"},
        "use": {
            "timing": "post_event",
            "purpose": "access_control",
            "output": "lead_only",
            "threshold": 0.99,
            "traits": [],
            "searched_by": "operator",
            "unsolicited": False,
            "initial_identification": False,
            "names_stripped": False,
        },
        "gallery": {"kind": "employees", "provenance": "consented"},
        "subject": {"consent": "explicit", "minor": False, "targeted": False, "cooperates": True, "apprehended": False},
    }

    def make(changes: dict[str, Any] | None = None, evidence: list[dict[str, Any]] | None = None) -> Facts:
        records = Facts.parse({"evidence": evidence or []}).evidence
        return Facts.parse(base).replacing(changes).replacing(evidence=records)

    return make
