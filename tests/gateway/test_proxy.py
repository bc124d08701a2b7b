"""The reverse proxy: a denied call sends nothing, a released one arrives once, a redacted picture arrives redacted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from guard.testing import FakeDetector
from tests.conftest import BOX, OFFICE, POLICE
from tests.gateway import requests as made
from tests.gateway.running import HEADER, TRUSTED, ask, running, send_raw, settings, upstream
from tests.guard.test_reload import RULE
from tests.integrations.loopback import Answer, CountingServer, counting_server

BOTH = POLICE + OFFICE[OFFICE.index("[[source]]") : OFFICE.index("[services]")].replace(
    "[[source]]", '[[source]]\noperator = { type = "private", acts_for = "self", country = "SG" }'
)
"""The police's body camera and an office door in one file."""


@pytest.fixture
def service() -> Iterator[CountingServer]:
    with counting_server(Answer({"done": True}, headers={"x-of-the-service": "yes"})) as server:
        yield server


@pytest.fixture
def proxy(make_guard, service) -> Any:
    """A proxy to the service: `proxy(shape)`, a context manager that gives its address and its guard."""
    from contextlib import contextmanager

    @contextmanager
    def make(shape: str, more: str = "", match: str = "127.0.0.1", **options: Any) -> Iterator[tuple[str, Any]]:
        keys = options.pop("settings", {})
        g = make_guard(BOTH + settings(**keys) + TRUSTED + upstream(shape, service.url, match, more), **options)
        with running(g) as (address,):
            yield address, g

    return make


# ---- denied


@pytest.mark.parametrize(
    ("shape", "target", "headers", "body"),
    [
        ("rekognition", "/", made.AMAZON, made.search()),
        ("azure_face", made.IDENTIFY, {}, made.identify()),
        ("azure_openai", "/openai/deployments/x/chat/completions?api-version=1", {}, made.chat("https://a.b/c.jpg")),
    ],
)
def test_a_denied_call_reaches_no_service(proxy, service, shape, target, headers, body):
    with proxy(shape) as (address, g):
        reply = ask(address, target, body, headers, source="bodycam")
        assert (reply.status, reply.decision) == (403, "deny")
        assert reply.headers["x-guard-record"] == g.ledger.entries[0].id
        service.assert_untouched()
        assert g.ledger.verdicts() == ["deny"]
        assert g.ledger.entries[0].decision.source == "bodycam"


def test_the_refusal_speaks_the_service_s_own_language(proxy):
    with proxy("rekognition") as (address, _):
        reply = ask(address, "/", made.search(), made.AMAZON, source="bodycam")
        assert reply.json()["__type"] == "AccessDeniedException"
        assert "bodycam" in reply.json()["Message"]
        assert reply.headers["content-type"] == "application/x-amz-json-1.1"
    with proxy("azure_face") as (address, _):
        error = ask(address, made.IDENTIFY, made.identify(), source="bodycam").json()["error"]
        assert error["code"] == "FacePolicyViolation"
        assert error["message"]
    with proxy("openai") as (address, _):
        reply = ask(address, made.CHAT, b"[", {"content-type": "application/json"}, source="bodycam")
        assert reply.json()["error"]["code"] == "face_policy_violation"
        assert reply.headers["x-should-retry"] == "false"


# ---- released


def test_an_allowed_call_goes_through_once_as_it_was(proxy, service):
    with proxy("azure_face") as (address, g):
        body = json.dumps(made.identify(), indent=3).encode()
        headers = {"content-type": "application/json", "ocp-apim-subscription-key": "k", "x-guard-decision": "allow"}
        reply = ask(address, f"{made.IDENTIFY}?a=%20b", body, headers, source="door")
    assert (reply.status, reply.decision) == (200, "allow")
    assert reply.json() == {"done": True}
    assert reply.headers["x-of-the-service"] == "yes"
    (arrived,) = service.arrived
    assert arrived.body == body
    assert arrived.path == f"{made.IDENTIFY}?a=%20b"
    assert arrived.headers["ocp-apim-subscription-key"] == "k"
    assert arrived.headers["host"] == address
    assert not {name.lower() for name in arrived.headers} & {HEADER, "x-guard-decision"}
    assert g.ledger.verdicts() == ["allow"]


