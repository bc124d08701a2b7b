"""A call that could be several actions is judged as each of them, and the strictest verdict stands."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

import guard
import guard.testing
from guard.approvals import Approval, covered
from guard.gate import Call
from tests.conftest import OFFICE

# Written consent lets nobody be compared at Azure Face without an approval; detecting is free.
NO_APPROVAL = OFFICE[: OFFICE.index("[[source.evidence]]")]


def call(source, *actions, service="azure_face", payload=None, opaque=(), broken=None):
    return Call(source, actions, service, (payload,), {}, opaque, broken)


def test_the_strictest_of_the_actions_stands_and_is_named_in_the_record(make_guard):
    g = make_guard(NO_APPROVAL)
    with pytest.raises(guard.Denied) as caught:
        call(g.source(), "detect", "identify", "redact").pass_through()
    assert caught.value.decision.action == "identify"
    assert caught.value.decision.reasons
    assert len(g.ledger.entries) == 1


def test_a_call_passes_where_every_action_is_allowed(make_guard):
    g = make_guard(OFFICE)
    attempt = call(g.source(), "verify", "identify", payload="x")
    assert attempt.pass_through() == (("x",), {})
    assert g.ledger.verdicts() == ["allow"]


@pytest.mark.parametrize("intended", ["detect", "identify"])
def test_an_intent_narrows_to_one_of_the_actions(make_guard, intended):
    source = make_guard(NO_APPROVAL).source()
    with source.intent(intended):
        if intended == "identify":
            with pytest.raises(guard.Denied):
                call(source, "detect", "identify").pass_through()
        else:
            call(source, "detect", "identify").pass_through()


def test_an_intent_that_is_none_of_the_actions_changes_nothing(make_guard):
    source = make_guard(NO_APPROVAL).source()
    with source.intent("detect"), pytest.raises(guard.Denied):
        call(source, "verify", "identify").pass_through()
    with source.intent("detect"), pytest.raises(guard.Denied):
        call(source, "identify").pass_through()


def test_another_source_s_intent_changes_nothing(make_guard):
    one, other = make_guard(NO_APPROVAL, name="a.toml").source(), make_guard(OFFICE, name="b.toml").source()
    with other.intent("detect"), pytest.raises(guard.Denied):
        call(one, "detect", "identify").pass_through()


def test_what_cannot_be_looked_at_makes_the_faces_unknown(make_guard):
    g = make_guard(detector=guard.testing.FakeDetector([]))
    picture = np.full((60, 80, 3), 9, np.uint8)
    with pytest.raises(guard.Denied):
        call(g.source(), None, service="azure_openai", payload=[picture], opaque=["an S3 object"]).pass_through()
    call(g.source(), None, service="azure_openai", payload=[picture]).pass_through()
    assert [entry.decision.faces for entry in g.ledger.entries] == [None, 0]


def test_a_guard_that_is_known_to_be_broken_refuses_and_records(make_guard):
    g = make_guard(OFFICE)
    with pytest.raises(guard.GuardFault, match="a hook is gone"):
        call(g.source(), "detect", broken="a hook is gone").pass_through()
    assert g.ledger.verdicts() == ["fault"]


# ---- what a release covers


def test_an_approval_covers_its_own_service_and_actions_while_it_runs():
    assert not covered("self_hosted", ("identify",))
    with Approval("self_hosted", ("identify",), sealed=False):
        assert covered("self_hosted", ("identify",))
        assert covered("self_hosted", ("verify", "identify", "enrol"))
        assert not covered("self_hosted", ("enrol",))
        assert not covered("azure_face", ("identify",))
    assert not covered("self_hosted", ("identify",))


def test_pixels_that_were_not_seen_going_out_are_judged_again():
    for actions in ((None,), ("vlm_describe",)):
        with Approval("openai", actions, sealed=False):
            assert not covered("openai", actions)
        with Approval("openai", actions, sealed=True):
            assert covered("openai", actions)


def test_an_outer_approval_still_covers_under_an_inner_one():
    with Approval("self_hosted", ("identify",), sealed=True), Approval("azure_face", ("detect",), sealed=True):
        assert covered("self_hosted", ("identify",))
        assert covered("azure_face", ("detect",))


def test_an_approval_covers_no_other_thread_and_no_other_task():
    found: list[bool] = []

    def look() -> None:
        found.append(covered("self_hosted", ("identify",)))

    async def tasks() -> None:
        with Approval("self_hosted", ("identify",), sealed=True):
            look()
            await asyncio.create_task(_looking(look))
            await asyncio.to_thread(look)

    with Approval("self_hosted", ("identify",), sealed=True):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    asyncio.run(tasks())
    assert found == [False, True, False, False]


async def _looking(look) -> None:
    look()


def test_an_approval_that_was_left_elsewhere_covers_nothing():
    import contextvars

    approval = Approval("self_hosted", ("identify",), sealed=True)
    contextvars.copy_context().run(approval.__enter__)
    approval.__exit__()
    assert not covered("self_hosted", ("identify",))


def test_a_released_coroutine_covers_what_it_calls(make_guard):
    door = make_guard(OFFICE).source()

    async def search(_: object) -> bool:
        await asyncio.sleep(0)
        return covered("self_hosted", ("identify",))

    assert asyncio.run(door.protect(search, action="identify", service="my-matcher")("x"))
    assert not covered("self_hosted", ("identify",))
