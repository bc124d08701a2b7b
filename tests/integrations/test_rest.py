"""Plain REST to a known service: judged once, refused without a connection, redacted in its own format."""

from __future__ import annotations

import base64
import json
import socket
import threading
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard import multipart
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.conftest import BOX, OFFICE, POLICE, SCENE
from tests.integrations.loopback import Answer, counting_server
from tests.integrations.rest import CLIENTS, client
from tests.integrations.setting_up import cleaned, serving

BRIGHT = 60


_clean = cleaned()
server = serving(Answer({"ok": True}))


@pytest.fixture(params=CLIENTS)
def http(request: pytest.FixtureRequest) -> client:
    made = client(request.param)
    watch.add([made.adapter])
    return made


def face_where_it_is_bright(image: Any) -> list[list[int]]:
    return [BOX] if image.mean() > BRIGHT else []


@pytest.fixture
def police(make_guard, server):
    def make(service: str, text: str = POLICE) -> guard.Guard:
        text = text.replace("[[source]]", "[[source]]\nmax_age_s = 60.0").partition("[services]")[0]
        listed = f'\n[services]\n"{server.host}" = "{service}"\n'
        return make_guard(text + listed, detector=FakeDetector(face_where_it_is_bright))

    return make


def png(level: int = 200) -> bytes:
    noise = np.random.default_rng(3).integers(0, 20, (120, 160, 3), np.uint8)
    done, data = cv2.imencode(".png", noise + np.uint8(level))
    assert done
    return data.tobytes()