def test_the_picture_that_goes_out_is_redacted_and_the_length_is_right(proxy, service):
    with proxy("azure_openai") as (address, g):
        reply = ask(address, made.CHAT, made.chat(), source="bodycam")
    assert (reply.status, reply.decision) == (200, "redact")
    (arrived,) = service.arrived
    assert int(arrived.headers["content-length"]) == len(arrived.body)
    got, before = made.sent_pixels(arrived.json()), made.picture()
    left, top, right, bottom = BOX
    assert not np.array_equal(got[top:bottom, left:right], before[top:bottom, left:right])
    assert np.array_equal(got[100:], before[100:])
    assert arrived.json()["messages"][0]["content"][0] == made.chat()["messages"][0]["content"][0]
    assert g.ledger.verdicts() == ["redact"]


def test_a_picture_without_a_face_goes_out_byte_for_byte(proxy, service):
    with proxy("azure_openai", detector=FakeDetector()) as (address, g):
        body = json.dumps(made.chat()).encode()
        assert ask(address, made.CHAT, body, {"content-type": "application/json"}, source="bodycam").status == 200
    assert service.bodies == [body]
    assert g.ledger.verdicts() == ["allow"]


def test_a_signed_body_is_not_rewritten_so_what_needs_redaction_is_denied(make_guard, service, monkeypatch):
    """No operation of Rekognition hinges on pixels today; one that did would be denied."""
    from guard.gateway import translating
    from guard.integrations import Operation
    from guard.integrations.bodies import read_body
    from guard.integrations.endpoints import Crossing

    asked = Operation("rekognition.Describe", "azure_openai", (None,), {("Image", "Bytes"): made.base64_of(made.png())})
    found = Crossing("azure_openai", asked, read_body(json.dumps(made.search()).encode(), made.AMAZON))
    monkeypatch.setattr(translating, "recognise", lambda request: found)
    g = make_guard(POLICE + TRUSTED + upstream("rekognition", service.url))
    with running(g) as (address,):
        reply = ask(address, "/", made.search(), made.AMAZON, source="bodycam")
    assert (reply.status, reply.decision) == (403, "deny")
    assert "cannot be rewritten" in reply.json()["Message"]
    service.assert_untouched()


def test_what_is_no_guarded_call_passes_untouched_and_unrecorded(proxy, service):
    with proxy("rekognition") as (address, g):
        reply = ask(
            address,
            "/",
            {"CollectionId": "staff"},
            {**made.AMAZON, "x-amz-target": "RekognitionService.ListFaces"},
            source="bodycam",
        )
    assert (reply.status, reply.decision) == (200, "untouched")
    with proxy("openai") as (address, h):
        text = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        assert ask(address, made.CHAT, text, source="bodycam").decision == "untouched"
        assert ask(address, "/v1/models", method="GET", source="bodycam").decision == "untouched"
    assert service.requests == 3
    assert g.ledger.entries == h.ledger.entries == []


def test_a_prefix_names_the_upstream_and_is_taken_off(make_guard, service):
    config = upstream("openai", f"{service.url}/base", "/ai") + upstream("azure_face", service.url, "/ai/faces")
    with running(make_guard(BOTH + TRUSTED + config)) as (address,):
        text = {"model": "m", "messages": []}
        assert ask(address, "/ai/v1/chat/completions?x=1", text, source="door").status == 200
        assert ask(address, "/ai/faces/face/v1.0/identify", made.identify(), source="door").status == 200
        reply = ask(address, "/air/v1/chat/completions", text, source="door")
    assert (reply.status, reply.decision) == (403, "fault")
    assert [arrived.path for arrived in service.arrived] == ["/base/v1/chat/completions?x=1", "/face/v1.0/identify"]
    assert {arrived.headers["Host"] for arrived in service.arrived} == {service.host}


def test_an_answer_is_streamed_as_it_comes(make_guard):
    """The first event arrives while the service still holds the last one back."""
    import socket
    import threading

    may_end = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n")
            assert may_end.wait(20)
            peer.sendall(b"data: 2\n\n")

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with running(make_guard(BOTH + TRUSTED + upstream("openai", url))) as (address,):
        from tests.gateway.running import connection

        client = connection(address)
        client.request("POST", made.CHAT, b"{}", {"content-type": "application/json", HEADER: "door"})
        answer = client.getresponse()
        assert answer.read1(65536) == b"data: 1\n\n"
        may_end.set()
        assert answer.read() == b"data: 2\n\n"
        client.close()
    thread.join()
    listening.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
