"""The matrix: every cell is what the source itself decides, and every flip is where its decisions change."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.cli import main
from guard.facts import ACTIONS, SERVICES, Facts, Verdict, format_instant
from guard.policy import Engine
from guard.policy.matrix import YEARS, Flip, Matrix, matrix
from tests.conftest import OFFICE, POLICE

DAYS = [datetime(2019, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, 12, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)]
INSTANT = timedelta(milliseconds=1)
PACKS = ["microsoft_ai_code", "microsoft_azure_face", "microsoft_azure_openai_2024", "openai", "eu_ai_act"]
"""Enough to flip a good many cells, few enough to be quick."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "guard.toml"
    path.write_text(f"[policy]\npacks = {json.dumps(PACKS)}\n{POLICE}")
    return path


@pytest.mark.parametrize("text", [POLICE, OFFICE], ids=["police", "office"])
@pytest.mark.parametrize("at", DAYS, ids=str)
def test_cells_are_what_the_source_decides(make_guard: Callable[..., guard.Guard], text: str, at: datetime):
    made = make_guard(text, packs=PACKS)
    cam = made.source()
    table = matrix(made.engine, cam.facts, at, source=cam.id)
    chosen = random.Random(at.year).sample(table.cells, 25)
    for cell in [*chosen, *(cell for cell in table.cells if cell.action == "vlm_describe")]:
        decided = cam.decide(cell.action, cell.service, faces=1, at=at)
        without = cam.decide(cell.action, cell.service, faces=0, at=at)
        said = cell.to_json()
        assert (said["verdict"], said["verdict_without_faces"]) == (decided.verdict.value, without.verdict.value)
        assert said["rules"] == [reason.rule for reason in decided.reasons]


@pytest.mark.parametrize(
    "text", [POLICE, OFFICE, OFFICE.replace("2100-05", "2027-05")], ids=["police", "office", "lapse"]
)
@pytest.mark.parametrize("at", DAYS, ids=str)
def test_flips_are_where_decisions_change_and_nowhere_else(
    make_guard: Callable[..., guard.Guard], text: str, at: datetime
):
    made = make_guard(text, packs=PACKS)
    cam = made.source()
    table = matrix(made.engine, cam.facts, at)
    assert table.until is not None
    chosen = random.Random(at.year).sample(list(product(ACTIONS, SERVICES)), 20)
    for action, service in {*chosen, *table.flipping}:
        flips = {flip.at: flip for flip in table.flips if (flip.action, flip.service) == (action, service)}
        column = made.engine.column(cam.facts, action, service, at)
        while column.valid_until is not None and column.valid_until <= table.until:
            before, end = column.with_faces, column.valid_until
            assert cam.decide(action, service, at=end - INSTANT).verdict is before.verdict
            column = made.engine.column(cam.facts, action, service, end)
            if column.with_faces.verdict is before.verdict:
                assert end not in flips
                continue
            flip = flips.pop(end)
            assert (flip.before, flip.after) == (before.verdict, column.with_faces.verdict)
            assert cam.decide(action, service, at=end).verdict is flip.after
            assert set(flip.begins) <= {reason.rule for reason in column.with_faces.reasons}
            assert set(flip.ends) <= {reason.rule for reason in before.reasons}
            assert flip.begins or flip.ends
        assert not flips


def test_a_record_that_runs_out_flips_its_cells_and_is_said_to(make_guard: Callable[..., guard.Guard]):
    made = make_guard(OFFICE.replace("2100-05", "2027-05"), packs=PACKS)
    table = matrix(made.engine, made.source().facts, DAYS[-1])
    (flip,) = [flip for flip in table.flips if (flip.action, flip.service) == ("identify", "azure_face")]
    assert flip == Flip(
        datetime(2027, 5, 2, 12, tzinfo=UTC),
        "identify",
        "azure_face",
        Verdict.ALLOW,
        Verdict.DENY,
        begins=("MS-FACE.limited",),
        ends=(),
        by_record=True,
    )
    assert ("identify", "azure_face") in table.flipping
    assert "MS-FACE.limited" in table.reasons


def test_a_rule_that_starts_is_told_from_a_record(make_guard: Callable[..., guard.Guard]):
    made = make_guard(OFFICE, packs=PACKS)
    table = matrix(made.engine, made.source().facts, datetime(2023, 1, 1, tzinfo=UTC))
    emotion = [flip for flip in table.flips if (flip.action, flip.service) == ("emotion", "azure_face")]
    assert [(flip.at.date().isoformat(), flip.begins, flip.by_record) for flip in emotion] == [
        ("2023-06-30", ("MS-FACE.attributes",), False)
    ]


def test_flips_of_one_cause_are_told_together(make_guard: Callable[..., guard.Guard]):
    made = make_guard(OFFICE.replace("2100-05", "2027-05"), packs=PACKS)
    table = matrix(made.engine, made.source().facts, DAYS[-1])
    told = {
        (turn.flip.at, turn.flip.before, turn.flip.after, action, service)
        for turn in table.turns
        for actions, services in turn.cells
        for action, service in product(actions, services)
    }
    assert told == {(flip.at, flip.before, flip.after, flip.action, flip.service) for flip in table.flips}
    assert len(table.turns) < len(table.flips)