def url_of(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def chat(data: bytes) -> bytes:
    part = {"type": "image_url", "image_url": {"url": url_of(data)}}
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": [part]}]}).encode()


JSON = {"Content-Type": "application/json"}
AMAZON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.SearchFacesByImage"}
SEARCH = json.dumps({"CollectionId": "c", "Image": {"Bytes": base64.b64encode(png()).decode()}}).encode()

FORBIDDEN = {
    "rekognition by target": ("rekognition_compare", "/", AMAZON, SEARCH),
    "azure face identify": ("azure_face", "/face/v1.2/identify", JSON, b'{"faceIds": ["x"], "personGroupId": "g"}'),
    "azure face detect with ids": ("azure_face", "/face/v1.2/detect?returnFaceId=true", JSON, b'{"url": "http://x/y"}'),
    "azure face detect of bytes": (
        "azure_face",
        "/face/v1.2/detect?returnFaceId=true",
        {"Content-Type": "application/octet-stream"},
        png(),
    ),
    "an unknown path of a listed host": ("azure_face", "/search", JSON, b'{"vector": [0.1, 0.2]}'),
    "a picture at an address": (
        "azure_openai",
        "/openai/deployments/d/chat/completions",
        JSON,
        chat(png(0)).replace(url_of(png(0)).encode(), b"https://example.invalid/a.png"),
    ),
}


@pytest.mark.parametrize("service", sorted({service for service, *_ in FORBIDDEN.values()}))
def test_what_is_forbidden_makes_no_connection_and_is_not_tried_again(http, server, police, service):
    g = police(service)
    calls = {name: call[1:] for name, call in FORBIDDEN.items() if call[0] == service}
    for name, (path, headers, body) in calls.items():
        with g.source().frame(SCENE):
            got = http.send("POST", server.url + path, headers=headers, body=body)
        assert isinstance(got.refusal, guard.Denied), name
        server.assert_untouched()
        assert got.status == (403 if "httpx" in http.name else 0), name
    assert g.ledger.verdicts() == ["deny"] * len(calls)


def test_outside_of_every_frame_the_source_is_unknown(http, server, police):
    police("azure_face", OFFICE)
    got = http.send("POST", server.url + "/face/v1.2/identify", headers=JSON, body=b'{"faceIds": ["x"]}')
    assert isinstance(got.refusal, guard.Denied)
    assert got.refusal.decision.source is None
    server.assert_untouched()


def test_a_fault_is_a_refusal_too(http, server, police):
    g = police("azure_face", OFFICE)
    g.ledger.fail = "disk full"
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/face/v1.2/identify", headers=JSON, body=b'{"faceIds": ["x"]}')
    assert isinstance(got.refusal, guard.GuardFault)
    server.assert_untouched()


def test_with_no_guard_loaded_a_call_of_a_known_service_is_refused(http, server):
    got = http.send("POST", server.url + "/", headers=AMAZON, body=SEARCH)
    assert isinstance(got.refusal, guard.GuardFault)
    server.assert_untouched()


def test_what_is_allowed_goes_through_once_byte_for_byte(http, server, police):
    g = police("azure_face", OFFICE)
    body = b'{"faceIds":  ["x"]}'
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/face/v1.2/identify", headers=JSON, body=body)
    assert (got.status, got.refusal) == (200, None)
    assert server.bodies == [body]
    assert g.ledger.verdicts() == ["allow"]


def test_a_picture_is_redacted_in_its_own_format_and_length(http, server, police):
    g = police("azure_openai")
    body = chat(png())
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/openai/v1/chat/completions", headers=JSON, body=body)
    assert (got.status, got.refusal) == (200, None)
    arrived = server.arrived[0]
    assert int({name.lower(): value for name, value in arrived.headers.items()}["content-length"]) == len(arrived.body)
    url = arrived.json()["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,")
    covered(base64.b64decode(url.partition(",")[2]))
    assert arrived.json()["model"] == "m"
    assert g.ledger.verdicts() == ["redact"]


def covered(data: bytes) -> None:
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    original = cv2.imdecode(np.frombuffer(png(), np.uint8), cv2.IMREAD_COLOR)
    x1, y1, x2, y2 = BOX
    assert seen.shape == original.shape
    assert seen[y1:y2, x1:x2].std(axis=(0, 1)).max() < 2
    assert np.array_equal(seen[:5], original[:5])


def test_a_faceless_picture_goes_out_byte_for_byte(http, server, police):
    g = police("azure_openai")
    body = chat(png(0))
    with g.source().frame(SCENE):
        http.send("POST", server.url + "/openai/v1/chat/completions", headers=JSON, body=body)
    assert server.bodies == [body]
    assert g.ledger.verdicts() == ["allow"]


def test_text_alone_passes_untouched_and_unrecorded(http, server, police):
    g = police("azure_openai")
    body = b'{"messages": [{"role": "user", "content": "hello"}]}'
    http.send("POST", server.url + "/openai/v1/chat/completions", headers=JSON, body=body)
    http.send("GET", server.url + "/openai/v1/models")
    assert server.bodies == [body, b""]
    assert g.ledger.verdicts() == []


def test_other_hosts_are_nobody_s_business(http, server, make_guard):
    g = make_guard()
    got = http.send("POST", server.url + "/upload", body=png())
    assert got.status == 200
    assert server.bodies == [png()]
    assert g.ledger.verdicts() == []


def test_a_multipart_body_is_redacted_part_by_part(http, server, police):
    g = police("azure_openai")
    body = multipart.join(
        [
            multipart.Part(b'Content-Disposition: form-data; name="prompt"', b"hats"),
            multipart.Part(
                b'Content-Disposition: form-data; name="image"; filename="i.png"\r\nContent-Type: image/png', png()
            ),
        ],
        b"xyz",
    )
    headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/openai/v1/images/edits", headers=headers, body=body)
    assert got.status == 200, got.refusal
    prompt, image = multipart.split(server.bodies[0])
    assert prompt.content == b"hats"
    covered(image.content)
    assert g.ledger.verdicts() == ["redact"]


UNREADABLE = {
    "compressed": ({**JSON, "Content-Encoding": "gzip"}, b"\x1f\x8b" + bytes(40)),
    "no JSON": (JSON, b'{"messages": ['),
    "a key twice": (JSON, b'{"messages": [], "messages": []}'),
    "a damaged form": ({"Content-Type": "multipart/form-data; boundary=a"}, b"--b\r\n\r\nx\r\n--b--\r\n"),
    "a form of another boundary": (
        {"Content-Type": "multipart/form-data; boundary=a"},
        b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\nx\r\n--b--\r\n",
    ),
    "encoded fields": ({"Content-Type": "application/x-www-form-urlencoded"}, b"image=abc"),
}


def test_a_body_that_cannot_be_read_is_unknown(http, server, police):
    g = police("azure_openai")
    for case, (headers, body) in UNREADABLE.items():
        with g.source().frame(SCENE):
            got = http.send("POST", server.url + "/openai/v1/chat/completions", headers=headers, body=body)
        assert isinstance(got.refusal, guard.Denied), case
        server.assert_untouched()
        assert g.ledger.entries[-1].decision.faces is None


def test_an_unreadable_body_goes_out_as_it_is_where_nothing_hinges_on_it(http, server, police):
    g = police("azure_face", OFFICE)
    with g.source().frame(SCENE):
        got = http.send(
            "POST",
            server.url + "/face/v1.2/identify",
            headers={**JSON, "Content-Encoding": "gzip"},
            body=b"\x1f\x8bxyz",
        )
    assert got.status == 200, got.refusal
    assert server.bodies == [b"\x1f\x8bxyz"]


def test_a_streamed_body_is_unknown(http, server, police):
    g = police("azure_openai")
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/openai/v1/chat/completions", headers=JSON, body=iter([chat(png(0))]))
    assert isinstance(got.refusal, guard.Denied)
    server.assert_untouched()


def test_an_allowed_stream_is_sent(http, server, police):
    g = police("azure_face", OFFICE)
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/face/v1.2/identify", headers=JSON, body=iter([b'{"faceIds"', b": []}"]))
    assert got.status == 200, got.refusal
    assert server.bodies == [b'{"faceIds": []}']


