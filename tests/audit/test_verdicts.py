"""Verdicts over time: every recorded call is counted once, in the time in which it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guard.audit.verdicts import verdicts_over_time
from guard.cli import main
from guard.ledger import Ledger
from tests.conftest import SCENE


def record(at: str, until: str, verdict: str, count: int, fault: str | None = None) -> dict[str, Any]:
    day = "2026-11-27T12:00:{}Z"
    return {"at": day.format(at), "until": day.format(until), "verdict": verdict, "count": count, "fault": fault}


def test_each_record_is_counted_where_it_lies_and_a_long_one_is_spread():
    found = verdicts_over_time(
        [
            record("00.000", "00.000", "allow", 3),
            record("00.000", "03.999", "deny", 8),
            record("03.999", "03.999", "deny", 2, "dark"),
        ],
        periods=4,
    )
    assert [period.calls["allow"] for period in found] == [3, 0, 0, 0]
    assert [period.calls["deny"] for period in found] == [2, 2, 2, 2]
    assert [period.calls["fault"] for period in found] == [0, 0, 0, 2]
    assert verdicts_over_time([]) == []


@pytest.fixture
def ledger(tmp_path: Path, make_guard: Any) -> Path:
    with make_guard(ledger=Ledger(tmp_path / "decisions.db")) as made:
        cam = made.source()
        search = cam.protect(lambda frame: None, action="identify", service="azure_openai")
        for _ in range(3):
            with cam.frame(SCENE) as seen, pytest.raises(Exception, match="forbidden"):
                search(seen.image)
    return tmp_path / "decisions.db"


def test_the_command_draws_what_it_shows(ledger: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    assert main(["ledger", "show", str(ledger), "--plot", str(tmp_path / "verdicts.svg")]) == 0
    assert 'aria-label="Calls over time: 3 deny;' in (tmp_path / "verdicts.svg").read_text()


def test_nothing_to_draw_is_said(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["ledger", "show", str(ledger), "--verdict", "allow", "--plot", str(tmp_path / "verdicts.svg")]) == 1
    assert "no record is to be drawn" in capsys.readouterr().err
    assert not (tmp_path / "verdicts.svg").exists()
