"""boto3: every face operation of Rekognition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import guard
from guard.integrations.translations import rekognition
from tests.integrations.amazon.calls import (
    FRANCE,
    call,
)
from tests.integrations.deployments import OFFICE, POLICE

pytest.importorskip("boto3", reason="needs boto3")
pytest.importorskip("botocore")


def test_every_operation_of_this_botocore_is_known(client):
    known = rekognition.KNOWN.keys() | rekognition.HARMLESS | rekognition.BY_SETTINGS.keys()
    assert set(client.meta.service_model.operation_names) <= known


def known_here(client: Any, operations: Iterable[str]) -> list[str]:
    return [name for name in operations if name in client.meta.service_model.operation_names]


def test_a_face_operation_of_an_unknown_source_reaches_nobody(client, server, make_guard):
    g = make_guard(OFFICE)
    for number, operation in enumerate(known_here(client, rekognition.KNOWN), 1):
        with pytest.raises(client.exceptions.AccessDeniedException) as caught:
            call(client, operation)
        assert isinstance(caught.value, guard.Denied)
        assert g.ledger.verdicts() == ["deny"] * number, operation
    server.assert_untouched()


def test_police_compare_no_faces_and_an_office_may(client, server, make_guard, picture):
    comparing = [name for name, (service, _) in rekognition.KNOWN.items() if service == "rekognition_compare"]
    police, office = make_guard(POLICE), make_guard(OFFICE, name="office.toml")
    for operation in known_here(client, comparing):
        server.clear()
        with police.source().frame(picture), pytest.raises(guard.Denied):
            call(client, operation)
        assert server.requests == 0, operation
        with office.source().frame(picture):
            call(client, operation)
        assert server.requests == 1, operation
    assert set(police.ledger.verdicts()) == {"deny"}
    assert set(office.ledger.verdicts()) == {"allow"}


def test_what_is_no_face_operation_passes_untouched_and_unrecorded(client, server, make_guard):
    g = make_guard(POLICE)
    for number, operation in enumerate(known_here(client, sorted(rekognition.HARMLESS)), 1):
        call(client, operation)
        assert (server.requests, g.ledger.entries) == (number, []), operation


def test_detecting_faces_is_no_recognition(client, server, make_guard, picture, png):
    g = make_guard(POLICE)
    with g.source().frame(picture):
        client.detect_faces(Image={"Bytes": png})
    assert (server.requests, g.ledger.verdicts()) == (1, ["allow"])
    assert [(entry.decision.action, entry.decision.service) for entry in g.ledger.entries] == [
        ("detect", "rekognition_other")
    ]


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("DetectFaces", {"Attributes": ["ALL"]}),
        ("DetectFaces", {"Attributes": ["DEFAULT", "EMOTIONS"]}),
        ("StartFaceDetection", {"FaceAttributes": "ALL"}),
        ("GetFaceDetection", {}),
    ],
)
def test_reading_emotions_is_more_than_detecting(client, server, make_guard, picture, operation, asked):
    g = make_guard(FRANCE)
    with g.source().frame(picture), pytest.raises(guard.Denied) as caught:
        call(client, operation, **asked)
    assert caught.value.decision.action == "emotion"
    server.assert_untouched()
    with g.source().frame(picture):
        call(client, "DetectFaces", Attributes=["DEFAULT"])
    assert server.requests == 1


def test_an_intent_does_not_hide_what_is_read_from_faces(client, server, make_guard, picture):
    door = make_guard(FRANCE).source()
    with door.frame(picture), door.intent("detect"), pytest.raises(guard.Denied):
        call(client, "DetectFaces", Attributes=["ALL"])
    server.assert_untouched()
    with door.frame(picture), door.intent("detect"):
        call(client, "GetFaceDetection")
    assert server.requests == 1


def test_a_stream_processor_that_searches_faces_is_judged_and_one_for_labels_is_not(
    client, server, make_guard, picture
):
    cam = make_guard(POLICE).source()
    with cam.frame(picture):
        with pytest.raises(guard.Denied):
            call(client, "CreateStreamProcessor", Settings={"FaceSearch": {"CollectionId": "x"}})
        with pytest.raises(guard.Denied):
            call(client, "StartStreamProcessor")
        server.assert_untouched()
        call(client, "CreateStreamProcessor", Settings={"ConnectedHome": {"Labels": ["PET"]}})
        with cam.intent("detect"):
            call(client, "StartStreamProcessor")
    assert server.requests == 2