def test_a_signed_body_is_not_rewritten_but_denied(http, server, police):
    g = police("azure_openai")
    headers = {**JSON, "Authorization": "AWS4-HMAC-SHA256 Credential=x"}
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/openai/v1/chat/completions", headers=headers, body=chat(png()))
        assert isinstance(got.refusal, guard.Denied)
        server.assert_untouched()
        got = http.send("POST", server.url + "/openai/v1/chat/completions", headers=headers, body=chat(png(0)))
    assert got.status == 200
    assert g.ledger.verdicts() == ["deny", "allow"]


def test_a_signed_picture_that_would_go_out_changed_is_refused(http, server, police):
    """Transparent, so readers may see different things: it would be written anew."""
    g = police("azure_openai")
    done, data = cv2.imencode(".png", np.zeros((120, 160, 4), np.uint8))
    headers = {**JSON, "Content-MD5": "abc"}
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/v1/chat/completions", headers=headers, body=chat(data.tobytes()))
    assert isinstance(got.refusal, guard.GuardFault)
    server.assert_untouched()
    assert g.ledger.verdicts() == ["fault"]


def test_a_redirect_to_a_guarded_endpoint_is_judged(http, server, police):
    g = police("azure_face")
    with counting_server() as first, g.source().frame(SCENE):
        for status in (307, 308, 301, 302, 303):
            first.answer = Answer(b"", status, {"Location": server.url + "/face/v1.2/identify"})
            got = http.send("POST", first.url + "/x", headers=JSON, body=b'{"faceIds": ["x"]}')
            if status in (307, 308):
                assert isinstance(got.refusal, guard.Denied)
                server.assert_untouched()
        assert first.requests == 5
    assert set(server.bodies) <= {b""}  # asked again without the body: nothing of a person is sent


