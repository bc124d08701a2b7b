"""What a call does beside the action that it could be is judged too, whatever an intent says and whoever called it."""

from __future__ import annotations

import pytest

import guard
from guard.integrations import Operation, passage
from tests.conftest import OFFICE

# At Azure Face the office may compare, and nobody may read emotions.
READING = Operation("toy.detect", "azure_face", ("detect",), also=("emotion",))


def go(operation: Operation) -> None:
    with passage(operation):
        pass


def test_the_strictest_stands(make_guard, picture):
    g = make_guard(OFFICE)
    with g.source().frame(picture), pytest.raises(guard.Denied) as caught:
        go(READING)
    assert caught.value.decision.action == "emotion"
    assert g.ledger.verdicts() == ["deny"]


def test_no_intent_narrows_it_away(make_guard, picture):
    door = make_guard(OFFICE).source()
    with door.frame(picture), door.intent("detect"), pytest.raises(guard.Denied):
        go(Operation("toy.enrol", "azure_face", ("enrol", "detect"), also=("emotion",)))


def test_a_released_call_covers_it_only_if_that_was_judged(make_guard, picture):
    g = make_guard(OFFICE)
    with g.source().frame(picture), passage(Operation("toy.detect", "azure_face", ("detect",), also=("attributes",))):
        go(Operation("toy.detect", "azure_face", ("detect",), also=("attributes",)))
        assert len(g.ledger.entries) == 1
        with pytest.raises(guard.Denied):
            go(READING)


def test_what_an_adapter_could_not_read_is_refused_inside_a_released_call_too(make_guard, picture):
    g = make_guard(OFFICE)
    garbled = Operation("toy.detect", "azure_face", ("detect",), broken="the request is garbled")
    with g.source().frame(picture), passage(Operation("toy.detect", "azure_face", ("detect",))):
        with pytest.raises(guard.GuardFault, match="garbled"):
            go(garbled)
        assert g.ledger.verdicts() == ["allow", "fault"]
