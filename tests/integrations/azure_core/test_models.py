"""azure-core: pictures for models behind Azure, and what cannot be looked at."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

import guard
from guard.integrations.azure import ADAPTER
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.integrations.azure_core.calls import (
    CHAT,
    File,
    assert_face_is_covered,
    chat,
    identify,
    picture_of,
    send,
    stream_of,
)
from tests.integrations.deployments import OFFICE, POLICE

core = pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core.pipeline import Pipeline  # noqa: E402
from azure.core.pipeline.transport import RequestsTransport  # noqa: E402
from azure.core.rest import HttpRequest  # noqa: E402


@pytest.mark.parametrize("kind", ["json", "text", "bytes", "generator", "file"])
def test_a_picture_for_a_model_goes_out_with_its_faces_covered(client, server, make_guard, picture, png, kind):
    body = chat(png)
    text = json.dumps(body)
    given: dict[str, Any] = {
        "json": {"json": body},
        "text": {"content": text},
        "bytes": {"content": text.encode()},
        "generator": {"content": stream_of(text.encode())},
        "file": {"content": File(text.encode())},
    }[kind]
    request = HttpRequest("POST", server.url + CHAT, headers={"Content-Type": "application/json"}, **given)
    g = make_guard(POLICE)
    before = request.content
    with g.source().frame(picture):
        client.send_request(request)
    (arrived,) = server.arrived
    data = picture_of(arrived.body)
    assert data.startswith(b"\x89PNG")
    assert_face_is_covered(data, picture)
    assert arrived.json()["messages"][0]["content"][0] == body["messages"][0]["content"][0]
    assert g.ledger.verdicts() == ["redact"]
    assert g.ledger.entries[0].decision.service == "azure_openai"
    assert request.content is before
    assert body == chat(png)


def test_a_picture_without_faces_goes_out_as_it_is(client, server, make_guard, picture, png):
    g = make_guard(POLICE, detector=FakeDetector())
    request = HttpRequest("POST", server.url + CHAT, json=chat(png))
    with g.source().frame(picture):
        client.send_request(request)
    assert g.ledger.verdicts() == ["allow"]
    assert server.bodies == [request.content.encode()]


def test_a_conversation_in_words_passes_unrecorded(client, server, make_guard):
    g = make_guard(POLICE)
    send(client, "POST", CHAT, {"messages": [{"role": "user", "content": "see https://example.com/a.jpg"}]})
    assert (server.requests, g.ledger.entries) == (1, [])


@pytest.mark.parametrize("what", ["address", "compressed", "damaged", "twice", "form"])
def test_what_cannot_be_looked_at_is_not_handed_to_a_model(client, server, make_guard, picture, png, what):
    text = json.dumps(chat(png)).encode()
    headers = {"Content-Type": "application/json"}
    given: dict[str, Any] = {
        "address": {"content": re.sub(rb"data:[^\"]+", b"https://example.com/a.jpg", text)},
        "compressed": {"content": gzip.compress(text, mtime=0)},
        "damaged": {"content": text[:-1]},
        "twice": {"content": b'{"messages": [],' + text[1:]},
        "form": {"files": {"image": png}},
    }[what]
    if what == "compressed":
        headers["Content-Encoding"] = "gzip"
    with make_guard(POLICE).source().frame(picture), pytest.raises(guard.Denied):
        client.send_request(HttpRequest("POST", server.url + CHAT, headers=headers, **given))
    server.assert_untouched()


def test_pictures_that_are_stored_go_where_they_are_sent(make_guard, picture, png):
    """The account's own storage is no model, whatever its folders are called."""
    watch.add([ADAPTER])
    sent = []

    class Kept(RequestsTransport):
        def send(self, request: Any, **kwargs: Any) -> Any:
            sent.append(request.content)
            return None

    make_guard(POLICE)
    url = "https://account.blob.core.windows.net/openai/deployments/face/v1.2/detect"
    Pipeline(Kept()).run(HttpRequest("PUT", url, content=png))
    assert sent == [png]


VISION = "/computervision/imageanalysis:analyze?api-version=2024-02-01&features="


def test_a_described_picture_is_covered_and_its_tags_are_no_description(client, server, make_guard, picture, png):
    g = make_guard(POLICE)
    with g.source().frame(picture):
        send(client, "POST", f"{VISION}tags,read,people", png)
        assert (server.bodies, g.ledger.entries) == ([png], [])
        send(client, "POST", f"{VISION}tags,caption", png)
        with pytest.raises(guard.Denied):
            send(client, "POST", f"{VISION}caption", {"url": "https://example.com/a.jpg"})
    assert_face_is_covered(server.bodies[1], picture)
    assert g.ledger.verdicts() == ["redact", "deny"]
    assert {entry.decision.service for entry in g.ledger.entries} == {"microsoft_ai"}


@pytest.mark.parametrize(
    "path", ["/vision/v3.2/models/celebrities/analyze", "/vision/v3.2/analyze?visualFeatures=Tags&details=Celebrities"]
)
def test_celebrities_are_not_recognised(client, server, make_guard, picture, png, path):
    with make_guard(OFFICE).source().frame(picture), pytest.raises(guard.Denied) as caught:
        send(client, "POST", path, png)
    assert caught.value.decision.action == "identify"
    server.assert_untouched()


def test_a_request_that_cannot_be_read_is_refused_and_recorded(client, server, make_guard, picture, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("guard.integrations.translations.azure_face.translate", broken)
    g = make_guard(OFFICE)
    with g.source().frame(picture), pytest.raises(guard.GuardFault, match="no idea"):
        identify(client)
    assert g.ledger.verdicts() == ["fault"]
    server.assert_untouched()
