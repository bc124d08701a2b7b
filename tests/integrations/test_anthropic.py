"""The anthropic library: a refused call sends nothing, a redacted one arrives with the faces covered."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import sys
from typing import Any

import pytest

import guard
from guard.integrations.anthropic import ADAPTER
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.integrations.llm import CITY, PICTURE, PNG, PNG_TEXT, is_covered
from tests.integrations.loopback import Answer, Arrived
from tests.integrations.setting_up import hooked, judged_for, serving

anthropic = pytest.importorskip("anthropic", reason="the anthropic library is not installed")

MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "a street"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def answer(request: Arrived) -> Answer:
    if b'"stream":true' in request.body.replace(b" ", b""):
        events = [
            {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
            {"type": "message_stop"},
        ]
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return Answer(text.encode(), headers={"Content-Type": "text/event-stream"})
    return Answer({"id": "x", "input_tokens": 3} if "count" in request.path else MESSAGE)


_hooks = hooked(ADAPTER)
clients: list[Any] = []
server = serving(answer, clients)
city = judged_for(CITY, "us_san_francisco")


def client_of(server: Any, kind: Any = None, **options: Any) -> Any:
    client = (kind or anthropic.Anthropic)(base_url=server.url, **({"api_key": "k"} | options))
    if not hasattr(client, "__aenter__"):
        clients.append(client)
    return client


def messages(**source: Any) -> list[dict[str, Any]]:
    source = source or {"type": "base64", "media_type": "image/png", "data": PNG_TEXT}
    return [{"role": "user", "content": [{"type": "text", "text": "who?"}, {"type": "image", "source": source}]}]


def params(**source: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": messages(**source)}


FAR = {"type": "url", "url": "https://pictures.example/one.jpg"}
REFUSED = {
    "messages": lambda c: c.messages.create(**params(**FAR)),
    "streamed": lambda c: c.messages.create(**params(**FAR), stream=True),
    "raw response": lambda c: c.messages.with_raw_response.create(**params(**FAR)),
    "count_tokens": lambda c: c.messages.count_tokens(model="m", messages=messages(**FAR)),
    "batches": lambda c: c.messages.batches.create(requests=[{"custom_id": "a", "params": params(**FAR)}]),
    "beta": lambda c: c.beta.messages.create(**params(**FAR)),
    "beta, file id": lambda c: c.beta.messages.create(**params(type="file", file_id="file_1")),
    "beta files": lambda c: c.beta.files.upload(file=("a.pdf", b"%PDF-1.4", "application/pdf")),
    "a PDF": lambda c: c.messages.create(
        model="m",
        max_tokens=9,
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK" * 30},
                    }
                ],
            }
        ],
    ),
    "post": lambda c: c.post("/v1/messages", body=params(**FAR), cast_to=object),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_sends_nothing_and_is_not_retried(call, server, city):
    with city.frame(PICTURE), pytest.raises(anthropic.PermissionDeniedError) as caught:
        call(client_of(server))
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_of_the_async_client_sends_nothing(call, server, city):
    async def main() -> None:
        async with client_of(server, anthropic.AsyncAnthropic) as client:
            await call(client)

    with city.frame(PICTURE), pytest.raises(anthropic.PermissionDeniedError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"]


def test_a_stream_helper_is_refused_where_it_is_opened(server, city):
    with city.frame(PICTURE), pytest.raises(anthropic.PermissionDeniedError):  # noqa: SIM117
        with client_of(server).messages.stream(**params(**FAR)):
            pass
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"]


def test_the_refusal_is_what_a_handler_of_the_library_expects(server, city):
    with city.frame(PICTURE), pytest.raises(anthropic.APIStatusError) as caught:
        client_of(server).messages.create(**params(**FAR))
    error = caught.value
    assert error.status_code == 403
    assert error.response.status_code == 403
    assert error.response.json()["error"]["code"] == error.code == "face_policy_violation"
    assert "anthropic" in error.message
    assert error.request_id is None
    assert type(pickle.loads(pickle.dumps(error))) is guard.Denied


CARRIED = {
    "messages": (lambda c: c.messages.create(**params()), lambda body: body["messages"]),
    "streamed": (lambda c: list(c.messages.create(**params(), stream=True)), lambda body: body["messages"]),
    "batches": (
        lambda c: c.messages.batches.create(requests=[{"custom_id": "a", "params": params()}]),
        lambda body: body["requests"][0]["params"]["messages"],
    ),
    "count_tokens": (
        lambda c: c.messages.count_tokens(model="m", messages=messages()),
        lambda body: body["messages"],
    ),
}


@pytest.mark.parametrize(("call", "find"), CARRIED.values(), ids=CARRIED.keys())
def test_faces_are_covered_on_the_way(call, find, server, city):
    with city.frame(PICTURE):
        call(client_of(server))
    assert server.requests == 1
    assert is_covered(find(server.arrived[0].json())[0]["content"][1]["source"]["data"])
    assert city.guard.ledger.verdicts() == ["redact"]


def test_a_stream_helper_carries_what_was_judged(server, city):
    with city.frame(PICTURE), client_of(server).messages.stream(**params()) as stream:
        list(stream)
    assert is_covered(server.arrived[0].json()["messages"][0]["content"][1]["source"]["data"])
    assert city.guard.ledger.verdicts() == ["redact"]


def test_async_calls_are_covered_too(server, city):
    async def main() -> None:
        async with client_of(server, anthropic.AsyncAnthropic) as client:
            await client.messages.create(**params())

    with city.frame(PICTURE):
        asyncio.run(main())
    assert is_covered(server.arrived[0].json()["messages"][0]["content"][1]["source"]["data"])
    assert city.guard.ledger.verdicts() == ["redact"]


def test_what_shows_no_face_goes_out_as_it_is(server, make_guard):
    g = make_guard(CITY, packs=["us_san_francisco"], detector=FakeDetector())
    with g.source().frame(PICTURE):
        client_of(server).messages.create(**params())
    assert server.arrived[0].json()["messages"] == messages()
    assert g.ledger.verdicts() == ["allow"]


def test_an_uploaded_picture_arrives_covered(server, city):
    server.answer = Answer({"id": "file_1", "type": "file", "filename": "a", "size_bytes": 1, "mime_type": "image/png"})
    with city.frame(PICTURE):
        client_of(server).beta.files.upload(file=("face.png", PNG, "image/png"))
    assert PNG not in server.bodies[0]
    assert b'filename="face.png"' in server.bodies[0]
    start = server.bodies[0].index(b"\x89PNG")
    assert is_covered(server.bodies[0][start:])
    assert city.guard.ledger.verdicts() == ["redact"]


def test_the_callers_objects_stay_as_they_were(server, city):
    given = params()
    before = copy.deepcopy(given)
    with city.frame(PICTURE):
        client_of(server).messages.create(**given)
    assert given == before


def test_words_are_not_touched(server, city):
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "y"},
        {"role": "user", "content": "z"},
    ]
    with city.frame(PICTURE):
        client_of(server).messages.create(model="m", max_tokens=9, messages=history)
    assert server.arrived[0].json()["messages"] == history
    assert city.guard.ledger.entries == []


def cloud_client(name: str, server: Any) -> Any:
    options = {
        "bedrock": {"aws_access_key": "a", "aws_secret_key": "b", "aws_region": "us-east-1"},
        "vertex": {"project_id": "p", "region": "r", "access_token": "t"},
    }[name]
    kind = {"bedrock": anthropic.AnthropicBedrock, "vertex": anthropic.AnthropicVertex}[name]
    pytest.importorskip({"bedrock": "botocore", "vertex": "google.auth"}[name])
    client = kind(base_url=server.url, **options)
    clients.append(client)
    return client


@pytest.mark.parametrize("name", ["bedrock", "vertex"])
def test_the_clients_for_other_clouds_are_guarded(name, server, city):
    client = cloud_client(name, server)
    with city.frame(PICTURE), pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(**params(**FAR))
    server.assert_untouched()
    with city.frame(PICTURE):
        client.messages.create(**params())
    assert is_covered(server.arrived[0].json()["messages"][0]["content"][1]["source"]["data"])
    assert [entry.decision.service for entry in city.guard.ledger.entries] == ["anthropic"] * 2
    assert city.guard.ledger.verdicts() == ["deny", "redact"]


def test_retries_after_a_failure_are_one_call(server, city):
    seen: list[int] = []

    def flaky(request: Arrived) -> Answer:
        seen.append(1)
        return Answer({}, 529, {"Retry-After-Ms": "1"}) if len(seen) < 3 else Answer(MESSAGE)

    server.answer = flaky
    with city.frame(PICTURE):
        client_of(server, max_retries=3).messages.create(**params())
    assert server.requests == 3
    assert len({request.body for request in server.arrived}) == 1
    assert city.guard.ledger.verdicts() == ["redact"]


def test_references_of_before_the_install_are_guarded(server, city):
    guard.uninstall()
    client = client_of(server)
    ways = [client.messages.create, client.beta.messages.create, client.with_options(max_retries=4).messages.create]
    watch.add([THREADS, ADAPTER])
    for way in ways:
        with city.frame(PICTURE), pytest.raises(anthropic.PermissionDeniedError):
            way(**params(**FAR))
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"] * 3


def test_what_a_middleware_puts_in_is_another_call(server, city):
    if not hasattr(anthropic.Anthropic, "middleware"):
        pytest.skip("this version has no middleware")

    def late(request: Any, call_next: Any) -> Any:
        changed = copy.copy(request)
        changed.options = copy.copy(request.options)
        changed.options.json_data = {**request.options.json_data, "messages": messages(**FAR)}
        return call_next(changed)

    client = client_of(server, middleware=[late])
    with city.frame(PICTURE), pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(**params())
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["redact", "deny"]


def test_clients_that_are_copied_or_wired_anew_send_nothing(server, city):
    """Before and after the install; whatever sends underneath."""
    http = sys.modules["httpx2" if "httpx2" in vars(anthropic._base_client) else "httpx"]

    class Sending(http.BaseTransport):
        """A transport of the caller's own."""

        def handle_request(self, request: Any) -> Any:
            sent.append(request)
            raise AssertionError("sent")

    def exchanged(client: Any) -> Any:
        client._client = http.Client(transport=Sending(), base_url=server.url)
        return client

    sent: list[Any] = []
    makers = {
        "shallow": lambda: copy.copy(client_of(server)),
        "with another transport": lambda: client_of(server).with_options(http_client=http.Client(transport=Sending())),
        "of its own transport": lambda: client_of(server, http_client=http.Client(transport=Sending())),
        "exchanged": lambda: exchanged(client_of(server)),
        "subclass": lambda: client_of(server, type("Mine", (anthropic.Anthropic,), {})),
    }
    guard.uninstall()
    stored = [make().messages.with_raw_response.create for make in makers.values()]
    watch.add([THREADS, ADAPTER])
    ways = [*stored, *(make().messages.create for make in makers.values())]
    for way in ways:
        with city.frame(PICTURE), pytest.raises(guard.Denied):
            way(**params(**FAR))
        server.assert_untouched()
    assert sent == []
    assert city.guard.ledger.verdicts() == ["deny"] * len(ways)