def test_a_delay_that_contradicts_the_time_is_a_fault_and_flips_back(known: Callable[..., Facts], toy: Engine):
    record = {"type": "urgency_request", "issued": "2026-07-01T12:00:00Z", "delay_hours": 2, "note": "asked late"}
    table = matrix(toy, known(evidence=[record]), datetime(2026, 6, 1, tzinfo=UTC))
    cell = table.by_call["detect", "self_hosted"]
    assert cell.to_json()["fault"]
    assert cell.verdict is Verdict.DENY
    at = [flip.at for flip in table.flips if (flip.action, flip.service) == ("detect", "self_hosted")]
    assert at[0] <= datetime(2026, 7, 1, 10, tzinfo=UTC) < at[1]
    assert len(at) == 2


def test_without_a_time_every_date_counts_and_nothing_flips(everything: Engine, known: Callable[..., Facts]):
    table = matrix(everything, known(), None)
    assert (table.at, table.until, table.flips) == (None, None, ())
    for cell in table.cells:
        assert cell.verdict is everything.column(known(), cell.action, cell.service, None).with_faces.verdict


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-22T09:00:00Z", "2028-11-22T09:00:00Z"),
        ("2028-02-29T00:00:00Z", "2030-02-28T00:00:00Z"),
        ("9998-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_it_looks_two_years_ahead(toy: Engine, at: str, until: str):
    assert YEARS == 2
    assert format_instant(matrix(toy, Facts(), guard.facts.parse_instant(at)).until) == until


def test_the_command_prints_the_contracts_object(run: Callable[..., tuple[int, str, str]], config: Path):
    status, out, _ = run("policy", "matrix", "--config", config, "--at", "2026-11-22T09:00:00Z", "--json")
    said: dict[str, Any] = json.loads(out)
    assert (status, said["schema"], said["source"]) == (0, "guard.matrix/1", "bodycam")
    assert (said["at"], said["until"]) == ("2026-11-22T09:00:00Z", "2028-11-22T09:00:00Z")
    assert (said["actions"], said["services"]) == (list(ACTIONS), list(SERVICES))
    assert [(cell["action"], cell["service"]) for cell in said["cells"]] == list(product(ACTIONS, SERVICES))
    keys = {"action", "service", "verdict", "verdict_without_faces", "rules", "lifted_by"}
    assert all(cell.keys() == keys and cell["lifted_by"] is None for cell in said["cells"])
    _, out, _ = run("policy", "matrix", "--config", config, "--at", "2023-12-31T00:00:00Z", "--json")
    flips = json.loads(out)["flips"]
    (flip,) = [flip for flip in flips if (flip["action"], flip["service"]) == ("emotion", "azure_openai")]
    assert "MS-AOAI.emotion" in flip.pop("begins")
    change = {"from": "allow", "to": "deny", "ends": [], "by_record": False}
    assert flip == {"at": "2024-05-01T00:00:00Z", "action": "emotion", "service": "azure_openai", **change}


def test_the_table_fits_a_terminal_and_says_every_verdict(run: Callable[..., tuple[int, str, str]], config: Path):
    status, out, _ = run("policy", "matrix", "--config", config, "--at", "2023-12-31T00:00:00Z")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 110
    words = [line.split() for line in out.splitlines() if line]
    rows = {line[0]: line[1:] for line in words if line[0] in ACTIONS and len(line) == 1 + len(SERVICES)}
    table: Matrix = matrix(
        Engine.load(PACKS), guard.config.load_config(config).sources["bodycam"].facts, _day("2023-12-31")
    )
    for action in ACTIONS:
        marks = [mark.rstrip("*").lower() for mark in rows[action]]
        assert marks == [table.by_call[action, service].verdict.value for service in SERVICES]
        starred = [mark.endswith("*") for mark in rows[action]]
        assert starred == [(action, service) in table.flipping for service in SERVICES]
    assert "2024-05-01" in out
    for rule in table.reasons:
        assert rule in out


def test_a_wrong_command_line_is_1_and_writes_nothing(run: Callable[..., tuple[int, str, str]], config: Path):
    page = config.parent / "page.html"
    for arguments in (["--source", "nope"], ["--at", "tomorrow"]):
        status, out, err = run("policy", "matrix", "--config", config, "--html", page, *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1)
    assert not page.exists()
    assert run("policy", "matrix", "--config", config.parent / "none.toml")[0] == 3


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_with_all_packs_the_duties_of_the_ai_act_flip_cells_and_it_takes_less_than_three_seconds():
    facts = {
        "operator": {"type": "nonus_police", "acts_for": "self", "country": "FR"},
        "place": {"country": "FR", "control": "wild", "access": "public"},
        "use": {"timing": "post_event", "purpose": "criminal_investigation", "initial_identification": False},
        "evidence": [{"type": "national_law", "issued": "2026-01-01T00:00:00Z", "expires": "2036-01-01T00:00:00Z"}],
    }
    engine = Engine.load()  # nothing is compiled yet
    start = time.process_time()
    table = matrix(engine, Facts.parse(facts), DAYS[-1])
    assert time.process_time() - start < 3
    flips = [flip for flip in table.flips if (flip.action, flip.service) == ("identify", "self_hosted")]
    assert [(format_instant(flip.at), flip.before, flip.after, flip.begins) for flip in flips] == [
        ("2027-12-02T00:00:00Z", Verdict.ALLOW, Verdict.DENY, ("EU-26.10", "EU-14.5"))
    ]
    assert any("EU-26.10, EU-14.5 forbid from then on" in turn.why for turn in table.turns)