def test_a_redirect_from_a_guarded_endpoint_carries_the_redacted_picture(http, server, police):
    g = police("azure_openai")
    server.answer = lambda arrived: (
        Answer(b"", 307, {"Location": server.url + "/v1/chat/completions?again"})
        if "again" not in arrived.path
        else Answer()
    )
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/v1/chat/completions", headers=JSON, body=chat(png()))
    assert got.status == 200, got.refusal
    assert server.requests == 2
    for body in server.bodies:
        covered(base64.b64decode(json.loads(body)["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2]))


def test_a_host_named_by_its_header_alone_is_judged(http, server, make_guard):
    g = make_guard()
    headers = {**JSON, "Host": "myface.cognitiveservices.azure.com"}
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/face/v1.2/identify", headers=headers, body=b'{"faceIds": ["x"]}')
    assert isinstance(got.refusal, guard.Denied)
    server.assert_untouched()


KNOWN = {
    "http://api.openai.com:{port}/v1/chat/completions": "openai",
    "http://API.OpenAI.com.:{port}//v1//chat/completions": "openai",
    "http://user:secret@api.openai.com:{port}/v1/chat%2Fcompletions": "openai",
    "http://res.openai.azure.com:{port}/openai/deployments/d/chat/completions?api-version=1": "azure_openai",
    "http://res.cognitiveservices.azure.com:{port}/openai/v1/responses": "azure_openai",
    "http://res.services.ai.azure.com:{port}/models/chat/completions": "azure_openai",
    "http://res.services.ai.azure.com:{port}/anthropic/v1/messages": "anthropic",
    "http://api.anthropic.com:{port}/v1/messages": "anthropic",
    "http://generativelanguage.googleapis.com:{port}/v1beta/models/gemini:generateContent": "google",
    "http://us-east1-aiplatform.googleapis.com:{port}/v1/p/publishers/anthropic/models/c:rawPredict": "anthropic",
    "http://bedrock-runtime.us-east-1.amazonaws.com:{port}/model/anthropic.claude-3/invoke": "anthropic",
    "http://bedrock-runtime.us-east-1.amazonaws.com:{port}/model/amazon.nova-lite-v1%3A0/invoke": "other",
}


def test_known_hosts_are_judged_wherever_they_resolve_to(http, server, make_guard, monkeypatch):
    """Names resolve to loopback here; where a request gets through, it reaches the counting server."""
    g = make_guard()
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: resolve("127.0.0.1", *rest, **named))
    port = server.host.partition(":")[2]
    part = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    body = json.dumps({"messages": [{"content": [part]}]}).encode()
    for url, service in KNOWN.items():
        server.clear()
        g.ledger.entries.clear()
        with g.source().frame(SCENE):
            got = http.send("POST", url.format(port=port), headers=JSON, body=body)
        assert [entry.decision.service for entry in g.ledger.entries] == [service], url
        assert server.requests == (0 if got.refusal else 1)
    g.ledger.entries.clear()
    assert http.send("POST", f"http://example.com:{port}/v1/chat/completions", headers=JSON, body=body).status == 200
    assert g.ledger.verdicts() == []


def test_an_intent_narrows_what_an_unknown_interface_could_be(http, server, police):
    g = police("self_hosted")
    source = g.source()
    with source.frame(SCENE), source.intent("detect"):
        got = http.send("POST", server.url + "/search", headers=JSON, body=b'{"image": "x"}')
    assert got.status == 200, got.refusal
    assert server.requests == 1


def test_a_call_that_was_released_above_is_not_judged_again(http, server, police):
    g = police("azure_openai")
    source = g.source()
    from guard.integrations import Operation, passage

    body = chat(png())
    operation = Operation("sdk", "azure_openai", (None,), {"body": url_of(png())})
    with source.frame(SCENE), passage(operation):
        if "async" in http.name or http.name == "aiohttp":
            pytest.skip("asyncio.run starts a task of its own, which no release covers")
        http.send("POST", server.url + "/v1/chat/completions", headers=JSON, body=body)
        with source.intent("vlm_describe"):
            http.send("POST", server.url + "/v1/chat/completions", headers=JSON, body=body)
    assert server.bodies == [body] * 2
    assert g.ledger.verdicts() == ["redact"]


def test_an_intent_around_both_fences_leaves_one_record(http, server, police):
    g = police("azure_openai", OFFICE)
    source = g.source()
    from guard.integrations import Operation, passage

    if "async" in http.name or http.name == "aiohttp":
        pytest.skip("asyncio.run starts a task of its own, which no release covers")
    operation = Operation("sdk", "azure_openai", (None,), {"body": url_of(png())})
    with source.frame(SCENE), source.intent("vlm_describe"), passage(operation):
        http.send("POST", server.url + "/v1/chat/completions", headers=JSON, body=chat(png()))
    assert len(g.ledger.entries) == 1
    assert server.requests == 1


def test_a_thread_started_inside_a_release_is_judged_on_its_own(http, server, police):
    g = police("azure_face", OFFICE)
    from guard.integrations import Operation, passage

    got = []
    operation = Operation("sdk", "azure_face", ("identify",), {})
    with g.source().frame(SCENE), passage(operation):
        thread = threading.Thread(
            target=lambda: got.append(
                http.send("POST", server.url + "/face/v1.2/identify", headers=JSON, body=b'{"faceIds": ["x"]}')
            )
        )
        thread.start()
        thread.join()
    assert isinstance(got[0].refusal, guard.Denied)
    server.assert_untouched()


def test_what_a_translation_stumbles_over_is_refused(http, server, police, monkeypatch):
    g = police("azure_openai")
    monkeypatch.setattr("guard.integrations.endpoints.openai.translate", lambda *a, **k: 1 / 0)
    with g.source().frame(SCENE):
        got = http.send("POST", server.url + "/v1/chat/completions", headers=JSON, body=b"{}")
    assert isinstance(got.refusal, guard.GuardFault)
    server.assert_untouched()
    assert g.ledger.verdicts() == ["fault"]
