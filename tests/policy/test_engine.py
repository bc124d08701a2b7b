"""The engine decides, says until when, and keeps what it decided."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.facts import SERVICES, VLM_SERVICES, Facts, Verdict
from guard.policy import Column, Engine, Ruling, engine, evaluation, schema
from guard.policy.columns import Column as Cell
from guard.policy.evaluation import Evaluator

DATA = Path(__file__).parent / "data"
DAY = timedelta(days=1)


def verdict(engine: Engine, facts: Facts, action: str, at: datetime | None, service: str | None = "self_hosted") -> str:
    return str(engine.column(facts, action, service, at).ruling(1).verdict)


def test_a_rule_forbids_from_its_start_until_before_its_end(toy: Engine, known: Callable[..., Facts]) -> None:
    facts = known({"place.country": "US", "place.subdivision": "US-CA", "capture.mount": "body_worn"})
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
    tick = timedelta(milliseconds=1)
    found = [verdict(toy, facts, "detect", at) for at in (start - tick, start, end - tick, end)]
    assert found == ["allow", "deny", "deny", "allow"]
    column = toy.column(facts, "detect", "self_hosted", start + DAY)
    assert (column.valid_from, column.valid_until) == (start, end)
    (reason,) = column.ruling(None).reasons
    assert (reason.rule, reason.pack, reason.sure, reason.effective) == ("TOY.window", "toy", "memory", (start, end))


def test_a_verdict_is_valid_until_the_next_rule_or_record_begins_or_ends(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    record = {"type": "warrant", "issued": "2026-05-01T00:00:00Z", "expires": "2026-07-01T00:00:00Z"}
    other = {"type": "fria", "issued": "2026-05-20T00:00:00Z", "expires": "2026-06-20T00:00:00Z"}
    notice = {"type": "notice_posted", "issued": "2026-05-01T00:00:00Z", "expires": "2026-09-01T00:00:00Z"}
    facts = known({"place.country": "DE"}, [record, other, notice])
    column = toy.column(facts, "identify", "self_hosted", at)
    assert column.ruling(3).verdict is Verdict.ALLOW
    # `fria` is asked for by no rule of this call, so its end does not matter; the notice is 30 days old on 31 May.
    assert column.valid_from == datetime(2026, 5, 31, tzinfo=UTC)
    assert column.valid_until == datetime(2026, 7, 1, tzinfo=UTC)
    assert column.covers(at)
    assert not column.covers(column.valid_until)
    later = toy.column(facts, "identify", "self_hosted", column.valid_until)
    assert later.ruling(3).verdict is Verdict.DENY
    assert [reason.rule for reason in later.ruling(3).reasons] == ["TOY.union"]


def test_a_rule_with_several_branches_is_one_reason(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    (reason,) = toy.column(known({"place.country": "DE"}), "identify", "self_hosted", at).ruling(0).reasons
    assert reason.rule == "TOY.union"
    assert reason.effective == (datetime(2025, 2, 2, tzinfo=UTC), None)
    early = toy.column(known({"place.country": "DE"}), "identify", "self_hosted", at - 180 * DAY)
    assert early.ruling(0).reasons[0].title.endswith("an order")


def test_an_unknown_time_is_any_time(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    facts = known({"place.country": "US", "place.subdivision": "US-CA", "capture.mount": "body_worn"})
    column = toy.column(facts, "detect", "self_hosted", None)
    assert column.ruling(None).verdict is Verdict.DENY
    assert column.timeless
    assert column.covers(None)
    assert not column.covers(at)
    assert not toy.column(facts, "detect", "self_hosted", at).covers(None)


def test_an_unknown_service_is_any_service(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    facts = known({"subject.minor": True})
    assert verdict(toy, facts, "track", at, "google") == "allow"
    assert verdict(toy, facts, "track", at, None) == "deny"


def test_two_portlands_are_two_places(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    oregon = known({"place.country": "US", "place.subdivision": "US-OR", "place.locality": "Portland"})
    maine = oregon.replacing({"place.subdivision": "US-ME"})
    assert verdict(toy, oregon, "identify", at) == "deny"
    assert verdict(toy, maine, "identify", at) == "allow"
    assert verdict(toy, oregon.replacing({"place.subdivision": None}), "identify", at) == "deny"


def test_acting_for_oneself_is_acting_as_what_one_is(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    patrol = {"capture.mount": "vehicle", "place.control": "wild", "use.timing": "real_time"}
    assert verdict(toy, known({**patrol, "operator.acts_for": "us_police"}), "identify", at) == "deny"
    assert verdict(toy, known({**patrol, "operator.type": "nonus_police"}), "identify", at) == "deny"
    assert verdict(toy, known(patrol), "identify", at) == "allow"


def test_a_threshold_is_compared_exactly(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    for threshold, expected in ((0.99, "allow"), (0.9899999, "deny"), (None, "deny"), (1, "allow")):
        facts = known({"operator.type": "us_federal_le", "use.threshold": threshold})
        assert verdict(toy, facts, "verify", at) == expected


@pytest.mark.parametrize(
    ("action", "service", "stripped", "no_face", "with_faces"),
    [
        ("vlm_describe", "openai", False, "allow", "redact"),
        ("vlm_describe", "openai", None, "allow", "redact"),
        ("vlm_describe", "openai", True, "allow", "allow"),
        ("vlm_describe", "google", False, "allow", "allow"),
        ("vlm_describe", None, False, "allow", "redact"),
        (None, "openai", True, "allow", "redact"),
        (None, "openai", False, "allow", "redact"),
        (None, "google", None, "allow", "allow"),
        (None, None, None, "allow", "redact"),
        ("vlm_identify", "openai", True, "deny", "deny"),
    ],
)
def test_a_description_is_redacted_where_asking_for_names_is_denied(
    toy: Engine,
    known: Callable[..., Facts],
    at: datetime,
    action: str | None,
    service: str | None,
    stripped: bool | None,
    no_face: str,
    with_faces: str,
) -> None:
    column = toy.column(known({"use.names_stripped": stripped}), action, service, at)
    assert (column.ruling(0).verdict, column.ruling(2).verdict) == (no_face, with_faces)
    assert column.ruling(None) is column.ruling(2) is column.with_faces
    assert column.hinges_on_faces is (no_face != with_faces)
    assert bool(column.ruling(2).reasons) is (with_faces != "allow")
    if with_faces == "redact":
        assert column.ruling(2).lifted_by() == []


def test_a_description_that_is_itself_forbidden_is_denied_with_and_without_faces(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    column = toy.column(known({"place.access": "school"}), None, "openai", at)
    assert column.ruling(0).verdict is column.ruling(5).verdict is Verdict.DENY
    assert not column.hinges_on_faces


@pytest.mark.parametrize(
    ("action", "service", "at"),
    [
        ("identfy", "openai", datetime(2026, 1, 1, tzinfo=UTC)),
        ("identify", "opnai", datetime(2026, 1, 1, tzinfo=UTC)),
        (None, "self_hosted", datetime(2026, 1, 1, tzinfo=UTC)),
        ("identify", "openai", datetime(2026, 1, 1)),
    ],
)
def test_a_word_that_does_not_exist_is_an_error_and_no_verdict(
    toy: Engine, action: str | None, service: str, at: datetime
) -> None:
    with pytest.raises(ConfigError):
        toy.column(Facts(), action, service, at)


def test_only_a_vision_language_service_takes_an_unnamed_call(toy: Engine) -> None:
    for service in SERVICES:
        if service in VLM_SERVICES:
            assert toy.column(Facts(), None, service, None)
        else:
            with pytest.raises(ConfigError, match="must say what it does"):
                toy.column(Facts(), None, service, None)


def test_a_column_is_compiled_once_and_again_after_its_end(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    facts = known({"place.country": "DE"})
    first = toy.column(facts, "identify", "self_hosted", at)
    assert toy.column(facts, "identify", "self_hosted", at + DAY) is first
    assert toy.column(known({"place.country": "DE"}), "identify", "self_hosted", at) is first
    assert toy.column(facts, "identify", "self_hosted", at - 1000 * DAY) is not first
    assert toy.column(facts, "identify", "self_hosted", at) is first


def test_the_kept_columns_are_bounded(monkeypatch: pytest.MonkeyPatch, known: Callable[..., Facts]) -> None:
    monkeypatch.setattr(engine, "_KEPT_COLUMNS", 2)
    small = Engine.load([DATA / "toy.cedar"])
    for number in range(5):
        small.column(known({"use.threshold": number / 10}), "detect", "other", None)
    assert len(small._columns) == 2


def test_the_kept_subsets_are_bounded(
    monkeypatch: pytest.MonkeyPatch, toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    monkeypatch.setattr(evaluation, "_KEPT_SUBSETS", 1)
    fresh = Evaluator(tuple(toy.policies.values()), schema.schema())
    question = toy.request(known({"place.country": "DE"}), "identify", "other", at)
    for among in ({"TOY.union/order"}, {"TOY.union/notice"}, {"TOY.union/order"}):
        assert fresh.fired([question], among) == [among]
    assert len(fresh._subsets) == 1


def test_eight_threads_get_the_same_answers(known: Callable[..., Facts], at: datetime) -> None:
    shared = Engine.load([DATA / "toy.cedar"])
    cases = [
        (known({"place.country": country, "capture.mount": mount}), action)
        for country in ("DE", "GB", "US")
        for mount in ("fixed", None)
        for action in ("identify", "vlm_describe", "detect")
    ]

    def answers(_: int) -> list[tuple[str, list[str], list[Any]]]:
        found = []
        for facts, action in cases:
            ruling = shared.column(facts, action, "openai", at).ruling(1)
            found.append((str(ruling.verdict), [reason.rule for reason in ruling.reasons], ruling.lifted_by()))
        return found

    with ThreadPoolExecutor(8) as pool:
        first, *rest = pool.map(answers, range(8))
    assert all(other == first for other in rest)
    assert {entry[0] for entry in first} == {"allow", "deny", "redact"}


def test_rulings_and_columns_cannot_be_changed(toy: Engine, at: datetime) -> None:
    column = toy.column(Facts(), "identify", "openai", at)
    for thing, name in ((column, "no_face"), (column.no_face, "verdict")):
        with pytest.raises(AttributeError):
            setattr(thing, name, None)
        with pytest.raises(AttributeError):
            delattr(thing, name)
    assert "deny" in repr(column.no_face)
    assert "broken" in repr(Ruling(Verdict.DENY, fault="broken"))


def test_the_public_names_are_the_ones_used_here() -> None:
    assert Column is Cell
