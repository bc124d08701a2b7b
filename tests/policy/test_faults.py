"""What the engine cannot decide is a denial that says so: an error never becomes an allow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cedarpy
import pytest

from guard.errors import GuardFault, PolicyError
from guard.facts import Facts, Verdict
from guard.policy import Engine, Ruling, packs, schema
from guard.policy.evaluation import Evaluator, Unanswered
from guard.policy.tree import FACTS_OF

DATA = Path(__file__).parent / "data"


def answer(decision: str, reasons: list[str], errors: list[str]) -> cedarpy.AuthzResult:
    return cedarpy.AuthzResult({"decision": decision, "diagnostics": {"reason": reasons, "errors": errors}})


@pytest.mark.parametrize(
    "given",
    [
        [answer("Allow", ["GUARD.permit"], ["while evaluating policy X: overflow"])],
        [answer("Allow", [], [])],
        [answer("Allow", ["GUARD.permit", "OTHER.permit"], [])],
        [answer("Deny", [], [])],
        [answer("Deny", ["GUARD.permit"], [])],
        [answer("Deny", ["NOBODY.knows"], [])],
        [answer("NoDecision", [], [])],
        [],
        ValueError("no entities"),
        TypeError("no text"),
    ],
)
def test_an_answer_that_does_not_count_is_a_denial_with_a_fault(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Engine.load([DATA / "toy.cedar"])

    def answers(*_: object) -> list[cedarpy.AuthzResult]:
        if isinstance(given, Exception):
            raise given
        return list(given)

    monkeypatch.setattr(cedarpy, "is_authorized_batch", answers)
    for action in ("detect", "identify", "vlm_describe", None):
        for faces in (0, 1, None):
            ruling = fresh.column(Facts(), action, "openai", None).ruling(faces)
            assert ruling.verdict is Verdict.DENY
            assert ruling.fault
            assert ruling.reasons == ()
            assert ruling.lifted_by() == []


def test_a_forbid_that_errors_does_not_become_an_allow(write_pack: Callable[..., Path], known: Any) -> None:
    """Cedar skips a rule that errors. The lint keeps such a rule out; should one slip in, the answer is a fault."""
    overflow = "when { resource.threshold_ppm.max + 9223372036854775807 > 0 }"
    pack = packs.parse(write_pack(overflow))
    with pytest.raises(PolicyError):
        Engine.load([pack.path])
    slipped_in = Engine([pack], packs.parse(packs.BASE, "base"))
    ruling = slipped_in.column(known(), "detect", "other", None).ruling(0)
    assert ruling.verdict is Verdict.DENY
    assert "could not be evaluated" in str(ruling.fault)


def test_a_request_that_breaks_the_schema_is_unanswered(toy: Engine, at: datetime) -> None:
    action, attributes = toy.request(Facts(), "identify", "openai", at)
    whole = toy.fired_with([(action, attributes)])
    assert whole[0]
    for broken in (
        {**attributes, "mount": [{"type": "Mount", "id": "tripod"}]},
        {**attributes, "mount": "fixed"},
        {**attributes, "at": {"from": "soon", "to": "late"}},
        {**attributes, "extra": []},
        {name: value for name, value in attributes.items() if name != "mount"},
    ):
        with pytest.raises(Unanswered):
            toy.fired_with([(action, broken)])
    with pytest.raises(Unanswered, match="no action"):
        toy.fired_with([("identfy", attributes)])
    assert issubclass(Unanswered, GuardFault)
    assert toy.fired_with([]) == []


def test_every_empty_set_is_refused_by_the_base_rules(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    action, attributes = toy.request(known(), "detect", "other", at)
    assert toy.fired_with([(action, attributes)]) == [frozenset()]

    def emptied(node: dict[str, Any], path: list[str]) -> dict[str, Any]:
        head, *rest = path
        return {**node, head: emptied(node[head], rest) if rest else []}

    for name in set(FACTS_OF) - {"held", "spent", "traits"}:
        if not name.endswith((".min", ".max", ".from", ".to")):
            assert toy.fired_with([(action, emptied(attributes, name.split(".")))]) == [{"GUARD.empty"}], name
    for name in ("held", "spent", "traits"):
        assert toy.fired_with([(action, {**attributes, name: []})]) == [frozenset()]


def test_an_entity_without_the_permit_is_not_allowed(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    rules = [policy for policy in toy.policies.values() if policy.id != "GUARD.permit"]
    bare = Evaluator(rules, schema.schema())
    with pytest.raises(Unanswered, match="Deny"):
        bare.fired([toy.request(known(), "detect", "other", at)])


def test_evidence_that_contradicts_itself_is_a_fault_and_not_a_denial_by_policy(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    facts = known({}, [{"type": "urgency_request", "issued": "2026-06-01T20:00:00Z", "delay_hours": 3}])
    ruling = toy.column(facts, "identify", "other", at).ruling(1)
    assert ruling.verdict is Verdict.DENY
    assert "delay_hours" in str(ruling.fault)
    sound = toy.column(facts, "identify", "other", at + timedelta(hours=5)).ruling(1)
    assert sound.fault is None


def test_a_ruling_with_a_fault_is_always_a_denial() -> None:
    with pytest.raises(ValueError, match="denial"):
        Ruling(Verdict.ALLOW, fault="broken")
