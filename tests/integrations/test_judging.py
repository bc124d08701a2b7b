"""An operation is judged for the source that is named, and leaves one record."""

from __future__ import annotations

import cv2
import pytest

import guard
from guard import testing
from guard.integrations import Operation
from guard.integrations.judging import attempt
from tests.conftest import OFFICE


def identify(service: str = "azure_face") -> Operation:
    return Operation("toy.identify", service, ("identify",), {"faceIds": ["one"]})


def describe(picture: object) -> Operation:
    _, data = cv2.imencode(".png", picture)
    return Operation("toy.describe", "azure_openai", (None,), {"image": data.tobytes()})


def test_the_named_source_is_judged(make_guard):
    office, police = make_guard(OFFICE, name="o.toml"), make_guard()
    with pytest.raises(guard.Denied) as caught:
        attempt(identify(), police.source()).pass_through()
    assert caught.value.decision.source == "bodycam"
    (payload,), _ = attempt(identify(), office.source()).pass_through()
    assert payload == {"faceIds": ["one"]}
    assert police.ledger.verdicts() == ["deny"]
    assert office.ledger.verdicts() == ["allow"]


def test_what_could_go_out_only_redacted_is_denied_where_nothing_can_be_rewritten(make_guard, picture):
    g = make_guard()
    (payload,), _ = attempt(describe(picture), g.source()).pass_through()
    assert payload != describe(picture).payload
    with pytest.raises(guard.Denied, match="the request cannot be rewritten"):
        attempt(describe(picture), g.source(), rewritable=False).pass_through()
    assert g.ledger.verdicts() == ["redact", "deny"]


def test_without_a_face_it_goes_out_where_nothing_can_be_rewritten(make_guard, picture):
    g = make_guard(detector=testing.FakeDetector())
    (payload,), _ = attempt(describe(picture), g.source(), rewritable=False).pass_through()
    assert payload == describe(picture).payload
    assert g.ledger.verdicts() == ["allow"]


def test_a_release_that_is_taken_back_stands_in_the_record_as_a_fault(make_guard):
    g = make_guard(OFFICE)
    call = attempt(identify(), g.source())
    call.pass_through()
    refusal = call.withdraw("nobody waited for it")
    assert isinstance(refusal, guard.GuardFault)
    assert "nobody waited for it" in str(refusal)
    assert g.ledger.verdicts() == ["fault"]


def test_what_is_broken_is_refused_and_recorded_once(make_guard):
    g = make_guard(OFFICE)
    with pytest.raises(guard.GuardFault, match="the source is not named"):
        attempt(identify(), g.unknown_source, broken="the source is not named").pass_through()
    assert g.ledger.verdicts() == ["fault"]
