"""The openai library: a refused call sends nothing, a redacted one arrives with the faces covered."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

import guard
from guard.integrations.openai import ADAPTER
from guard.testing import FakeDetector
from tests.conftest import OFFICE
from tests.integrations.llm import PATIENT, PICTURE, PNG_TEXT, PNG_URL, is_covered
from tests.integrations.openai_calls import HTTPS, answer, azure, clients, inputs, messages, plain
from tests.integrations.setting_up import hooked, judged_for, serving

openai = pytest.importorskip("openai", reason="the openai library is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

SERVICES = OFFICE.replace("[services]\n", '[services]\n"HOST" = "self_hosted"\n')


_hooks = hooked(ADAPTER)
server = serving(answer, clients)
police = judged_for(PATIENT, "microsoft_azure_openai_2024")


@pytest.fixture
def blind(make_guard):
    """A police source whose detector breaks."""
    return make_guard(
        packs=["microsoft_azure_openai_2024"], detector=FakeDetector(error=RuntimeError("no network"))
    ).source()


REFUSED = {
    "chat": lambda c: c.chat.completions.create(model="m", messages=messages(HTTPS)),
    "chat, streamed": lambda c: c.chat.completions.create(model="m", messages=messages(HTTPS), stream=True),
    "chat, stream helper": lambda c: c.chat.completions.stream(model="m", messages=messages(HTTPS)).__enter__(),
    "chat, parsed": lambda c: c.chat.completions.parse(model="m", messages=messages(HTTPS)),
    "chat, raw response": lambda c: c.chat.completions.with_raw_response.create(model="m", messages=messages(HTTPS)),
    "chat, streaming response": lambda c: c.chat.completions.with_streaming_response.create(
        model="m", messages=messages(HTTPS)
    ).__enter__(),
    "responses": lambda c: c.responses.create(model="m", input=inputs(image_url=HTTPS)),
    "responses, file id": lambda c: c.responses.create(model="m", input=inputs(file_id="file-1")),
    "responses, earlier one": lambda c: c.responses.create(model="m", input="and who?", previous_response_id="r"),
    "responses, extra body": lambda c: c.responses.create(
        model="m", input="x", extra_body={"input": inputs(image_url=HTTPS)}
    ),
    "images edit": lambda c: c.images.edit(model="m", image=("a.gif", b"GIF89a" + bytes([255] * 99)), prompt="x"),
    "images variation": lambda c: c.images.create_variation(image=b"GIF89a" + bytes([255] * 99)),
    "file": lambda c: c.files.create(file=("a.pdf", b"%PDF-1.4"), purpose="user_data"),
    "batch": lambda c: c.batches.create(input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h"),
    "post": lambda c: c.post("/responses", body={"input": inputs(image_url=HTTPS)}, cast_to=object),
    "post, whole address": lambda c: c.post(
        str(c.base_url) + "chat/completions", body={"messages": messages(HTTPS)}, cast_to=object
    ),
    "put": lambda c: c.put("/anything", body={"messages": messages(HTTPS)}, cast_to=object),
    "moderations": lambda c: c.moderations.create(
        model="m", input=[{"type": "image_url", "image_url": {"url": HTTPS}}]
    ),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_sends_nothing_and_is_not_retried(call, server, police):
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError) as caught:
        call(azure(server))
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_of_the_async_client_sends_nothing(call, server, police):
    async def main() -> None:
        async with azure(server, openai.AsyncAzureOpenAI) as client:
            made = call(client)
            await (made.__aenter__() if hasattr(made, "__aenter__") else made)

    with_async = {
        REFUSED["chat, stream helper"]: lambda c: c.chat.completions.stream(model="m", messages=messages(HTTPS)),
        REFUSED["chat, streaming response"]: lambda c: c.chat.completions.with_streaming_response.create(
            model="m", messages=messages(HTTPS)
        ),
    }
    call = with_async.get(call, call)
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["deny"]


def test_the_refusal_is_what_a_handler_of_the_library_expects(server, police):
    with police.frame(PICTURE), pytest.raises(openai.APIStatusError) as caught:
        azure(server).responses.create(model="m", input=inputs(image_url=HTTPS))
    error = caught.value
    assert (error.status_code, error.code, error.param) == (403, "face_policy_violation", None)
    assert error.response.status_code == 403
    assert error.response.json()["error"]["code"] == "face_policy_violation"
    assert "azure_openai" in error.message
    assert error.decision.verdict is guard.Verdict.DENY
    assert error.request_id is None
    assert type(pickle.loads(pickle.dumps(error))) is guard.Denied


def test_a_broken_guard_refuses_as_the_library_does(server, blind):
    with blind.frame(PICTURE), pytest.raises(openai.PermissionDeniedError) as caught:
        azure(server).chat.completions.create(model="m", messages=messages())
    assert isinstance(caught.value, guard.GuardFault)
    server.assert_untouched()


CARRIED = {
    "chat": (
        lambda c: c.chat.completions.create(model="m", messages=messages()),
        lambda body: body["messages"][0]["content"][1]["image_url"]["url"],
    ),
    "chat, streamed": (
        lambda c: list(c.chat.completions.create(model="m", messages=messages(), stream=True)),
        lambda body: body["messages"][0]["content"][1]["image_url"]["url"],
    ),
    "responses": (
        lambda c: c.responses.create(model="m", input=inputs()),
        lambda body: body["input"][0]["content"][0]["image_url"],
    ),
    "extra body": (
        lambda c: c.responses.create(model="m", input="x", extra_body={"input": inputs()}),
        lambda body: body["input"][0]["content"][0]["image_url"],
    ),
    "post": (
        lambda c: c.post("/responses", body={"input": inputs()}, cast_to=object),
        lambda body: body["input"][0]["content"][0]["image_url"],
    ),
}


@pytest.mark.parametrize(("call", "find"), CARRIED.values(), ids=CARRIED.keys())
def test_faces_are_covered_on_the_way(call, find, server, police):
    with police.frame(PICTURE):
        call(azure(server))
    assert server.requests == 1
    assert is_covered(find(server.arrived[0].json()))
    assert police.guard.ledger.verdicts() == ["redact"]


@pytest.mark.parametrize(("call", "find"), CARRIED.values(), ids=CARRIED.keys())
def test_what_shows_no_face_goes_out_as_it_is(call, find, server, make_guard):
    g = make_guard(PATIENT, detector=FakeDetector())
    with g.source().frame(PICTURE):
        call(azure(server))
    assert find(server.arrived[0].json()) == PNG_URL
    assert g.ledger.verdicts() == ["allow"]


def test_the_callers_objects_stay_as_they_were(server, police):
    given, extra = messages(), {"metadata": {"a": "b"}}
    before = copy.deepcopy((given, extra))
    with police.frame(PICTURE):
        azure(server).chat.completions.create(model="m", messages=given, extra_body=extra)
    assert (given, extra) == before
    assert server.arrived[0].json()["metadata"] == {"a": "b"}


def test_async_calls_are_covered_too(server, police):
    async def main() -> None:
        async with azure(server, openai.AsyncAzureOpenAI) as client:
            async for _ in await client.chat.completions.create(model="m", messages=messages(), stream=True):
                pass

    with police.frame(PICTURE):
        asyncio.run(main())
    assert server.requests == 1
    assert is_covered(server.arrived[0].json()["messages"][0]["content"][1]["image_url"]["url"])
    assert police.guard.ledger.verdicts() == ["redact"]


def test_a_call_that_carries_no_picture_is_not_touched(server, police):
    body = {"model": "m", "messages": [{"role": "user", "content": "who is at https://x.org/a.jpg?"}]}
    with police.frame(PICTURE):
        azure(server).chat.completions.create(**body)
        azure(server).post("/embeddings", body={"input": [PNG_TEXT]}, cast_to=object)
        azure(server).files.list()
    assert server.arrived[0].json() == body
    assert server.requests == 3
    assert police.guard.ledger.entries == []


def test_without_a_guard_a_picture_goes_nowhere_and_words_do(server):
    with pytest.raises(openai.PermissionDeniedError, match="no guard is loaded"):
        plain(server).chat.completions.create(model="m", messages=messages())
    server.assert_untouched()
    plain(server).chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert server.requests == 1


def test_what_the_code_says_it_is_for_is_judged(server, police):
    with police.frame(PICTURE), police.intent("vlm_identify"), pytest.raises(openai.PermissionDeniedError):
        azure(server).chat.completions.create(model="m", messages=messages())
    server.assert_untouched()
    (entry,) = police.guard.ledger.entries
    assert (entry.decision.action, entry.decision.service) == ("vlm_identify", "azure_openai")


def test_the_service_is_the_client_s_or_what_the_deployment_says_of_the_host(server, make_guard):
    g = make_guard(SERVICES.replace("HOST", server.host))
    with g.source().frame(PICTURE):
        plain(server).chat.completions.create(model="m", messages=messages())
        azure(server).chat.completions.create(model="m", messages=messages())
    assert [(entry.decision.action, entry.decision.service) for entry in g.ledger.entries] == [
        ("vlm_describe", "self_hosted"),
        ("vlm_describe", "self_hosted"),
    ]
    other = make_guard(OFFICE, name="other.toml")
    with other.source().frame(PICTURE):
        plain(server).chat.completions.create(model="m", messages=messages())
    assert [(entry.decision.action, entry.decision.service) for entry in other.ledger.entries] == [(None, "openai")]