def test_an_upstream_that_is_down_is_a_502_that_says_what_was_decided(make_guard, url):
    with running(make_guard(BOTH + TRUSTED + upstream("azure_face", url))) as (address,):
        reply = ask(address, made.IDENTIFY, made.identify(), source="door")
    assert (reply.status, reply.decision) == (502, "allow")


def test_a_redirect_is_handed_to_the_client_and_not_followed(proxy, service):
    service.answer = Answer({}, 307, {"location": "http://127.0.0.1:9/elsewhere"})
    with proxy("azure_face") as (address, _):
        reply = ask(address, made.IDENTIFY, made.identify(), source="door")
    assert (reply.status, reply.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")
    assert service.requests == 1


# ---- what could be read in two ways


def body_of(pairs: str) -> bytes:
    return pairs.encode()


@pytest.mark.parametrize(
    ("shape", "target", "headers", "body", "method"),
    [
        ("rekognition", "/", {"content-type": "application/x-amz-json-1.1"}, b"{}", "POST"),
        ("rekognition", "/", {**made.AMAZON, "x-amz-target": "Other.SearchFaces"}, b"{}", "POST"),
        ("rekognition", "/service/RekognitionService/operation/SearchFaces", made.AMAZON, b"{}", "POST"),
        ("rekognition", "/", made.LABELS, b'{"a": 1, "a": 2}', "POST"),
        ("rekognition", "/", made.LABELS, b"[]", "POST"),
        ("rekognition", "/", made.LABELS, b"\xff\xfe{", "POST"),
        ("rekognition", "/", {**made.LABELS, "content-encoding": "gzip"}, gzip.compress(b"{}", mtime=0), "POST"),
        ("rekognition", "/", {**made.LABELS, "connection": "close, x-amz-target"}, b"{}", "POST"),
        ("rekognition", "/", {**made.LABELS, "upgrade": "websocket", "connection": "upgrade"}, b"", "POST"),
        ("azure_face", "/x/../face/v1.0/detect", {}, made.png(), "POST"),
        ("azure_face", "//face/v1.0/detect", {}, made.png(), "POST"),
        ("azure_face", "/face/v1.0%2Fdetect", {}, made.png(), "POST"),
        ("azure_face", "/%66ace/v1.0/detect", {}, made.png(), "POST"),
        ("azure_face", "/face/v1.0/detect%", {}, made.png(), "POST"),
        ("openai", made.CHAT, {"content-type": "application/json", "x-http-method-override": "GET"}, b"{}", "POST"),
        ("openai", "/v1/realtime?model=m", {"upgrade": "websocket", "connection": "Upgrade"}, b"", "GET"),
        ("openai", made.CHAT, {"content-type": "application/json"}, b'{"messages": [', "POST"),
        ("openai", made.CHAT, {"content-type": "application/json"}, b"[" * 100_000, "POST"),
        ("openai", "/v1/models", {}, b"", "TRACE"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(proxy, service, shape, target, headers, body, method):
    with proxy(shape) as (address, _):
        reply = ask(address, target, body, headers, method=method, source="door")
        assert (reply.status, reply.decision) == (403, "fault")
        service.assert_untouched()


def test_a_refusal_of_what_cannot_be_read_is_recorded_as_the_worst_it_could_be(proxy):
    with proxy("rekognition") as (address, g):
        ask(address, "/", b"[]", made.LABELS, source="door")
    (entry,) = g.ledger.entries
    assert (entry.decision.action, entry.fault is not None) == ("identify", True)


def test_headers_given_twice_and_broken_framing_reach_no_service(proxy, service):
    body = b"{}"
    head = f"POST {made.CHAT} HTTP/1.1\r\nconnection: close\r\n{HEADER}: door\r\n"
    with proxy("openai") as (address, _):
        for lines in (
            "host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n",
            "host: 127.0.0.1\r\nhost: elsewhere\r\ncontent-type: application/json\r\ncontent-length: 2\r\n",
            "host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\ncontent-length: 3\r\n",
            "host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n",
            "content-type: application/json\r\ncontent-length: 2\r\n",
        ):
            got = send_raw(address, (head + lines + "\r\n").encode() + body)
            assert got.split(b" ")[1] in (b"400", b"403"), lines
        service.assert_untouched()


def test_a_picture_in_a_form_arrives_redacted_and_a_damaged_form_not_at_all(proxy, service):
    boundary = {"content-type": "multipart/form-data; boundary=x"}
    form = (
        b'--x\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + made.png() + b"\r\n--x--\r\n"
    )
    with proxy("azure_openai") as (address, g):
        damaged = ask(address, "/openai/deployments/x/images/edits", form[2:], boundary, source="bodycam")
        assert (damaged.status, damaged.decision) == (403, "fault")
        service.assert_untouched()
        reply = ask(address, "/openai/deployments/x/images/edits", form, boundary, source="bodycam")
        assert (reply.status, reply.decision) == (200, "redact")
    assert g.ledger.verdicts() == ["fault", "redact"]
    (arrived,) = service.arrived
    assert arrived.headers["content-type"] == boundary["content-type"]
    assert int(arrived.headers["content-length"]) == len(arrived.body)
    head, _, rest = arrived.body.partition(b"\r\n\r\n")
    got = cv2.imdecode(np.frombuffer(rest.removesuffix(b"\r\n--x--\r\n"), np.uint8), cv2.IMREAD_COLOR)
    left, top, right, bottom = BOX
    assert not np.array_equal(got[top:bottom, left:right], made.picture()[top:bottom, left:right])
    assert np.array_equal(got[100:], made.picture()[100:])


def test_a_picture_in_a_body_that_claims_to_be_something_else_does_not_arrive_as_it_was(proxy, service):
    with proxy("azure_openai") as (address, _):
        for kind in ("text/plain", "application/octet-stream", "application/x-www-form-urlencoded"):
            body = json.dumps(made.chat()).encode()
            ask(address, made.CHAT, body, {"content-type": kind}, source="bodycam")
    for arrived in service.bodies:
        assert not np.array_equal(made.sent_pixels(json.loads(arrived)), made.picture())


OTHERS = [
    (
        "anthropic",
        "/v1/messages",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": None}}
                    ],
                }
            ]
        },
    ),
    (
        "google",
        "/v1beta/models/m:generateContent",
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": None}}]}]},
    ),
    (
        "bedrock",
        "/model/anthropic.claude/invoke",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": None}}
                    ],
                }
            ]
        },
    ),
]


