"""azure-core: Azure Face, operation by operation."""

from __future__ import annotations

import pickle

import pytest

import guard
from tests.integrations.azure_core.calls import (
    FACE_CALLS,
    HARMLESS_CALLS,
    NO_APPROVAL,
    identify,
    send,
)
from tests.integrations.deployments import OFFICE, POLICE

pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core.exceptions import HttpResponseError


def test_police_reach_azure_face_with_nothing_and_an_office_may(client, server, make_guard, picture):
    police, office = make_guard(POLICE), make_guard(OFFICE, name="office.toml")
    for name, (method, path, body) in FACE_CALLS.items():
        server.clear()
        with police.source().frame(picture), pytest.raises(HttpResponseError) as caught:
            send(client, method, f"/face/v1.2{path}", body)
        assert isinstance(caught.value, guard.Denied), name
        assert server.requests == 0, name
        with office.source().frame(picture):
            send(client, method, f"/face/v1.2{path}", body)
        assert server.requests == 1, name
    assert police.ledger.verdicts() == ["deny"] * len(FACE_CALLS)
    assert office.ledger.verdicts() == ["allow"] * len(FACE_CALLS)


def test_without_microsoft_s_approval_a_template_is_not_made_and_a_face_may_be_detected(
    client, server, make_guard, picture, png
):
    g = make_guard(NO_APPROVAL)
    with g.source().frame(picture):
        for query in ("", "?returnFaceId=true", "?returnFaceId=TRUE", "?returnFaceId=false&returnFaceId=true"):
            with pytest.raises(guard.Denied):
                send(client, "POST", f"/face/v1.0/detect{query}", png)
        server.assert_untouched()
        send(client, "POST", "/face/v1.0/detect?returnFaceId=false&returnFaceAttributes=blur,mask", png)
    assert (server.requests, server.bodies) == (1, [png])
    assert g.ledger.entries[-1].decision.action == "detect"


def test_an_intent_says_what_a_template_is_for_and_hides_no_emotion(client, server, make_guard, picture, png):
    g = make_guard(OFFICE)
    door = g.source()
    with door.frame(picture), door.intent("verify"):
        send(client, "POST", "/face/v1.0/detect", png)
        with pytest.raises(guard.Denied) as caught:
            send(client, "POST", "/face/v1.0/detect?returnFaceAttributes=age,emotion", png)
    assert [entry.decision.action for entry in g.ledger.entries] == ["verify", "emotion"]
    assert caught.value.decision.reasons[0].rule == "MS-FACE.attributes"
    assert server.requests == 1


def test_deleting_listing_and_other_services_pass_unrecorded(client, server, make_guard):
    g = make_guard(POLICE)
    for number, (method, path) in enumerate(HARMLESS_CALLS, 1):
        send(client, method, path, {"name": "x"} if method == "PUT" else None)
        assert (server.requests, g.ledger.entries) == (number, []), path


def test_a_refusal_reads_as_azure_s_own(client, make_guard, picture):
    with make_guard(POLICE).source().frame(picture), pytest.raises(HttpResponseError) as caught:
        identify(client)
    denied = caught.value
    assert isinstance(denied, guard.Denied)
    assert (denied.status_code, denied.reason, denied.response) == (403, "Forbidden", None)
    assert denied.error.code == "FacePolicyViolation"
    assert "MS-FACE.us-police" in denied.message
    assert "MS-FACE.us-police" in str(denied)
    assert type(pickle.loads(pickle.dumps(denied))) is guard.Denied
