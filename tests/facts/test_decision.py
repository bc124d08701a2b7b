"""Decisions, reasons and faces: immutable, exact in JSON, and never an allow by mistake."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from guard.facts import Decision, Faces, Facts, Reason, Verdict, strictest

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
REASON = Reason("MS-FACE.limited", "microsoft_azure_face", "Title", "Cite", "text", (AT, None))


def decision(**changes: Any) -> Decision:
    values: dict[str, Any] = {
        "id": "01",
        "at": AT,
        "source": "bodycam",
        "action": "identify",
        "service": "azure_face",
        "verdict": Verdict.DENY,
        "faces": None,
        "reasons": (REASON,),
        "facts": Facts(),
        "valid_until": AT.replace(year=2027),
        "fault": None,
        "latency_us": 12.5,
        "policy_digest": "d",
    }
    return Decision(**{**values, **changes})


def test_the_json_is_that_of_the_contract() -> None:
    said = decision(explain=lambda: ["subject.consent", ["warrant", "court_order"]]).to_json()
    assert said.pop("facts") == Facts().to_json()
    assert said == {
        "schema": "guard.decision/1",
        "id": "01",
        "at": "2026-06-01T12:00:00Z",
        "source": "bodycam",
        "action": "identify",
        "service": "azure_face",
        "verdict": "deny",
        "faces": None,
        "lifted_by": ["subject.consent", ["warrant", "court_order"]],
        "reasons": [
            {
                "rule": "MS-FACE.limited",
                "pack": "microsoft_azure_face",
                "title": "Title",
                "cite": "Cite",
                "effective": ["2026-06-01T12:00:00Z", None],
            }
        ],
        "valid_until": "2027-06-01T12:00:00Z",
        "fault": None,
        "latency_us": 12.5,
    }


def test_a_decision_without_a_believed_clock_has_no_instant() -> None:
    said = decision(at=None, valid_until=None).to_json()
    assert said["at"] is None
    assert said["valid_until"] is None


def test_what_would_lift_it_is_computed_once_and_handed_out_as_a_copy() -> None:
    calls: list[int] = []

    def explain() -> list[Any]:
        calls.append(1)
        return ["a", ["b", "c"]]

    made = decision(explain=explain)
    assert calls == []
    made.lifted_by[1].append("d")  # type: ignore[union-attr]
    assert made.lifted_by == ["a", ["b", "c"]]
    assert calls == [1]


@pytest.mark.parametrize(
    "changes", [{"verdict": Verdict.ALLOW}, {"verdict": Verdict.REDACT}, {"fault": "detector failed"}]
)
def test_only_a_denial_by_policy_is_lifted(changes: dict[str, Any]) -> None:
    assert decision(explain=lambda: ["a"], **changes).lifted_by == []
    assert decision().lifted_by == []


def test_a_verdict_is_one_of_three_and_a_fault_is_a_denial() -> None:
    for verdict in ("allow", None, True):
        with pytest.raises(TypeError, match="no verdict"):
            decision(verdict=verdict)
    with pytest.raises(ValueError, match="denial"):
        decision(verdict=Verdict.ALLOW, fault="detector failed")


def test_a_decision_survives_a_pickle_with_its_explanation() -> None:
    made = decision(explain=lambda: ["a"])
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.lifted_by == ["a"]
    assert again.to_json() == made.to_json()


def test_decisions_and_reasons_cannot_be_changed() -> None:
    for thing, name in ((decision(), "verdict"), (REASON, "rule")):
        with pytest.raises(AttributeError):
            setattr(thing, name, Verdict.ALLOW)
        with pytest.raises(AttributeError):
            delattr(thing, name)
    assert replace(REASON, rule="X").rule == "X"


def test_the_stricter_verdict_stands() -> None:
    assert strictest([Verdict.ALLOW, Verdict.REDACT]) is Verdict.REDACT
    assert strictest([Verdict.DENY, Verdict.REDACT, Verdict.ALLOW]) is Verdict.DENY
    assert strictest([Verdict.ALLOW]) is Verdict.ALLOW
    with pytest.raises(ValueError):  # noqa: PT011 - max() of nothing
        strictest([])


def faces(count: int) -> Faces:
    return Faces(np.ones((count, 4), np.float32), np.ones(count, np.float32))


def test_faces_count_their_boxes_and_are_read_only() -> None:
    seen = faces(2)
    assert len(seen) == 2
    assert repr(seen) == "Faces(2)"
    with pytest.raises(ValueError, match="read-only"):
        seen.boxes[0, 0] = 5
    for change in (lambda: setattr(seen, "boxes", None), lambda: delattr(seen, "scores")):
        with pytest.raises(AttributeError):
            change()


def test_faces_are_equal_where_they_say_the_same() -> None:
    assert faces(2) == faces(2)
    assert hash(faces(2)) == hash(faces(2))
    assert faces(2) != faces(3)
    assert (faces(2) == 2) is False
    assert pickle.loads(pickle.dumps(faces(1))) == faces(1)


def test_faces_of_the_wrong_shape_or_type_are_refused() -> None:
    with pytest.raises(ValueError, match="N x 4"):
        Faces(np.ones((2, 4), np.float32), np.ones(3, np.float32))
    with pytest.raises(ValueError, match="N x 4"):
        Faces(np.ones((2, 5), np.float32), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="float32"):
        Faces(np.ones((2, 4), np.float64), np.ones(2, np.float32))


def test_decisions_are_equal_by_what_they_say() -> None:
    assert decision() == decision(explain=lambda: ["warrant"])
    assert decision() != decision(latency_us=1e6)
    assert decision().__eq__("a decision") is NotImplemented
    assert len({decision(), decision()}) == 1