def with_data(node: Any, data: str) -> Any:
    if isinstance(node, dict):
        return {key: data if value is None else with_data(value, data) for key, value in node.items()}
    return [with_data(item, data) for item in node] if isinstance(node, list) else node


def data_in(node: Any) -> str:
    if isinstance(node, dict):
        return node["data"] if "data" in node else next(filter(None, map(data_in, node.values())), "")
    return next(filter(None, map(data_in, node)), "") if isinstance(node, list) else ""


@pytest.mark.parametrize(("shape", "target", "body"), OTHERS, ids=[other[0] for other in OTHERS])
def test_other_shapes_are_judged_too(make_guard, service, tmp_path, shape, target, body):
    """Where naming people is forbidden, a picture with a face goes out redacted; a signed request does not go out."""
    (tmp_path / "house.cedar").write_text(RULE.format(name="vlm", action="vlm_identify", day="2026-11-01"))
    sent = made.base64_of(made.png())
    g = make_guard('[policy]\npacks = ["house.cedar"]\n' + OFFICE + TRUSTED + upstream(shape, service.url))
    with running(g) as (address,):
        reply = ask(address, target, with_data(body, sent), source="door")
    expected = "deny" if shape == "bedrock" else "redact"
    assert reply.decision == expected
    assert g.ledger.verdicts() == [expected]
    assert service.requests == (expected == "redact")
    for arrived in service.arrived:
        assert data_in(arrived.json()) not in ("", sent)


# ---- shadow mode


def test_in_shadow_mode_a_forbidden_request_goes_out_as_it_came_and_its_answer_says_so(make_guard, service):
    text = BOTH + settings() + TRUSTED + upstream("azure_face", service.url)
    g = make_guard('[policy]\nmode = "shadow"\n' + text)
    with running(g) as (address,):
        reply = ask(address, made.IDENTIFY, made.identify(), source="bodycam")
        nameless = ask(address, made.IDENTIFY, made.identify())
    assert (reply.status, reply.decision) == (nameless.status, nameless.decision) == (200, "shadow")
    assert service.requests == 2
    assert [(entry.verdict, entry.fault is not None, entry.enforced) for entry in g.ledger.entries] == [
        ("deny", False, False),
        ("deny", True, False),
    ]
