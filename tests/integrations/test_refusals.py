"""A refusal in a library's own class: what its constructor would have set is there, at once or when it is asked for."""

from __future__ import annotations

import copy
import pickle

import pytest

import guard
from guard.integrations import as_native


class Forbidden(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def test_attributes_are_set():
    refusal = as_native(guard.Denied("no"), Forbidden, {"status": 403})
    assert isinstance(refusal, guard.Denied)
    assert refusal.status == 403


def test_attributes_that_a_function_gives_are_asked_for_once_and_only_when_needed():
    asked = []

    def attributes() -> dict[str, object]:
        asked.append(1)
        return {"status": 403, "reason": "no"}

    refusal = as_native(guard.Denied("no"), Forbidden, attributes)
    assert str(refusal) == "no"
    assert asked == []
    assert (refusal.status, refusal.reason) == (403, "no")
    assert asked == [1]
    refusal.status = 404
    assert refusal.status == 404


def test_what_is_no_attribute_is_none_of_it_either_way():
    for attributes in (None, {"status": 403}, lambda: {"status": 403}):
        refusal = as_native(guard.Denied("no"), Forbidden, attributes)
        with pytest.raises(AttributeError, match="nothing_like_it"):
            _ = refusal.nothing_like_it
        assert not hasattr(refusal, "__cause_of_nothing__")


def test_it_pickles_and_copies_to_the_guard_s_own():
    refusal = as_native(guard.GuardFault("no", where="here"), Forbidden, lambda: {"status": 403})
    for again in (pickle.loads(pickle.dumps(refusal)), copy.copy(refusal)):
        assert type(again) is guard.GuardFault
        assert str(again) == "no (here)"
